"""Claims: one worker at a time, a lease that ends, and an epoch that shuts out the stale one."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap

import pytest

from agentkit.errors import RunNotFound, RunTaken, SequenceConflict
from agentkit.store import SQLiteStore, open_store
from bodies import notes


def test_a_claimed_run_is_refused_to_others_until_it_is_released(store):
    async def main():
        await store.append("run", notes("run", 1), 0)
        mine = await store.claim("run")
        with pytest.raises(RunTaken):
            await store.claim("run")
        await store.append("run", notes("run", 1, start=1), 1, mine)
        await store.append("run", notes("run", 2, start=2), 2, mine)
        await store.release(mine)
        for number in (1, 2):
            with pytest.raises(RunTaken):
                await store.append("run", notes("run", number, start=4), 4, mine)
        with pytest.raises(RunTaken):
            await store.renew(mine)
        await store.append("run", notes("run", 1, start=4), 4)
        later = await store.claim("run")
        assert later.epoch > mine.epoch
        assert len(await store.load("run")) == 5

    asyncio.run(main())


def test_a_lease_that_ended_goes_to_the_next_and_the_stale_owner_is_shut_out(store):
    async def main():
        await store.append("run", notes("run", 1), 0)
        stale = await store.claim("run", seconds=0)
        await store.append("run", notes("run", 1, start=1), 1, stale)  # nobody took it yet
        await store.renew(stale, seconds=0)
        fresh = await store.claim("run", seconds=60)
        for act in (
            store.append("run", notes("run", 1, start=2), 2, stale),
            store.append("run", notes("run", 3, start=2), 2, stale),
            store.renew(stale),
        ):
            with pytest.raises(RunTaken):
                await act
        await store.release(stale)  # does not touch the new owner's
        await store.append("run", notes("run", 1, start=2), 2, fresh)
        await store.renew(fresh)
        with pytest.raises(SequenceConflict):
            await store.append("run", notes("run", 1, start=2), 2, fresh)
        assert len(await store.load("run")) == 3

    asyncio.run(main())


def test_a_run_that_is_not_there_cannot_be_claimed(store):
    async def main():
        with pytest.raises(RunNotFound, match="nobody"):
            await store.claim("nobody")

    asyncio.run(main())


def test_of_many_that_claim_at_once_one_gets_the_run(places):
    async def main():
        stores = [places() for _ in range(8)]
        await stores[0].append("run", notes("run", 1), 0)

        async def attempt(store):
            try:
                return await store.claim("run")
            except RunTaken:
                return None

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(attempt(store)) for store in stores]
        claims = [task.result() for task in tasks if task.result()]
        assert len(claims) == 1
        for store in stores:
            await store.close()

    asyncio.run(main())


def test_a_lease_that_ran_out_is_renewed_as_long_as_nobody_took_it(store):
    async def main():
        await store.append("run", notes("run", 1), 0)
        mine = await store.claim("run", seconds=0)
        await store.renew(mine)
        with pytest.raises(RunTaken):
            await store.claim("run")

    asyncio.run(main())


WORKER = textwrap.dedent(
    """
    import asyncio, sys
    from agentkit.store import open_store

    async def main():
        store = open_store(sys.argv[1])
        print((await store.claim("run", seconds=float(sys.argv[2]))).epoch, flush=True)
        await asyncio.sleep(600)

    asyncio.run(main())
    """
)


def worker(url, seconds):
    """Start another process that claims the run and works until it is killed."""
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, url, str(seconds)], stdout=subprocess.PIPE, text=True
    )


def test_a_killed_worker_of_a_local_log_leaves_its_run_free_at_once(tmp_path):
    async def main():
        store = SQLiteStore(tmp_path)
        await store.append("run", notes("run", 1), 0)
        with worker(f"sqlite:///{tmp_path}", 3600) as process:
            assert process.stdout.readline() == "1\n"
            with pytest.raises(RunTaken, match="Another worker"):
                await store.claim("run")
            os.kill(process.pid, signal.SIGKILL)
        assert (await store.claim("run")).epoch == 2
        await store.close()
        assert not list((tmp_path / "owners").iterdir())

    asyncio.run(main())


def test_a_closed_store_lets_go_of_its_claims(tmp_path):
    async def main():
        first, second = SQLiteStore(tmp_path), SQLiteStore(tmp_path)
        await first.append("run", notes("run", 1), 0)
        await first.claim("run", seconds=3600)
        with pytest.raises(RunTaken):
            await second.claim("run")
        await first.close()
        assert (await second.claim("run")).epoch == 2
        await second.close()

    asyncio.run(main())


def test_a_lease_of_an_earlier_boot_holds_nothing(tmp_path):
    async def main():
        first, second = SQLiteStore(tmp_path), SQLiteStore(tmp_path)
        await first.append("run", notes("run", 1), 0)
        await first.claim("run", seconds=3600)
        with sqlite3.connect(tmp_path / "runs.db") as db:
            db.execute("UPDATE claims SET boot = 'another', until = 1e12")
        db.close()
        assert (await second.claim("run")).epoch == 2
        await first.close()
        await second.close()

    asyncio.run(main())


def test_a_wall_clock_that_jumps_moves_no_lease_of_a_local_log(tmp_path, monkeypatch):
    async def main():
        first, second = SQLiteStore(tmp_path), SQLiteStore(tmp_path)
        await first.append("run", notes("run", 1), 0)
        await first.claim("run", seconds=60)
        monkeypatch.setattr("time.time", lambda: 4e9)
        with pytest.raises(RunTaken):
            await second.claim("run")
        await first.close()
        await second.close()

    asyncio.run(main())


def test_a_server_clock_that_was_set_back_does_not_keep_a_run_for_ever(postgres_server):
    import psycopg

    url = postgres_server.url()

    async def main():
        first, second = open_store(url), open_store(url)
        await first.append("run", notes("run", 1), 0)
        await first.claim("run", seconds=60)
        with pytest.raises(RunTaken):
            await second.claim("run")
        with psycopg.connect(url, autocommit=True) as db:  # as a lease looks after such a jump
            db.execute("UPDATE agentkit_claims SET until = until + interval '1 day'")
        assert (await second.claim("run")).epoch == 2
        await first.close()
        await second.close()

    asyncio.run(main())
