"""`read_result`: the tool that opens what the prompt shows in part or not at all."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import orjson

from agentkit.context.ledger import USER_MESSAGES, Ledger
from agentkit.context.offload import rows
from agentkit.context.policy import Offload
from agentkit.errors import StoreError
from agentkit.events import Event, ToolFinished
from agentkit.store import MemoryStore, Store
from agentkit.tool import Tool, ToolError, UnknownHandle, as_tool, definitions
from agentkit.tool.grep import InvalidPattern, grep

READ_RESULT = "read_result"
"""Name of the tool."""

_BYTES_PER_TOKEN = 3.6
_SHORTEST = 8  # hex digits by which a handle may be named
_NAMED = 20  # files, the newest, that are told when a name is not known
_AROUND = 1  # lines shown before and after a line that matches
_SECONDS = 2.0  # that a regular expression may take
_PLAIN = re.compile(r"[^\\^$?*+()\[\]{}]*")  # a full stop is taken for itself, as in main.py


def without_reader(listed: bytes) -> bytes:
    """Return a tool list as a run sends it until an edit first needs `read_result`.

    Args:
        listed: canonical JSON of the tools; a tool of this name that is not ours stays.
    """
    if READ_RESULT.encode() not in listed:
        return listed
    rest = [one for one in orjson.loads(listed) if one != _definition()]
    return orjson.dumps(rest, option=orjson.OPT_SORT_KEYS)


@cache
def _definition() -> Mapping[str, Any]:
    """Return how a tool list has our tool; making it takes a millisecond."""
    (own,) = orjson.loads(definitions([ResultReader(MemoryStore(), Offload()).tool()]))
    return own


class ResultReader:
    """Opens the large and old texts of one run, and no others.

    Args:
        store: where the blobs are.
        policy: how much is shown at once.
    """

    def __init__(self, store: Store, policy: Offload) -> None:
        self._store = store
        self._policy = policy
        self._ledger = Ledger()
        self._log: Sequence[Event] = ()

    def attach(self, ledger: Ledger, log: Sequence[Event]) -> None:
        """Say which run it reads for: its ledger names the handles, its log holds small texts."""
        self._ledger = ledger
        self._log = log

    def tool(self) -> Tool:
        """Return `read_result` as a tool."""
        return as_tool(self.read_result)

    async def read_result(self, handle: str, lines: str = "", pattern: str = "") -> str:
        """Open a result that is shown in part or was cleared.

        Args:
            handle: as shown.
            lines: such as "120-180".
            pattern: a word or regular expression.
        """
        text = await self._open(handle)
        found = rows(text) or [""]
        if pattern.strip():
            hits, whole = await asyncio.to_thread(_matches, found, pattern)
            return self._matching(found, pattern, hits, whole=whole)
        first, last = _range(lines, len(found))
        return self._page(found, first, last)

    async def open(self, name: str) -> bytes:
        """Return an artifact by its name, or anything by its handle; see `ToolContext.open`."""
        made = self._ledger.artifacts
        try:
            sha256 = made[name].sha256 if name in made else self._sha256(name)
        except UnknownHandle:
            files = ", ".join([*made][-_NAMED:]) or "none so far"
            raise UnknownHandle(
                f"Nothing of this run has the name or the handle {name[:80]!r}. Its files are: "
                f"{files}; handles stand in large results, and 8 digits of one are enough."
            ) from None
        where = self._ledger.handles[sha256]
        return self._logged(where).encode(errors="replace") if where else await self._blob(sha256)

    async def _open(self, handle: str) -> str:
        if handle.strip().strip("\"'") == USER_MESSAGES:
            return "\n\n".join(f"(turn {one.turn}) {one.text}" for one in self._ledger.said)
        sha256 = self._sha256(handle)
        if where := self._ledger.handles[sha256]:
            return self._logged(where)
        data = await self._blob(sha256)
        if b"\0" in data[:8192]:
            raise ToolError(f"This is no text but {len(data):,} bytes of a file; it is kept whole.")
        return data.decode(errors="replace")

    def _sha256(self, handle: str) -> str:
        wanted = handle.strip().strip("\"'").lower().removeprefix("sha256").strip(" :")
        found = [one for one in self._ledger.handles if one.startswith(wanted)]
        if len(wanted) >= _SHORTEST and len(found) == 1:
            return found[0]
        known = "No text" if not found else f"{len(found)} texts"
        error = ToolError if found and len(wanted) >= _SHORTEST else UnknownHandle
        raise error(
            f"{known} of this run has the handle {handle[:80]!r}. Copy it from the line that "
            "names it, 8 digits or more."
        )

    def _logged(self, where: str) -> str:
        if where.startswith("user:"):
            return self._ledger.said[int(where.removeprefix("user:"))].text
        bodies = (event.body for event in reversed(self._log))
        return next(
            body.content
            for body in bodies
            if isinstance(body, ToolFinished) and body.call_id == where
        )

    async def _blob(self, sha256: str) -> bytes:
        try:
            return await self._store.get_blob(sha256)
        except StoreError as error:
            raise ToolError(
                f"The text of this handle cannot be read any more ({error}) Call the tool that "
                "made it again."
            ) from error

    @property
    def _room(self) -> int:
        return round(self._policy.page * _BYTES_PER_TOKEN)

    def _page(self, lines: list[str], first: int, last: int) -> str:
        room = self._room
        shown: list[str] = []
        for line in lines[first - 1 : last]:
            room -= len(line.encode(errors="replace")) + 1
            if room < 0 and shown:
                break
            shown.append(line)
        end = first + len(shown) - 1
        more = "" if end >= last else f'; go on with lines="{end + 1}-{last}"'
        return "\n".join([f"[lines {first}-{end} of {len(lines)}{more}]", *shown])

    def _matching(self, lines: list[str], pattern: str, hits: list[int], *, whole: bool) -> str:
        if not hits:
            why = "" if whole else f" as far as {_SECONDS:g} seconds of matching went"
            raise ToolError(
                f"None of its {len(lines)} lines holds {pattern[:100]!r}{why}. Look for a shorter "
                "word, or read it by lines."
            )
        head = f"[{len(hits)} lines match]"
        if not whole:
            head = f"[{len(hits)} lines match; stopped after {_SECONDS:g} seconds, try a word]"
        room = self._room
        shown: list[str] = []
        done = -1
        for count, hit in enumerate(hits):
            for at in range(max(hit - _AROUND, done + 1), min(hit + _AROUND + 1, len(lines))):
                line = f"{at + 1}: {lines[at]}"
                room -= len(line.encode(errors="replace")) + 1
                if room < 0 and shown:
                    left = f"[{len(hits) - count} more matching lines from line {hit + 1} on]"
                    return "\n".join([head, *shown, left])
                shown.append(line)
                done = at
        return "\n".join([head, *shown])


def _matches(lines: list[str], pattern: str) -> tuple[list[int], bool]:
    """Return the indexes of the lines that match, and whether all of them were looked at.

    What is no regular expression, or matches nowhere as one, is looked for as words.
    """
    if not _PLAIN.fullmatch(pattern):
        try:
            found = grep([("", "\n".join(lines))], f"(?i){pattern}", len(lines), _SECONDS)
        except InvalidPattern:
            pass
        else:
            if found.found or found.timed_out:
                return [match.line - 1 for match in found.found], not found.timed_out
    words = [word.strip().lower() for word in pattern.split("|") if word.strip()]
    low = [line.lower() for line in lines]
    return [at for at, line in enumerate(low) if any(word in line for word in words)], True


def _range(lines: str, total: int) -> tuple[int, int]:
    if not lines.strip():
        return 1, total
    first, dash, last = lines.strip().partition("-")
    try:
        start = int(first or 1)
        end = int(last) if last.strip() else (total if dash else start)
    except ValueError as error:
        raise ToolError(f'lines={lines[:40]!r}: expected a range such as "120-180".') from error
    if not 1 <= start <= total or end < start:
        raise ToolError(f"lines={lines[:40]!r}: it has the lines 1-{total}.")
    return start, min(end, total)
