"""Logs that every earlier version made are opened and brought forward.

The statements stand here as they were released; a migration that is changed afterwards fails.
"""

from __future__ import annotations

import asyncio
import sqlite3

import pytest

from agentkit.errors import LogUnreadable
from agentkit.events import dump_body
from agentkit.store import SQLiteStore, open_store
from agentkit.store import postgres_sql as postgres
from agentkit.store import schema as sqlite
from bodies import EXAMPLES, events, notes

SQLITE = (
    """CREATE TABLE events (run_id TEXT NOT NULL, seq INTEGER NOT NULL, at TEXT NOT NULL,
       kind TEXT NOT NULL, version INTEGER NOT NULL, body TEXT NOT NULL,
       PRIMARY KEY (run_id, seq)) WITHOUT ROWID""",
    """CREATE TABLE claims (run_id TEXT PRIMARY KEY, owner TEXT, epoch INTEGER NOT NULL,
       boot TEXT NOT NULL, until REAL NOT NULL) WITHOUT ROWID""",
)
POSTGRES = (
    """CREATE TABLE agentkit_schema (version int NOT NULL);
       CREATE TABLE agentkit_events (run_id text COLLATE "C" NOT NULL, seq int NOT NULL,
         at text NOT NULL, kind text NOT NULL, version int NOT NULL, body text NOT NULL,
         PRIMARY KEY (run_id, seq));
       CREATE TABLE agentkit_blobs (sha256 text COLLATE "C" PRIMARY KEY, data bytea NOT NULL,
         at timestamptz NOT NULL);
       INSERT INTO agentkit_schema VALUES (1)""",
    """CREATE TABLE agentkit_claims (run_id text COLLATE "C" PRIMARY KEY, owner text,
         epoch int NOT NULL, until timestamptz NOT NULL, lease interval NOT NULL);
       INSERT INTO agentkit_schema VALUES (2)""",
)


async def check(store, written):
    """What was written before is there, and everything works."""
    assert await store.load("run") == written
    mine = await store.claim("run")
    await store.append("run", notes("run", 1, start=len(written)), len(written), mine)
    await store.close()


def rows(written):
    return [
        (e.run_id, e.seq, e.at, e.kind, e.body.version, dump_body(e.body).decode()) for e in written
    ]


def test_every_version_stands_here():
    assert len(SQLITE) == len(sqlite.MIGRATIONS)
    assert len(POSTGRES) == len(postgres.MIGRATIONS)


@pytest.mark.parametrize("version", range(1, len(SQLITE) + 1))
def test_a_file_of_every_version_is_brought_forward(tmp_path, version):
    written = events("run", *EXAMPLES)
    with sqlite3.connect(tmp_path / "runs.db") as db:
        for statement in SQLITE[:version]:
            db.execute(statement)
        db.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", rows(written))
        db.execute(f"PRAGMA user_version = {version}")
    db.close()
    asyncio.run(check(SQLiteStore(tmp_path), written))


@pytest.mark.parametrize("version", range(1, len(POSTGRES) + 1))
def test_a_database_of_every_version_is_brought_forward(postgres_server, version):
    import psycopg

    url = postgres_server.url()
    written = events("run", *EXAMPLES)
    with psycopg.connect(url, autocommit=True) as db:
        for statements in POSTGRES[:version]:
            db.execute(statements)
        insert = "INSERT INTO agentkit_events VALUES (%s, %s, %s, %s, %s, %s)"
        db.cursor().executemany(insert, rows(written))
    asyncio.run(check(open_store(url), written))


def test_a_database_from_a_newer_version_is_refused(postgres_server):
    import psycopg

    url = postgres_server.url()
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(POSTGRES[0])
        db.execute("INSERT INTO agentkit_schema VALUES (99)")

    async def main():
        store = open_store(url)
        with pytest.raises(LogUnreadable, match="Upgrade"):
            await store.runs()
        await store.close()

    asyncio.run(main())


def test_two_that_come_first_at_once_both_find_the_tables(places):
    async def main():
        stores = [places() for _ in range(6)]
        async with asyncio.TaskGroup() as group:
            for number, store in enumerate(stores):
                group.create_task(store.append(f"run{number}", notes(f"run{number}", 1), 0))
        assert len(await stores[0].runs()) == 6
        for store in stores:
            await store.close()

    asyncio.run(main())
