"""How full the window is, without a tokenizer.

The last reply's usage says exactly what its prompt and itself weighed; only what came after is
estimated, with bytes per token learned from the same run.
"""

from __future__ import annotations

from agentkit.model.unreported import BYTES_PER_TOKEN
from agentkit.usage import Usage

PASTE = 20_000
"""Estimated tokens from which a single text counts as a paste, which may be anything."""
PASTE_BYTES_PER_TOKEN = 2.5
"""The bound for pastes: base64, minified code and the like weigh more than the run's own text."""


class TokenEstimate:
    """An estimate of sizes in tokens.

    Attributes:
        ratio: bytes per token, learned from the run.
        known: tokens of the prompt up to `count` messages, as the provider counted them.
        count: messages that `known` speaks of; 0 until a reply reported its usage.
    """

    __slots__ = ("count", "known", "ratio")

    def __init__(self) -> None:
        self.ratio = BYTES_PER_TOKEN
        self.known = 0
        self.count = 0

    def anchor(self, prompt_bytes: int, usage: Usage, reply_bytes: int, count: int) -> None:
        """Learn from a reply.

        Args:
            prompt_bytes: of the messages and tools that it answered.
            usage: what the provider counted; a usage of nothing teaches nothing.
            reply_bytes: of the reply as a message of the next prompt.
            count: messages up to and with the reply.
        """
        if usage.input <= 0:
            return
        self.ratio = min(max(prompt_bytes / usage.input, 1.0), 8.0)
        self.known = usage.input + (usage.output or self.of(reply_bytes))
        self.count = count

    def shift(self, removed_bytes: int, removed_messages: int) -> None:
        """Follow an edit of the messages that `known` speaks of."""
        if self.count:
            self.known = max(self.known - round(removed_bytes / self.ratio), 0)
            self.count -= removed_messages

    def of(self, size: int) -> int:
        """Return the estimated tokens of a text of `size` bytes."""
        tokens = round(size / self.ratio)
        return tokens if tokens <= PASTE else round(size / min(PASTE_BYTES_PER_TOKEN, self.ratio))
