"""Events in one SQLite file, blobs in a folder beside it.

Appends run in the event loop's own thread: one takes some tens of microseconds, less than handing
it to another thread and back. WAL with synchronous=NORMAL keeps every commit through the death of
the process; `durability="full"` also keeps it through a power cut, at the price of a disk flush.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from agentkit.errors import LogUnreadable, RunNotFound, SequenceConflict, StoreError
from agentkit.events import Event, dump_body, load_body
from agentkit.store.base import RunSummary
from agentkit.store.blobs import BlobFolder
from agentkit.store.schema import migrate

_INSERT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)"
# One event, the ordinary case, in one statement: it is its own transaction.
_INSERT_ONE = (
    "INSERT INTO events SELECT ?1, ?2, ?3, ?4, ?5, ?6"
    " WHERE (SELECT ifnull(max(seq), -1) + 1 FROM events WHERE run_id = ?1) = ?2"
)
_BIG_BLOB = 256 * 1024


class SQLiteStore:
    """A store in `<folder>/runs.db` and `<folder>/blobs/`; the file is opened at first use.

    Args:
        folder: made when it is missing.
        durability: "normal" survives the process, "full" also the machine.
        busy_seconds: how long a write waits for another process's write.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        durability: Literal["normal", "full"] = "normal",
        busy_seconds: float = 10.0,
    ) -> None:
        self._folder = Path(folder)
        self._synchronous = durability.upper()
        self._busy = busy_seconds
        self._blobs = BlobFolder(self._folder / "blobs")
        self._db: sqlite3.Connection | None = None

    async def append(self, run_id: str, events: Sequence[Event], expect: int) -> None:
        """Append events in one transaction; see `Store.append`."""
        rows = [
            (run_id, event.seq, event.at, event.body.kind, event.body.version, _text(event))
            for event in events
        ]
        if [row[1] for row in rows] != list(range(expect, expect + len(rows))):
            raise SequenceConflict(f"Events of run {run_id} do not begin at seq {expect}.")
        with self._faults():
            db = self._open()
            if len(rows) == 1 and db.execute(_INSERT_ONE, rows[0]).rowcount == 1:
                return
            try:
                db.execute("BEGIN IMMEDIATE")
                _expect_length(db, run_id, expect)
                db.executemany(_INSERT, rows)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    async def load(self, run_id: str) -> list[Event]:
        """Return the events of a run; see `Store.load`."""
        with self._faults():
            db = self._open()
            found = db.execute(
                "SELECT DISTINCT run_id FROM events WHERE run_id >= ? AND run_id < ? LIMIT 3",
                (run_id, run_id + "\x7f"),
            ).fetchall()
            if len(found) != 1:
                which = "several runs begin" if found else "no run begins"
                raise RunNotFound(f"{which.capitalize()} with {run_id!r}. `runs()` lists them.")
            rows = db.execute(
                "SELECT run_id, seq, at, kind, version, body FROM events WHERE run_id = ?"
                " ORDER BY seq",
                found[0],
            ).fetchall()
        return [
            Event(run, seq, at, load_body(kind, version, body))
            for run, seq, at, kind, version, body in rows
        ]

    async def runs(self, limit: int = 20) -> list[RunSummary]:
        """Return the latest runs, newest first."""
        with self._faults():
            rows = self._open().execute(
                "SELECT run_id, min(at), count(*), (SELECT kind FROM events AS last"
                " WHERE last.run_id = events.run_id ORDER BY seq DESC LIMIT 1)"
                " FROM events GROUP BY run_id ORDER BY run_id DESC LIMIT ?",
                (limit,),
            )
            return [RunSummary(*row) for row in rows]

    async def put_blob(self, data: bytes) -> str:
        """Keep bytes and return their handle; big ones are written in a thread."""
        if len(data) > _BIG_BLOB:
            return await asyncio.to_thread(self._blobs.put, data)
        return self._blobs.put(data)

    async def get_blob(self, sha256: str) -> bytes:
        """Return the bytes of a handle; see `Store.get_blob`."""
        return await asyncio.to_thread(self._blobs.get, sha256)

    async def close(self) -> None:
        """Close the file; may be called twice."""
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(
                self._folder / "runs.db",
                timeout=self._busy,
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

    @contextmanager
    def _faults(self) -> Generator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            path = self._folder / "runs.db"
            if "malformed" in str(error) or "not a database" in str(error):
                raise LogUnreadable(
                    f"{path} is damaged ({error}). Move it away to start a new log, or mend it "
                    "with `sqlite3 FILE .recover`."
                ) from error
            raise StoreError(f"The log {path} cannot be used: {error}.") from error
        except OSError as error:
            raise StoreError(f"The log's folder {self._folder} cannot be used: {error}.") from error


def _expect_length(db: sqlite3.Connection, run_id: str, expect: int) -> None:
    (length,) = db.execute(
        "SELECT ifnull(max(seq), -1) + 1 FROM events WHERE run_id = ?", (run_id,)
    ).fetchone()
    if length != expect:
        raise SequenceConflict(
            f"Run {run_id} has {length} events, not {expect}: another writer was first. Load the "
            "run again before going on."
        )


def _text(event: Event) -> str:
    return dump_body(event.body).decode()
