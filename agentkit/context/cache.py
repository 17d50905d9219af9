"""The prefix check: every prompt must begin with the one before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson


@dataclass(frozen=True, slots=True)
class PrefixBreak:
    """Where a prompt stopped being a continuation of its predecessor.

    Attributes:
        index: position of the first message that differs; -1 means the tool list.
        role: role of that message, or "tools".
        lost_bytes: bytes of the old prompt that the cache can no longer serve.
    """

    index: int
    role: str
    lost_bytes: int

    def __str__(self) -> str:
        where = "the tool list" if self.index < 0 else f"message {self.index} ({self.role})"
        return f"the prompt's prefix moved at {where}: {self.lost_bytes} bytes lose their cache"


class PrefixCheck:
    """Remembers the last prompt that was sent and compares the next one with it."""

    __slots__ = ("_messages", "_tools")

    def __init__(self) -> None:
        self._tools: bytes | None = None
        self._messages: list[bytes] = []

    def check(self, tools: bytes, messages: Sequence[bytes]) -> PrefixBreak | None:
        """Return where this prompt leaves its predecessor, or None; then remember this one."""
        found: PrefixBreak | None = None
        before = self._messages
        if self._tools is not None and tools != self._tools:
            found = PrefixBreak(-1, "tools", len(self._tools) + sum(map(len, before)))
        elif list(messages[: len(before)]) != before:  # identical objects compare at once
            found = _first_difference(before, messages)
        self._tools = tools
        self._messages = list(messages)
        return found


def _first_difference(before: Sequence[bytes], after: Sequence[bytes]) -> PrefixBreak:
    index = 0
    while index < min(len(before), len(after)) and before[index] == after[index]:
        index += 1
    role = orjson.loads(before[index]).get("role", "unknown")
    return PrefixBreak(index, role, sum(map(len, before[index:])))
