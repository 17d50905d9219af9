"""Events and blobs in memory, for runs that need not outlive the process."""

from __future__ import annotations

import hashlib
import re
import time
import uuid
from collections.abc import Sequence

from agentkit.errors import RunNotFound, RunTaken, SequenceConflict, StoreError
from agentkit.events import Event, dump_body
from agentkit.store.base import (
    BLOB_GRACE_SECONDS,
    LEASE_SECONDS,
    Claim,
    RunSummary,
    check_order,
    only_match,
    summary,
)


class MemoryStore:
    """A store that is gone with the process; nothing is written anywhere."""

    def __init__(self) -> None:
        self._runs: dict[str, list[Event]] = {}
        self._claims: dict[str, tuple[Claim, float | None]] = {}  # until when; None: released
        self._owner = uuid.uuid4().hex
        self._blobs: dict[str, tuple[bytes, float]] = {}  # and since when, in monotonic seconds

    async def append(
        self, run_id: str, events: Sequence[Event], expect: int, claim: Claim | None = None
    ) -> None:
        """Append events; see `Store.append`."""
        check_order(run_id, events, expect)
        if claim is not None:
            self._require(claim)
        log = self._runs.get(run_id, [])
        if len(log) != expect:
            raise SequenceConflict(f"Run {run_id} has {len(log)} events, not {expect}.")
        if events:
            self._runs.setdefault(run_id, log).extend(events)

    async def load(self, run_id: str, after: int = -1) -> list[Event]:
        """Return the events of a run; see `Store.load`."""
        found = only_match(run_id, [name for name in self._runs if name.startswith(run_id)])
        return self._runs[found][after + 1 :]

    async def runs(self, limit: int = 20) -> list[RunSummary]:
        """Return the latest runs, newest first."""
        return [
            summary(
                (name, log[0].at, len(log), log[-1].kind, log[-1].at),
                (event.body for event in log[:9]),
            )
            for name in sorted(self._runs, reverse=True)[:limit]
            if (log := self._runs[name])
        ]

    async def claim(self, run_id: str, seconds: float = LEASE_SECONDS) -> Claim:
        """Become the only worker of a run; see `Store.claim`."""
        if run_id not in self._runs:
            raise RunNotFound(f"There is no run {run_id!r} to claim.")
        before, until = self._claims.get(run_id, (None, None))
        if until is not None and until > time.monotonic():
            raise RunTaken(f"Run {run_id} is being worked on. Wait until its lease ends.")
        made = Claim(run_id, self._owner, before.epoch + 1 if before else 1)
        self._claims[run_id] = made, time.monotonic() + seconds
        return made

    async def renew(self, claim: Claim, seconds: float = LEASE_SECONDS) -> None:
        """Let a claim hold from now on; see `Store.renew`."""
        self._require(claim)
        self._claims[claim.run_id] = claim, time.monotonic() + seconds

    async def release(self, claim: Claim) -> None:
        """Give a claim back; see `Store.release`."""
        if self._claims.get(claim.run_id, (None, None))[0] == claim:
            self._claims[claim.run_id] = claim, None

    async def delete(self, run_id: str) -> None:
        """Forget a run; see `Store.delete`."""
        _, until = self._claims.get(run_id, (None, None))
        if until is not None and until > time.monotonic():
            raise RunTaken(f"Run {run_id} is being worked on and stays.")
        self._runs.pop(run_id, None)
        self._claims.pop(run_id, None)

    async def sweep(self, grace: float = BLOB_GRACE_SECONDS) -> int:
        """Delete blobs that no event names; see `Store.sweep`."""
        named: set[bytes] = set()
        for log in self._runs.values():
            for event in log:
                named.update(re.findall(rb"[0-9a-f]{64}", dump_body(event.body)))
        limit = time.monotonic() - grace
        gone = [
            sha256
            for sha256, (_, since) in self._blobs.items()
            if since <= limit and sha256.encode() not in named
        ]
        return sum(len(self._blobs.pop(sha256)[0]) for sha256 in gone)

    async def put_blob(self, data: bytes) -> str:
        """Keep bytes and return their handle."""
        sha256 = hashlib.sha256(data).hexdigest()
        self._blobs[sha256] = data, time.monotonic()
        return sha256

    async def get_blob(self, sha256: str) -> bytes:
        """Return the bytes of a handle; see `Store.get_blob`."""
        if sha256 not in self._blobs:
            raise StoreError(f"The blob {sha256!r} is missing.")
        return self._blobs[sha256][0]

    async def close(self) -> None:
        """Do nothing: what is in memory stays until the store itself is gone."""

    def _require(self, claim: Claim) -> None:
        held, until = self._claims.get(claim.run_id, (None, None))
        if held != claim or until is None:
            raise RunTaken(f"Claim {claim.epoch} on run {claim.run_id} no longer holds.")
