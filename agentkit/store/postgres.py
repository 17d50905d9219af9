"""Events, claims and blobs in one PostgreSQL database (extra `[postgres]`).

Any number of machines may share it. An append is one statement and one round trip; its commit is
on the server's disk when it returns (synchronous_commit stays as the server has it). A connection
that broke is replaced and its statement sent once more; an append that had reached the server
after all is recognised by its own rows. Leases end by the server's clock; one whose end lies
further ahead than it was made for, because that clock was set back, has ended too.
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, LiteralString
from urllib.parse import urlsplit

from agentkit.errors import (
    ConfigError,
    LogUnreadable,
    RunNotFound,
    RunTaken,
    SequenceConflict,
    StoreError,
)
from agentkit.events import Event, dump_body, load_body
from agentkit.store import postgres_sql as sql
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

try:
    import psycopg
    from psycopg import AsyncConnection
except ImportError as missing:
    raise ConfigError(
        "PostgreSQL needs psycopg. Install it with `pip install 'agentkit-glm[postgres]'`."
    ) from missing

_Row = tuple[Any, ...]
_Connection = AsyncConnection[_Row]

_REMEMBERED = 10_000
_CONNECT_SECONDS = 10
_UNBROKEN_SECONDS = 5.0  # how long a cancellation waits for a server that does not answer
_LOST = (psycopg.OperationalError, psycopg.InterfaceError)


class PostgresStore:
    """A store in a PostgreSQL database; its tables are made at the first use.

    Args:
        url: `postgresql://USER:PASSWORD@HOST:PORT/DATABASE?...` as libpq reads it; what it leaves
            out libpq takes from PGHOST, PGPASSWORD, ~/.pgpass and so on.
        connections: how many the store opens at most; more runs than that wait for one.
    """

    def __init__(self, url: str, *, connections: int = 8) -> None:
        self._url = url
        self._name = f"PostgreSQL {urlsplit(url).path.strip('/') or 'default'} database"
        self._owner = uuid.uuid4().hex
        self._connections = connections
        self._loop: asyncio.AbstractEventLoop | None = None
        self._room = asyncio.Semaphore(connections)
        self._idle: list[_Connection] = []
        self._next: dict[str, int] = {}  # number of events of runs that this store appended to last
        self._migrating = asyncio.Lock()
        self._migrated = False

    async def append(
        self, run_id: str, events: Sequence[Event], expect: int, claim: Claim | None = None
    ) -> None:
        """Append events in one statement; see `Store.append`.

        A cancellation does not cut it short: the events are stored, this returns, and the task is
        cancelled at its next await. So whoever appends knows what the log holds.
        """
        check_order(run_id, events, expect)
        rows = [
            (event.seq, event.at, event.body.kind, event.body.version, _text(event))
            for event in events
        ]
        await _unbroken(self._append(run_id, rows, expect, claim))

    async def _append(
        self, run_id: str, rows: list[_Row], expect: int, claim: Claim | None
    ) -> None:
        try:
            if len(rows) == 1 and self._next.get(run_id) == expect:
                count = await self._append_next(run_id, rows[0], claim)
            else:
                count = await self._append_all(run_id, rows, expect, claim)
        except psycopg.errors.UniqueViolation:
            count = 0  # another writer's statement was first, or ran at the same time
        if count != len(rows) or not rows:
            await self._explain(run_id, rows, expect, claim)
        if len(self._next) >= _REMEMBERED:
            self._next.clear()
        self._next[run_id] = expect + len(rows)

    async def _append_next(self, run_id: str, row: _Row, claim: Claim | None) -> int:
        if claim is None:
            return await self._count(sql.APPEND_NEXT, (run_id, *row))
        return await self._count(
            sql.APPEND_NEXT_HELD, (run_id, *row, run_id, claim.owner, claim.epoch)
        )

    async def _append_all(
        self, run_id: str, rows: list[_Row], expect: int, claim: Claim | None
    ) -> int:
        columns = [list(values) for values in zip(*rows, strict=True)] or [[] for _ in range(5)]
        given: dict[str, Any] = {"run": run_id, "expect": expect}
        given |= zip(("seq", "at", "kind", "version", "body"), columns, strict=True)
        if claim is None:
            return await self._count(sql.APPEND, given)
        return await self._count(
            sql.APPEND_HELD, given | {"owner": claim.owner, "epoch": claim.epoch}
        )

    async def load(self, run_id: str, after: int = -1) -> list[Event]:
        """Return the events of a run; see `Store.load`."""
        found = await self._rows(
            "SELECT DISTINCT run_id FROM agentkit_events WHERE run_id >= %s AND run_id < %s"
            " LIMIT 3",
            (run_id, run_id + "\x7f"),
        )
        name = only_match(run_id, [one for (one,) in found])
        rows = await self._rows(
            "SELECT seq, at, kind, version, body FROM agentkit_events WHERE run_id = %s"
            " AND seq > %s ORDER BY seq",
            (name, after),
        )
        events = [
            Event(name, seq, at, load_body(kind, version, body))
            for seq, at, kind, version, body in rows
        ]
        check_gaps(name, events, after)
        return events

    async def runs(self, limit: int = 20) -> list[RunSummary]:
        """Return the latest runs, newest first."""
        listed: list[RunSummary] = []
        for row in await self._rows(sql.RUNS, (limit,)):
            bodies = await self._rows(sql.FIRST_BODIES, row[:1])
            listed.append(summary(row, (load_body(*body) for body in bodies)))
        return listed

    async def claim(self, run_id: str, seconds: float = LEASE_SECONDS) -> Claim:
        """Become the only worker of a run; see `Store.claim`."""
        given = {"run": run_id, "owner": self._owner, "seconds": seconds}
        rows = await self._rows(sql.CLAIM, given)
        if rows:
            return Claim(run_id, self._owner, rows[0][0])
        if not await self._rows(
            "SELECT 1 FROM agentkit_events WHERE run_id = %s LIMIT 1", (run_id,)
        ):
            raise RunNotFound(f"There is no run {run_id!r} to claim.")
        raise RunTaken(
            f"Another worker has run {run_id}. Wait until its lease ends, or stop that worker."
        )

    async def renew(self, claim: Claim, seconds: float = LEASE_SECONDS) -> None:
        """Let a claim hold from now on; see `Store.renew`."""
        count = await self._count(
            "UPDATE agentkit_claims SET until = clock_timestamp() + make_interval(secs => %(s)s),"
            " lease = make_interval(secs => %(s)s)"
            " WHERE run_id = %(run)s AND owner = %(owner)s AND epoch = %(epoch)s",
            {"s": seconds, "run": claim.run_id, "owner": claim.owner, "epoch": claim.epoch},
        )
        if not count:
            raise _taken(claim)

    async def release(self, claim: Claim) -> None:
        """Give a claim back; see `Store.release`."""
        await self._count(
            "UPDATE agentkit_claims SET owner = NULL WHERE run_id = %s AND owner = %s"
            " AND epoch = %s",
            (claim.run_id, claim.owner, claim.epoch),
        )

    async def delete(self, run_id: str) -> None:
        """Forget a run; see `Store.delete`."""
        async with self._connection() as db, db.transaction():
            held = await db.execute(
                "SELECT owner IS NOT NULL AND until > clock_timestamp() FROM agentkit_claims"
                " WHERE run_id = %s FOR UPDATE",
                (run_id,),
            )
            if (row := await held.fetchone()) and row[0]:
                raise RunTaken(f"A worker has run {run_id}; it stays.")
            await db.execute("DELETE FROM agentkit_events WHERE run_id = %s", (run_id,))
            await db.execute("DELETE FROM agentkit_claims WHERE run_id = %s", (run_id,))
        self._next.pop(run_id, None)

    async def sweep(self, grace: float = BLOB_GRACE_SECONDS) -> int:
        """Delete blobs that no event names; see `Store.sweep`."""
        return int((await self._rows(sql.SWEEP, (grace,)))[0][0])

    async def put_blob(self, data: bytes) -> str:
        """Keep bytes and return their handle."""
        sha256 = hashlib.sha256(data).hexdigest()
        await self._count(
            "INSERT INTO agentkit_blobs VALUES (%s, %s, clock_timestamp())"
            " ON CONFLICT (sha256) DO UPDATE SET at = excluded.at",
            (sha256, data),
        )
        return sha256

    async def get_blob(self, sha256: str) -> bytes:
        """Return the bytes of a handle; see `Store.get_blob`."""
        rows = await self._rows("SELECT data FROM agentkit_blobs WHERE sha256 = %s", (sha256,))
        if not rows:
            raise StoreError(f"The blob {sha256!r} is missing.")
        data = bytes(rows[0][0])
        if hashlib.sha256(data).hexdigest() != sha256:
            raise StoreError(f"The blob {sha256} is damaged: its bytes do not fit its name.")
        return data

    async def close(self) -> None:
        """Close all connections; may be called twice."""
        idle, self._idle = self._idle, []
        for db in idle:
            db.pgconn.finish()  # at once, and in whatever event loop this is

    async def _explain(
        self, run_id: str, rows: list[_Row], expect: int, claim: Claim | None
    ) -> None:
        """Raise for an append that wrote nothing, unless its rows are there already."""
        stored = await self._rows(
            "SELECT seq, at, kind, version, body FROM agentkit_events WHERE run_id = %s"
            " AND seq >= %s ORDER BY seq",
            (run_id, expect),
        )
        if rows and stored[: len(rows)] == rows:
            return  # the connection broke after the commit, before its acknowledgement
        if claim is not None and not await self._rows(
            "SELECT 1 FROM agentkit_claims WHERE run_id = %s AND owner = %s AND epoch = %s",
            (run_id, claim.owner, claim.epoch),
        ):
            raise _taken(claim)
        length = await self._rows(
            "SELECT coalesce(max(seq), -1) + 1 FROM agentkit_events WHERE run_id = %s", (run_id,)
        )
        if rows or length[0][0] != expect:
            raise SequenceConflict(
                f"Run {run_id} has {length[0][0]} events, not {expect}: another writer was first. "
                "Load the run again before going on."
            )

    async def _rows(self, query: LiteralString, given: Any) -> list[_Row]:
        return (await self._execute(query, given))[1]

    async def _count(self, query: LiteralString, given: Any) -> int:
        return (await self._execute(query, given))[0]

    async def _execute(self, query: LiteralString, given: Any) -> tuple[int, list[_Row]]:
        """Run one statement; on a connection that proves to be broken, once more on a new one."""
        try:
            return await self._once(query, given)
        except _ConnectionLost:
            return await self._once(query, given)

    async def _once(self, query: LiteralString, given: Any) -> tuple[int, list[_Row]]:
        async with self._connection() as db:
            cursor = await db.execute(query, given)
            return cursor.rowcount, await cursor.fetchall() if cursor.description else []

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[_Connection]:
        """Lend a connection; one that broke or was cut off is not lent again."""
        await self._adopt_loop()
        async with self._room:
            used = bool(self._idle)
            try:
                db = self._idle.pop() if used else await self._connect()
            except _LOST as error:
                raise self._unreachable(error) from error
            try:
                yield db
            except psycopg.errors.UniqueViolation:
                raise
            except psycopg.Error as error:
                if db.broken and used:
                    await self.close()  # the others broke with it
                    raise _ConnectionLost(str(self._unreachable(error))) from error
                raise self._unreachable(error) from error
            finally:
                if db.broken or db.pgconn.transaction_status:
                    db.pgconn.finish()
                else:
                    self._idle.append(db)

    async def _adopt_loop(self) -> None:
        """Let go of what belongs to an event loop that has ended."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            await self.close()
            self._loop = loop
            self._room = asyncio.Semaphore(self._connections)
            self._migrating = asyncio.Lock()

    async def _connect(self) -> _Connection:
        db: _Connection = await AsyncConnection.connect(
            self._url, autocommit=True, connect_timeout=_CONNECT_SECONDS
        )
        try:
            async with self._migrating:
                if not self._migrated:
                    await _migrate(db)
                    self._migrated = True
        except BaseException:
            db.pgconn.finish()
            raise
        return db

    def _unreachable(self, error: psycopg.Error) -> StoreError:
        said = " ".join(str(error).split())
        return StoreError(f"The {self._name} cannot be used: {said}.")


class _ConnectionLost(StoreError):
    """A connection that had worked before is broken: the server was restarted, say."""


async def _migrate(db: _Connection) -> None:
    """Bring the tables to the newest version, in one transaction.

    Raises:
        LogUnreadable: a newer agentkit made them.
    """
    async with db.transaction():
        # Its own number: two processes that come first at once take turns.
        await db.execute("SELECT pg_advisory_xact_lock(4982365017)")
        await db.execute("CREATE TABLE IF NOT EXISTS agentkit_schema (version int NOT NULL)")
        row = await (await db.execute("SELECT max(version) FROM agentkit_schema")).fetchone()
        version = (row[0] if row else None) or 0
        if version > len(sql.MIGRATIONS):
            raise LogUnreadable(
                f"The database has schema version {version}; this agentkit knows up to "
                f"{len(sql.MIGRATIONS)}. Upgrade agentkit to use it."
            )
        for number, statements in enumerate(sql.MIGRATIONS[version:], version + 1):
            for statement in statements:
                await db.execute(statement)
            await db.execute("INSERT INTO agentkit_schema VALUES (%s)", (number,))


async def _unbroken(write: Coroutine[Any, Any, None]) -> None:
    """Let a write end although the waiting is cancelled; then let the cancellation go on."""
    task = asyncio.create_task(write)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=_UNBROKEN_SECONDS)
        if not task.done():
            task.cancel()  # the server hangs; whether the events are stored is not known
            raise
        if task.cancelled() or task.exception():
            raise
        if me := asyncio.current_task():
            me.uncancel()
            me.cancel()


def _taken(claim: Claim) -> RunTaken:
    return RunTaken(
        f"Claim {claim.epoch} on run {claim.run_id} no longer holds: it was released, or another "
        "worker has taken the run over. Stop working on it."
    )


def _text(event: Event) -> str:
    return dump_body(event.body).decode()
