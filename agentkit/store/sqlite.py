"""Events in one SQLite file, blobs in a folder beside it.

Appends run in the event loop's own thread: one takes some tens of microseconds, less than handing
it to another thread and back. WAL with synchronous=NORMAL keeps every commit through the death of
the process; `durability="full"` also keeps it through a power cut, at the price of a disk flush.
Any number of processes read while one writes.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

from agentkit.errors import LogUnreadable, RunNotFound, RunTaken, SequenceConflict, StoreError
from agentkit.events import Event, dump_body, load_body
from agentkit.store.base import (
    BLOB_GRACE_SECONDS,
    LEASE_SECONDS,
    Claim,
    RunSummary,
    check_gaps,
    check_order,
    only_match,
    summary,
)
from agentkit.store.blobs import BlobFolder
from agentkit.store.owner import Owner, boot_id, boot_seconds
from agentkit.store.schema import migrate

_INSERT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)"
_INSERT_HELD = (
    "INSERT INTO events SELECT ?1, ?2, ?3, ?4, ?5, ?6 FROM claims"
    " WHERE run_id = ?1 AND owner = ?7 AND epoch = ?8"
)
# The newest ids by one look-up each, not by a scan of all events; the rest is looked up as well.
_RUNS = """
WITH RECURSIVE newest(id) AS (
  SELECT max(run_id) FROM events
  UNION ALL
  SELECT (SELECT max(run_id) FROM events WHERE run_id < id) FROM newest WHERE id IS NOT NULL
  LIMIT ?)
SELECT first.run_id, first.at, last.seq + 1, last.kind, last.at FROM newest
JOIN events AS first ON first.run_id = id AND first.seq = 0
JOIN events AS last ON last.run_id = id
  AND last.seq = (SELECT max(seq) FROM events WHERE run_id = id)
"""
_FIRST_BODIES = (
    "SELECT kind, version, body FROM events WHERE run_id = ? AND seq < 9"
    " AND kind IN ('run_started', 'user_message') ORDER BY seq"
)
_REMEMBERED = 10_000
_BIG_BLOB = 256 * 1024
_BUSY_SECONDS = 10.0  # how long a write waits for another process's write


class SQLiteStore:
    """A store in `<folder>/runs.db` and `<folder>/blobs/`; the file is opened at first use.

    Args:
        folder: made when it is missing.
        durability: "normal" survives the process, "full" also the machine.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        durability: Literal["normal", "full"] = "normal",
    ) -> None:
        self._folder = Path(folder)
        self._path = self._folder / "runs.db"
        self._synchronous = durability.upper()
        self._blobs = BlobFolder(self._folder / "blobs")
        self._owner = Owner(self._folder / "owners")
        self._db: sqlite3.Connection | None = None
        self._next: dict[str, int] = {}  # number of events of runs that this store appended to last

    async def append(
        self, run_id: str, events: Sequence[Event], expect: int, claim: Claim | None = None
    ) -> None:
        """Append events in one transaction; see `Store.append`."""
        check_order(run_id, events, expect)
        is_next = len(events) == 1 and self._next.get(run_id) == expect
        if is_next and self._append_next(events[0], claim):
            self._next[run_id] = expect + 1
            return
        rows = [_row(event) for event in events]
        with self._faults():
            db = self._open()
            with _writing(db):
                if claim is not None:
                    _require(db, claim)
                _expect_length(db, run_id, expect)
                db.executemany(_INSERT, rows)
        if len(self._next) >= _REMEMBERED:
            self._next.clear()
        self._next[run_id] = expect + len(rows)

    def _append_next(self, event: Event, claim: Claim | None) -> bool:
        """Append one event, the ordinary case, in one statement, where this store appended last.

        The log has that many events or more, so the key alone, unique, tells whether another writer
        was here. Returns False where it was, or where the claim does not hold.
        """
        db = self._db
        if db is None:
            return False
        try:
            if claim is None:
                db.execute(_INSERT, _row(event))
                return True
            held = (*_row(event), claim.owner, claim.epoch)
            return db.execute(_INSERT_HELD, held).rowcount == 1
        except sqlite3.IntegrityError:
            return False
        except sqlite3.DatabaseError as error:
            raise self._fault(error) from error

    async def load(self, run_id: str, after: int = -1) -> list[Event]:
        """Return the events of a run; see `Store.load`."""
        with self._faults():
            db = self._open()
            found = db.execute(
                "SELECT DISTINCT run_id FROM events WHERE run_id >= ? AND run_id < ? LIMIT 3",
                (run_id, run_id + "\x7f"),
            ).fetchall()
            name = only_match(run_id, [one for (one,) in found])
            rows = db.execute(
                "SELECT run_id, seq, at, kind, version, body FROM events WHERE run_id = ?"
                " AND seq > ? ORDER BY seq",
                (name, after),
            ).fetchall()
        events = [
            Event(run, seq, at, load_body(kind, version, body))
            for run, seq, at, kind, version, body in rows
        ]
        check_gaps(name, events, after)
        return events

    async def runs(self, limit: int = 20) -> list[RunSummary]:
        """Return the latest runs, newest first."""
        with self._faults():
            db = self._open()
            return [
                summary(row, (load_body(*body) for body in db.execute(_FIRST_BODIES, row[:1])))
                for row in db.execute(_RUNS, (limit,)).fetchall()
            ]

    async def claim(self, run_id: str, seconds: float = LEASE_SECONDS) -> Claim:
        """Become the only worker of a run; see `Store.claim`.

        The claim of a process that died is free at once, that of one that hangs when its lease
        ends. Leases are measured in seconds since boot, which no change of the clock moves.
        """
        with self._faults():
            db = self._open()
            self._owner.appear()
            with _writing(db):
                if not db.execute("SELECT 1 FROM events WHERE run_id = ?", (run_id,)).fetchone():
                    raise RunNotFound(f"There is no run {run_id!r} to claim.")
                self._refuse_if_held(db, run_id)
                (epoch,) = db.execute(
                    "INSERT INTO claims VALUES (?1, ?2, 1, ?3, ?4) ON CONFLICT (run_id) DO UPDATE"
                    " SET owner = ?2, epoch = epoch + 1, boot = ?3, until = ?4 RETURNING epoch",
                    (run_id, self._owner.id, boot_id(), boot_seconds() + seconds),
                ).fetchone()
        return Claim(run_id, self._owner.id, epoch)

    async def renew(self, claim: Claim, seconds: float = LEASE_SECONDS) -> None:
        """Let a claim hold from now on; see `Store.renew`."""
        with self._faults():
            db = self._open()
            with _writing(db):
                _require(db, claim)
                db.execute(
                    "UPDATE claims SET until = ? WHERE run_id = ?",
                    (boot_seconds() + seconds, claim.run_id),
                )

    async def release(self, claim: Claim) -> None:
        """Give a claim back; see `Store.release`."""
        with self._faults():
            self._open().execute(
                "UPDATE claims SET owner = NULL WHERE run_id = ? AND owner = ? AND epoch = ?",
                (claim.run_id, claim.owner, claim.epoch),
            )

    async def delete(self, run_id: str) -> None:
        """Forget a run; see `Store.delete`."""
        with self._faults():
            db = self._open()
            with _writing(db):
                self._refuse_if_held(db, run_id)
                db.execute("DELETE FROM events WHERE run_id = ?", (run_id,))
                db.execute("DELETE FROM claims WHERE run_id = ?", (run_id,))
        self._next.pop(run_id, None)

    async def sweep(self, grace: float = BLOB_GRACE_SECONDS) -> int:
        """Delete blobs that no event names, in a thread; see `Store.sweep`."""
        self._open()
        return await asyncio.to_thread(self._sweep, grace)

    async def put_blob(self, data: bytes) -> str:
        """Keep bytes and return their handle; big ones are written in a thread."""
        if len(data) > _BIG_BLOB:
            return await asyncio.to_thread(self._blobs.put, data)
        return self._blobs.put(data)

    async def get_blob(self, sha256: str) -> bytes:
        """Return the bytes of a handle; see `Store.get_blob`."""
        return await asyncio.to_thread(self._blobs.get, sha256)

    async def close(self) -> None:
        """Close the file and let go of all claims; may be called twice."""
        db, self._db = self._db, None
        if db is not None:
            db.close()
        self._owner.vanish()

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(
                self._path,
                timeout=_BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                db.execute("PRAGMA journal_mode=WAL")
                db.execute(f"PRAGMA synchronous={self._synchronous}")
                migrate(db)
            except BaseException:
                db.close()
                raise
            self._db = db
        return self._db

    def _refuse_if_held(self, db: sqlite3.Connection, run_id: str) -> None:
        row = db.execute(
            "SELECT owner, boot, until FROM claims WHERE run_id = ? AND owner IS NOT NULL",
            (run_id,),
        ).fetchone()
        if row is None:
            return
        owner, boot, until = row
        left = until - boot_seconds()
        if boot == boot_id() and left > 0 and self._owner.lives(owner):
            raise RunTaken(
                f"Another worker has run {run_id}; its lease ends in {left:.0f} s unless it is "
                "renewed. Wait for it to end, or stop that worker."
            )

    def _sweep(self, grace: float) -> int:
        named: set[str] = set()
        with self._faults(), closing(sqlite3.connect(self._path, timeout=_BUSY_SECONDS)) as db:
            for (body,) in db.execute("SELECT body FROM events"):
                named.update(re.findall(r"[0-9a-f]{64}", body))
        return self._blobs.sweep(named, grace)

    @contextmanager
    def _faults(self) -> Generator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise self._fault(error) from error
        except OSError as error:
            raise StoreError(f"The log's folder {self._folder} cannot be used: {error}.") from error

    def _fault(self, error: sqlite3.DatabaseError) -> StoreError:
        if "malformed" in str(error) or "not a database" in str(error):
            return LogUnreadable(
                f"{self._path} is damaged ({error}). Move it away to start a new log, or mend it "
                "with `sqlite3 FILE .recover`."
            )
        return StoreError(f"The log {self._path} cannot be used: {error}.")


@contextmanager
def _writing(db: sqlite3.Connection) -> Generator[None]:
    """Hold the write lock; what was written is committed at the end, or nothing is."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _require(db: sqlite3.Connection, claim: Claim) -> None:
    held = db.execute(
        "SELECT 1 FROM claims WHERE run_id = ? AND owner = ? AND epoch = ?",
        (claim.run_id, claim.owner, claim.epoch),
    ).fetchone()
    if held is None:
        raise RunTaken(
            f"Claim {claim.epoch} on run {claim.run_id} no longer holds: it was released, or "
            "another worker has taken the run over. Stop working on it."
        )


def _expect_length(db: sqlite3.Connection, run_id: str, expect: int) -> None:
    (length,) = db.execute(
        "SELECT ifnull(max(seq), -1) + 1 FROM events WHERE run_id = ?", (run_id,)
    ).fetchone()
    if length != expect:
        raise SequenceConflict(
            f"Run {run_id} has {length} events, not {expect}: another writer was first. Load the "
            "run again before going on."
        )


def _row(event: Event) -> tuple[str, int, str, str, int, str]:
    body = event.body
    text = dump_body(body).decode()
    return event.run_id, event.seq, event.at, body.kind, body.version, text
