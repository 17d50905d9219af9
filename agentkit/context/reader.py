"""`read_result`: the tool that opens what the prompt shows in part or not at all."""

from __future__ import annotations

from collections.abc import Sequence

from agentkit.context.ledger import Ledger
from agentkit.context.offload import rows
from agentkit.context.policy import Offload
from agentkit.errors import StoreError
from agentkit.events import Event, ToolFinished
from agentkit.store import Store
from agentkit.tool import Tool, ToolError, UnknownHandle, as_tool

READ_RESULT = "read_result"
"""Name of the tool."""

_BYTES_PER_TOKEN = 3.6
_SHORTEST = 8  # hex digits by which a handle may be named
_NAMED = 20  # files, the newest, that are told when a name is not known
_AROUND = 1  # lines shown before and after a line that matches


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
            pattern: plain words to find; "|" separates alternatives.
        """
        text = await self._open(handle)
        found = rows(text) or [""]
        if pattern.strip():
            return self._matching(found, pattern)
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

    def _matching(self, lines: list[str], pattern: str) -> str:
        words = [word.strip().lower() for word in pattern.split("|") if word.strip()]
        hits = [at for at, row in enumerate(lines) if any(word in row.lower() for word in words)]
        if not hits:
            raise ToolError(
                f"None of its {len(lines)} lines holds {pattern[:100]!r}. Look for a shorter word, "
                "or read it by lines."
            )
        room = self._room
        shown: list[str] = []
        done = -1
        for count, hit in enumerate(hits):
            for at in range(max(hit - _AROUND, done + 1), min(hit + _AROUND + 1, len(lines))):
                line = f"{at + 1}: {lines[at]}"
                room -= len(line.encode(errors="replace")) + 1
                if room < 0 and shown:
                    left = f"[{len(hits) - count} more matching lines from line {hit + 1} on]"
                    return "\n".join([f"[{len(hits)} lines match]", *shown, left])
                shown.append(line)
                done = at
        return "\n".join([f"[{len(hits)} lines match]", *shown])


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
