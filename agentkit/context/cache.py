"""The prefix check: every prompt must begin with the one before it, unless an edit was logged.

And what the cache really did: calls that were cold although nothing changed, and what edits cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from agentkit.events import Cleared, Compacted, Noted
from agentkit.model.catalog import Price
from agentkit.usage import Usage

COLD = 0.5
"""A call is cold when less than this share of the expected prefix was cached."""
COLD_LEAST = 1_024
"""Tokens that must be missing before a call counts as cold."""


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

    def edited(self, index: int) -> None:
        """Allow the next prompt to differ from this message on: a logged edit says why."""
        del self._messages[index:]

    def forget(self) -> None:
        """Allow the next prompt to differ everywhere: a logged edit says why."""
        self._tools = None
        self._messages.clear()

    def check(
        self, tools: bytes, messages: Sequence[bytes], untouched: int = 0
    ) -> PrefixBreak | None:
        """Return where this prompt leaves its predecessor, or None; then remember this one.

        Args:
            tools: the tool list.
            messages: the messages.
            untouched: so many messages are known to be the objects that were checked last, so
                that the check costs as much as what is new.
        """
        found: PrefixBreak | None = None
        before = self._messages
        start = min(untouched, len(before))
        if self._tools is not None and tools != self._tools:
            found = PrefixBreak(-1, "tools", len(self._tools) + sum(map(len, before)))
        elif list(messages[start : len(before)]) != before[start:]:
            found = _first_difference(before, messages)
        self._tools = tools
        before[start:] = messages[start:]
        return found


class CacheWatch:
    """Compares what a call should have found in the cache with what it found.

    Says what to note in the log: "cold_cache" for a call that was cold although its prefix had
    not changed, "reader_joined" for the first that lists `read_result`, "edit_cost" for the first
    after an edit, beside what was predicted.
    """

    __slots__ = ("_cold", "_edit", "_expected", "_joined", "_reports", "_spent", "_whole")

    def __init__(self) -> None:
        self._joined = False
        self._expected = 0
        self._whole = 0
        self._cold = False
        self._reports = False
        self._edit: Cleared | Compacted | None = None
        self._spent = 0.0

    def edit(self, body: Cleared | Compacted, kept_tokens: int) -> None:
        """Take an edit after which so many tokens of the prefix are as they were."""
        self._expected = min(self._expected, kept_tokens)
        self._edit = body

    def summary(self, cost_usd: float | None) -> None:
        """Take what a request for a summary cost; it belongs to the next compaction."""
        self._spent += cost_usd or 0.0

    def lost(self, *, cold: bool = True) -> None:
        """Expect nothing: the tools, the instructions or the model changed.

        Args:
            cold: whether this is sure; then an edit is not charged with it.
        """
        self._expected = 0
        self._cold = cold

    def joined(self) -> None:
        """Expect nothing: `read_result` joined the tools, for a result that is shown in part."""
        self.lost()
        self._joined = True

    def notes(self, usage: Usage, price: Price | None) -> list[Noted]:
        """Return what to note of a reply with this usage."""
        notes: list[Noted] = []
        missing = self._expected - usage.cached
        if self._reports and missing > COLD_LEAST and usage.cached < COLD * self._expected:
            notes.append(_cold(missing, self._expected, usage, price))
        if self._joined and self._whole:
            notes.append(_reader(self._whole, usage, price))
        if self._edit is not None:
            notes.append(self._realised(self._edit, usage, price))
        return notes

    def reply(self, usage: Usage) -> None:
        """Take a reply's usage: what it sent is in the cache now."""
        self._edit, self._spent, self._cold, self._joined = None, 0.0, False, False
        self._reports = self._reports or usage.cached > 0
        self._whole = self._expected = usage.input

    def _realised(self, body: Cleared | Compacted, usage: Usage, price: Price | None) -> Noted:
        # Without the edit, all of the prompt before it would have been cached.
        whole = 0 if self._cold else min(self._whole, usage.input)
        uncached = max(whole - usage.cached, 0)
        data: dict[str, Any] = {
            "edit": body.kind,
            "reason": body.reason,
            "removed": body.removed,
            "uncached": uncached,
            "predicted": body.pays_after,
        }
        if price:
            cost = uncached * (price.input - price.cached) / 1e6 + self._spent
            saved = body.removed * price.cached / 1e6
            data["cost_usd"] = round(cost, 6)
            data["realised"] = round(cost / saved, 2) if saved > 0 else None
        text = f"the edit ({body.kind}) made {uncached} tokens lose their cache"
        return Noted(topic="edit_cost", text=text, data=data)


def _cold(missing: int, expected: int, usage: Usage, price: Price | None) -> Noted:
    data: dict[str, Any] = {"expected": expected, "cached": usage.cached}
    if price:
        data["lost_usd"] = round(missing * (price.input - price.cached) / 1e6, 6)
    text = f"{usage.cached} of {expected} expected tokens were cached although nothing had changed"
    return Noted(topic="cold_cache", text=text, data=data)


def _reader(whole: int, usage: Usage, price: Price | None) -> Noted:
    uncached = max(min(whole, usage.input) - usage.cached, 0)
    data: dict[str, Any] = {"uncached": uncached}
    if price:
        data["cost_usd"] = round(uncached * (price.input - price.cached) / 1e6, 6)
    text = f"read_result joined the tools, once in a run: {uncached} tokens lost their cache"
    return Noted(topic="reader_joined", text=text, data=data)


def _first_difference(before: Sequence[bytes], after: Sequence[bytes]) -> PrefixBreak:
    index = 0
    while index < min(len(before), len(after)) and before[index] == after[index]:
        index += 1
    role = orjson.loads(before[index]).get("role", "unknown")
    return PrefixBreak(index, role, sum(map(len, before[index:])))
