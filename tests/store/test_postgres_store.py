"""PostgreSQL: what only a server can do, such as go away and come back."""

from __future__ import annotations

import asyncio

import pytest

import postgres
from agentkit.errors import SequenceConflict, StoreError
from agentkit.store import open_store
from bodies import notes


@pytest.fixture
def own_server(postgres_server):
    server = postgres.Postgres(postgres.programs())
    yield server
    server.remove()


def test_a_server_that_goes_away_is_told_and_works_again_when_it_is_back(own_server):
    async def main():
        store = open_store(own_server.url())
        await store.append("run", notes("run", 3), 0)
        own_server.stop()
        for act in (store.append("run", notes("run", 1, start=3), 3), store.load("run")):
            with pytest.raises(StoreError, match="cannot be used"):
                await act
        own_server.start()
        await store.append("run", notes("run", 1, start=3), 3)
        assert len(await store.load("run")) == 4
        await store.close()

    asyncio.run(main())


def test_a_server_that_was_restarted_between_two_appends_is_not_even_noticed(own_server):
    async def main():
        store = open_store(own_server.url())
        async with asyncio.TaskGroup() as group:  # several connections, all of which break
            for number in range(6):
                group.create_task(store.append(f"run{number}", notes(f"run{number}", 1), 0))
        own_server.stop()
        own_server.start()
        async with asyncio.TaskGroup() as group:
            for number in range(6):
                run = f"run{number}"
                group.create_task(store.append(run, notes(run, 1, start=1), 1))
        assert [run.events for run in await store.runs()] == [2] * 6
        await store.close()

    asyncio.run(main())


def test_an_append_whose_acknowledgement_was_lost_is_recognised_by_its_rows(postgres_server):
    async def main():
        store = open_store(postgres_server.url())
        same = notes("run", 2)
        await store.append("run", same, 0)
        await store.append("run", same, 0)  # as after a connection that broke in between
        with pytest.raises(SequenceConflict):
            await store.append("run", notes("run", 2), 0)
        assert await store.load("run") == same
        await store.close()

    asyncio.run(main())


def test_a_server_that_is_not_there_and_a_wrong_password_are_told_without_the_password():
    async def main():
        store = open_store("postgresql://me:s3cret@127.0.0.1:1/db")
        with pytest.raises(StoreError, match="db database cannot be used") as caught:
            await store.load("run")
        assert "s3cret" not in str(caught.value)
        await store.close()

    asyncio.run(main())


def test_a_cancelled_append_is_all_or_nothing_and_the_store_goes_on(postgres_server):
    async def main():
        store = open_store(postgres_server.url())
        await store.append("run", notes("run", 1), 0)
        for delay in (0, 0.0001, 0.0005, 0.001):
            have = len(await store.load("run"))
            task = asyncio.create_task(store.append("run", notes("run", 5, start=have), have))
            await asyncio.sleep(delay)
            task.cancel()
            await asyncio.wait([task])
            assert len(await store.load("run")) in (have, have + 5)
        await store.close()

    asyncio.run(main())


def test_a_store_serves_one_event_loop_after_the_other(postgres_server):
    store = open_store(postgres_server.url())
    for number in range(3):
        asyncio.run(store.append("run", notes("run", 1, start=number), number))
    assert len(asyncio.run(store.load("run"))) == 3
    asyncio.run(store.close())


def test_text_that_json_escapes_comes_back(postgres_server):
    async def main():
        store = open_store(postgres_server.url())
        from agentkit.events import Noted
        from bodies import events

        written = events("run", Noted(topic="n", text="\x00 \\u0000 你好 %s %(a)s 'quote'"))
        await store.append("run", written, 0)
        assert await store.load("run") == written
        await store.close()

    asyncio.run(main())
