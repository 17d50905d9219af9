"""Events and blobs in memory, for runs that need not outlive the process."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from agentkit.errors import RunNotFound, SequenceConflict, StoreError
from agentkit.events import Event
from agentkit.store.base import RunSummary


class MemoryStore:
    """A store that is gone with the process; nothing is written anywhere."""

    def __init__(self) -> None:
        self._runs: dict[str, list[Event]] = {}
        self._blobs: dict[str, bytes] = {}

    async def append(self, run_id: str, events: Sequence[Event], expect: int) -> None:
        """Append events; see `Store.append`."""
        log = self._runs.setdefault(run_id, [])
        if len(log) != expect:
            raise SequenceConflict(f"Run {run_id} has {len(log)} events, not {expect}.")
        log.extend(events)

    async def load(self, run_id: str) -> list[Event]:
        """Return the events of a run; see `Store.load`."""
        found = [name for name in self._runs if name.startswith(run_id)]
        if len(found) != 1:
            raise RunNotFound(f"{len(found)} runs begin with {run_id!r}; expected one.")
        return list(self._runs[found[0]])

    async def runs(self, limit: int = 20) -> list[RunSummary]:
        """Return the latest runs, newest first."""
        newest = sorted(self._runs, reverse=True)[:limit]
        return [
            RunSummary(name, log[0].at, len(log), log[-1].kind)
            for name in newest
            if (log := self._runs[name])
        ]

    async def put_blob(self, data: bytes) -> str:
        """Keep bytes and return their handle."""
        sha256 = hashlib.sha256(data).hexdigest()
        self._blobs[sha256] = data
        return sha256

    async def get_blob(self, sha256: str) -> bytes:
        """Return the bytes of a handle; see `Store.get_blob`."""
        if sha256 not in self._blobs:
            raise StoreError(f"The blob {sha256!r} is missing.")
        return self._blobs[sha256]

    async def close(self) -> None:
        """Do nothing: what is in memory stays until the store itself is gone."""
