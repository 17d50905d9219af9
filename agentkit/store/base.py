"""What a store is: an append-only list of events for each run, and blobs by content hash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agentkit.events import Event


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run in a listing.

    Attributes:
        run_id: id of the run.
        started_at: UTC time of its first event, ISO 8601.
        events: number of events.
        last_kind: kind of its last event, such as "run_finished".
    """

    run_id: str
    started_at: str
    events: int
    last_kind: str


class Store(Protocol):
    """Where runs are kept. An append that has returned survives the death of the process."""

    async def append(self, run_id: str, events: Sequence[Event], expect: int) -> None:
        """Append events whose first `seq` is `expect`, all or none.

        Raises:
            SequenceConflict: the run does not have exactly `expect` events.
            StoreError: the events could not be written.
        """
        ...

    async def load(self, run_id: str) -> list[Event]:
        """Return the events of a run, in order.

        Raises:
            RunNotFound: no run begins with `run_id`, or more than one does.
            LogUnreadable: an event is damaged or from a newer version.
        """
        ...

    async def runs(self, limit: int = 20) -> list[RunSummary]:
        """Return the latest runs, newest first."""
        ...

    async def put_blob(self, data: bytes) -> str:
        """Keep bytes and return their sha256 as hex; the same bytes are kept once."""
        ...

    async def get_blob(self, sha256: str) -> bytes:
        """Return the bytes of a handle.

        Raises:
            StoreError: the blob is missing or damaged.
        """
        ...

    async def close(self) -> None:
        """Let go of files and connections; may be called twice."""
        ...
