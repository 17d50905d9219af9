"""Appending to the log beside a bare insert of the same bytes into the same kind of table.

The bare insert is one statement in a transaction of its own, with the row ready-made: no event, no
JSON, no check of the sequence. All are done in turns, so that what else goes on here hits each.
PostgreSQL is a server of our own with its default durability, where initdb is installed.

    python -m benchmarks.store [--events 2000] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import postgres
from agentkit.events import Event, ToolFinished, dump_body, new_run_id, now
from agentkit.store import SQLiteStore, open_store

RUNS = 100
BODY = ToolFinished(
    call_id="call_0123456789", name="search", status="ok", content="a result " * 60, seconds=0.2
)
DDL = (
    "CREATE TABLE bare (run_id {text} NOT NULL, seq integer NOT NULL, at text NOT NULL,"
    " kind text NOT NULL, version integer NOT NULL, body text NOT NULL, PRIMARY KEY (run_id, seq))"
)


def events(run_id: str, count: int, start: int = 0) -> list[Event]:
    """Return so many ordinary events."""
    return [Event(run_id, seq, now(), BODY) for seq in range(start, start + count)]


def rows(run_id: str, count: int, start: int) -> list[tuple]:
    """Return the rows of such events, ready-made."""
    return [
        (run_id, event.seq, event.at, event.kind, 1, dump_body(event.body).decode())
        for event in events(run_id, count, start)
    ]


async def compare(store, insert, count: int) -> dict:
    """Append to one run, to another under a claim, and insert the same rows, in turns."""
    plain, claimed = sorted((new_run_id(), new_run_id()))  # an agent's run is claimed, and newest
    await store.append(claimed, events(claimed, 1, 0), 0)
    claim = await store.claim(claimed, 3600)
    kinds = ("append", "insert", "append under a claim", "insert beside it")
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(count):
        [free], [held] = events(plain, 1, number), events(claimed, 1, number + 1)
        [[row], [other]] = rows(plain, 1, number), rows(claimed, 1, number)
        for turn in range(4):
            kind = kinds[(number + turn) % 4]
            before = time.perf_counter()
            if kind == "append":
                await store.append(plain, [free], number)
            elif kind == "append under a claim":
                await store.append(claimed, [held], number + 1, claim)
            else:
                await insert(row if kind == "insert" else other)
            seconds[kind].append(time.perf_counter() - before)
    append, bare, under, beside = (statistics.median(seconds[kind][50:]) for kind in kinds)
    return {
        "append p50 µs": append * 1e6,
        "bare insert p50 µs": bare * 1e6,
        "ratio": append / bare,
        "ratio under a claim": under / beside,
        "events/s": count / sum(seconds["append"]),
    }


async def at_once(store, count: int) -> dict:
    """Append to a hundred runs at once; every event has to be there afterwards."""
    each = max(5, count // RUNS)
    ids = [new_run_id() for _ in range(RUNS)]

    async def write(run_id: str) -> None:
        for event in events(run_id, each):
            await store.append(run_id, [event], event.seq)

    before = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for run_id in ids:
            group.create_task(write(run_id))
    seconds = time.perf_counter() - before
    for run_id in ids:
        assert len(await store.load(run_id)) == each
    return {"100 runs at once, events/s": RUNS * each / seconds}


async def load(store) -> dict:
    """Load a run of 10,000 events."""
    run_id = new_run_id()
    await store.append(run_id, events(run_id, 10_000), 0)
    before = time.perf_counter()
    assert len(await store.load(run_id)) == 10_000
    return {"load 10,000 events ms": (time.perf_counter() - before) * 1e3}


async def sqlite(count: int) -> dict:
    """Measure SQLite."""
    with tempfile.TemporaryDirectory() as folder:
        db = sqlite3.connect(Path(folder) / "bare.db", isolation_level=None)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        db.execute(DDL.format(text="text") + " WITHOUT ROWID")

        async def insert(row: tuple) -> None:
            db.execute("INSERT INTO bare VALUES (?, ?, ?, ?, ?, ?)", row)

        store = SQLiteStore(folder)
        found = await compare(store, insert, count)
        found |= await at_once(store, count) | await load(store)
        await store.close()
        db.close()
        return found


async def postgresql(count: int) -> dict | None:
    """Measure PostgreSQL, or return None where there is none."""
    import psycopg

    programs = postgres.programs()
    if programs is None:
        return None
    server = postgres.Postgres(programs, sync=True)
    try:
        url = server.url()
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as db:
            await db.execute(DDL.format(text='text COLLATE "C"'))

            async def insert(row: tuple) -> None:
                await db.execute("INSERT INTO bare VALUES (%s, %s, %s, %s, %s, %s)", row)

            store = open_store(url)
            found = await compare(store, insert, count)
            found |= await at_once(store, count) | await load(store)
            await store.close()
            return found
    finally:
        server.remove()


def main() -> None:
    """Measure both stores and print a table, or JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {
        "sqlite": asyncio.run(sqlite(options.events)),
        "postgres": asyncio.run(postgresql(options.events)),
    }
    if options.json:
        print(json.dumps(found))
        return
    for name, figures in found.items():
        if figures is None:
            print(f"{name}: not installed (`agentkit setup --with postgres`)")
            continue
        print(name)
        for what, value in figures.items():
            print(
                f"  {what:<28} {value:>10,.2f}" if value < 100 else f"  {what:<28} {value:>10,.0f}"
            )


if __name__ == "__main__":
    main()
