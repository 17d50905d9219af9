"""How full the window is, without a tokenizer.

Each reply's usage says exactly what its prompt weighed, and so what the messages since the reply
before weigh. Only what came after the last reply is estimated, with bytes per token learned from
the same run, and what an edit put in the place of something else.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentkit.model.unreported import BYTES_PER_TOKEN
from agentkit.usage import Usage

PASTE = 20_000
"""Estimated tokens from which a single text counts as a paste, which may be anything."""
PASTE_BYTES_PER_TOKEN = 2.5
"""The bound for pastes: base64, minified code and the like weigh more than the run's own text."""

_PLAUSIBLE = 2.0  # a size that differs by more from its estimate is none of these messages' doing


class TokenEstimate:
    """An estimate of sizes in tokens.

    Attributes:
        ratio: bytes per token, learned from the run.
        known: tokens of the prompt up to the last reply, as the provider counted them.
        sizes: tokens of each message up to the last reply; the first includes the tools. Their
            sum may differ from `known`, where a provider leaves earlier thinking out.
    """

    __slots__ = ("known", "ratio", "sizes")

    def __init__(self) -> None:
        self.ratio = BYTES_PER_TOKEN
        self.known = 0
        self.sizes: list[int] = []

    def anchor(self, prompt_bytes: int, usage: Usage, lengths: Sequence[int]) -> None:
        """Learn from a reply.

        Args:
            prompt_bytes: of the messages and tools that it answered.
            usage: what the provider counted; a usage of nothing teaches nothing.
            lengths: bytes of each message since the last reply; the first message's with the
                tools, the reply's as a message of the next prompt last.
        """
        if usage.input <= 0:
            return
        self.ratio = min(max(prompt_bytes / usage.input, 1.0), 8.0)
        *new, reply = lengths
        weights = [length / self.ratio for length in new]
        scale = (usage.input - self.known) / max(sum(weights), 1.0)
        if not 1 / _PLAUSIBLE <= scale <= _PLAUSIBLE:
            scale = 1.0
        self.sizes += [round(weight * scale) for weight in weights]
        self.sizes.append(usage.output or self.of(reply))
        self.known = usage.input + self.sizes[-1]

    def edit(self, where: slice, lengths: Sequence[int]) -> None:
        """Follow an edit of the messages that `sizes` speaks of.

        Args:
            where: the messages that went.
            lengths: bytes of those in their place.
        """
        if not self.sizes:
            return
        new = [self.of(length) for length in lengths]
        self.known = max(self.known + sum(new) - sum(self.sizes[where]), 0)
        self.sizes[where] = new

    def grow(self, size: int) -> None:
        """Follow a tool list that grew by `size` bytes."""
        if self.sizes:
            self.sizes[0] += self.of(size)
            self.known += self.of(size)

    def of(self, size: int) -> int:
        """Return the estimated tokens of a text of `size` bytes."""
        tokens = round(size / self.ratio)
        return tokens if tokens <= PASTE else round(size / min(PASTE_BYTES_PER_TOKEN, self.ratio))
