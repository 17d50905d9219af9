"""Repetition: a model that says the same thing over and over, found while it streams.

GLM-5.1 was reported to loop without end beyond 100K tokens of context (zai-org/GLM-5#42), which
costs the whole of max_tokens unless somebody stops reading.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_PROBE: Final = 64
_CANDIDATES: Final = 16


@dataclass(frozen=True, slots=True)
class RepetitionPolicy:
    """When a streamed answer counts as a loop and is cut.

    The last characters of the content, or of the thinking, have to be one passage repeated
    exactly: at least `chars` characters and at least `repeats` times.

    Attributes:
        chars: characters of repetition that are borne. Default 6000, some 1500 tokens.
        repeats: how often the passage has to stand there. Default 4.
        window: characters looked at, so that a passage has at most window / repeats. Default 16000.
        every: characters between two looks. Default 2000.
    """

    chars: int = 6000
    repeats: int = 4
    window: int = 16_000
    every: int = 2000


NEVER_CUT: Final = RepetitionPolicy(every=1 << 60)
"""For answers that repeat themselves on purpose."""


class Loops:
    """Looks for a loop at the end of a growing text, in bounded memory."""

    __slots__ = ("_policy", "_seen", "_tail")

    def __init__(self, policy: RepetitionPolicy) -> None:
        self._policy = policy
        self._seen = 0
        self._tail = ""

    def period(self, pieces: Sequence[str]) -> int | None:
        """Return the length of the passage that is being repeated, or None.

        Args:
            pieces: the whole text so far; only pieces added since the last look are read.
        """
        self._tail = (self._tail + "".join(pieces[self._seen :]))[-self._policy.window :]
        self._seen = len(pieces)
        return repeated(self._tail, self._policy)


def repeated(text: str, policy: RepetitionPolicy) -> int | None:
    """Return the length of the passage that a text ends in repetitions of, or None."""
    probe = text[-_PROBE:]
    end = len(text) - 1
    for _ in range(_CANDIDATES):
        at = text.rfind(probe, 0, end)
        if at < 0:
            return None
        period = len(text) - len(probe) - at
        size = max(policy.chars, period * policy.repeats)
        if size > len(text):
            return None
        if text[-size:-period] == text[-size + period :]:
            return period
        end = at + len(probe) - 1
    return None
