"""What a store is: an append-only list of events for each run, and blobs by content hash."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from agentkit.errors import LogUnreadable, RunNotFound, SequenceConflict
from agentkit.events import Body, Event, RunStarted, UserMessage
from agentkit.messages import plain_text

LEASE_SECONDS = 30.0
"""How long a claim holds unless it is renewed."""

BLOB_GRACE_SECONDS = 3600.0
"""A blob younger than this is never swept: the event that names it may be on its way."""

_TASK_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run in a listing.

    Attributes:
        run_id: id of the run.
        started_at: UTC time of its first event, ISO 8601.
        events: number of events.
        last_kind: kind of its last event, such as "run_finished".
        last_at: UTC time of its last event.
        agent: name of the agent.
        parent_run: the run that this one serves as a sub-agent, if any.
        task: the beginning of the first user message, on one line.
    """

    run_id: str
    started_at: str
    events: int
    last_kind: str
    last_at: str
    agent: str = ""
    parent_run: str | None = None
    task: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on a run until the lease ends or somebody takes the run over.

    Attributes:
        run_id: id of the run.
        owner: a uuid of the store object that claimed; a restarted worker has another.
        epoch: counts the claims of this run; an append under an older one is refused.
    """

    run_id: str
    owner: str
    epoch: int


class Store(Protocol):
    """Where runs are kept. An append that has returned survives the death of the process.

    A run is created by its first append, at `expect=0`. A worker that must be the only one claims
    the run first and appends under the claim; without a claim, two writers are kept apart by
    `expect` alone. The lease is measured by the store's clock, never by the workers'.
    """

    async def append(
        self, run_id: str, events: Sequence[Event], expect: int, claim: Claim | None = None
    ) -> None:
        """Append events whose first `seq` is `expect`, all or none.

        Args:
            run_id: id of the run.
            events: in order, without gaps.
            expect: number of events that the run has.
            claim: the claim to append under; None appends without one.

        Raises:
            SequenceConflict: the run does not have exactly `expect` events.
            RunTaken: the claim was released, or another worker has the run now.
            StoreError: the events could not be written.
        """
        ...

    async def load(self, run_id: str, after: int = -1) -> list[Event]:
        """Return the events of a run whose `seq` is above `after`, in order.

        Args:
            run_id: id of the run, or the beginning of one that no other run shares.
            after: -1 loads all; the last `seq` seen loads what is new.

        Raises:
            RunNotFound: no run begins with `run_id`, or more than one does.
            LogUnreadable: an event is damaged, missing or from a newer version.
        """
        ...

    async def runs(self, limit: int = 20) -> list[RunSummary]:
        """Return the latest runs, newest first."""
        ...

    async def claim(self, run_id: str, seconds: float = LEASE_SECONDS) -> Claim:
        """Become the only worker of a run for some seconds; `renew` in time to stay it.

        Raises:
            RunTaken: somebody's lease holds.
            RunNotFound: there is no such run.
        """
        ...

    async def renew(self, claim: Claim, seconds: float = LEASE_SECONDS) -> None:
        """Let a claim hold for so many seconds from now, even if its lease has run out meanwhile.

        Raises:
            RunTaken: the claim was released, or another worker has the run now.
        """
        ...

    async def release(self, claim: Claim) -> None:
        """Give a claim back; without effect on a run that another worker has taken over."""
        ...

    async def delete(self, run_id: str) -> None:
        """Forget a run, all or nothing; its blobs stay until `sweep`.

        Raises:
            RunTaken: somebody works on it.
        """
        ...

    async def sweep(self, grace: float = BLOB_GRACE_SECONDS) -> int:
        """Delete blobs that no event names and that are older than `grace` seconds.

        Returns:
            How many bytes that freed.
        """
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


def check_order(run_id: str, events: Sequence[Event], expect: int) -> None:
    """Refuse events that are not the next ones of their run, whatever the store holds.

    Raises:
        SequenceConflict: a seq out of order, or an event of another run.
    """
    for seq, event in enumerate(events, expect):
        if event.seq != seq or event.run_id != run_id:
            raise SequenceConflict(
                f"Event {event.seq} of run {event.run_id} cannot be appended to run {run_id} at "
                f"seq {seq}."
            )


def check_gaps(run_id: str, events: Iterable[Event], after: int) -> None:
    """Refuse a log with a hole: something that was acknowledged is gone.

    Raises:
        LogUnreadable: the seq that is missing.
    """
    for seq, event in enumerate(events, after + 1):
        if event.seq != seq:
            raise LogUnreadable(
                f"Run {run_id} has lost event {seq}: the next one is {event.seq}. The log was "
                "damaged from outside; restore it from a copy."
            )


def only_match(prefix: str, found: Sequence[str]) -> str:
    """Return the one run that an id or the beginning of one names.

    Raises:
        RunNotFound: none, or several.
    """
    if prefix in found:
        return prefix
    if len(found) != 1:
        which, do = (
            ("Several runs begin", "Give more of the id: ") if found else ("No run begins", "")
        )
        raise RunNotFound(f"{which} with {prefix!r}. {do}`agentkit runs list` shows them.")
    return found[0]


def summary(head: Sequence[Any], bodies: Iterable[Body]) -> RunSummary:
    """Return the listing of a run, as far as its first bodies can be read.

    Args:
        head: the first five fields of a RunSummary.
        bodies: those that stand first in the log.
    """
    agent, parent, task = "", None, ""
    with suppress(LogUnreadable):  # from a newer version, say: a listing shows what it can
        for body in bodies:
            if isinstance(body, RunStarted):
                agent, parent = body.agent, body.parent_run
            elif isinstance(body, UserMessage) and not task:
                task = " ".join(plain_text(body.content).split())[:_TASK_CHARACTERS]
    run_id, started_at, events, last_kind, last_at = head
    return RunSummary(run_id, started_at, events, last_kind, last_at, agent, parent, task)
