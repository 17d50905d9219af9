"""PostgreSQL: what only a server can do, such as go away and come back."""

from __future__ import annotations

import asyncio

import pytest

import postgres
from agentkit import GLM, Agent, tool
from agentkit.errors import SequenceConflict, StoreError
from agentkit.store import open_store
from agentkit.testing import Call, GLMServer, Say
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


def test_an_append_is_not_cut_short_by_a_cancellation_which_comes_after_it(postgres_server):
    async def main():
        store = open_store(postgres_server.url())
        await store.append("run", notes("run", 1), 0)
        returned = 0
        for delay in (0, 0, 0.0001, 0.0005, 0.001, 0.002):
            have = len(await store.load("run"))

            async def work(have=have):
                nonlocal returned
                await store.append("run", notes("run", 5, start=have), have)
                returned += 5
                await asyncio.sleep(60)

            task = asyncio.create_task(work())
            await asyncio.sleep(delay)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            assert len(await store.load("run")) == 1 + returned
        assert returned >= 10

        async def late():
            async with asyncio.timeout(0):  # its cancellation stays its own
                await store.append("run", notes("run", 1, start=1 + returned), 1 + returned)
                await asyncio.sleep(60)

        with pytest.raises(TimeoutError):
            await late()
        await store.close()

    asyncio.run(main())


def test_an_agents_run_that_is_cancelled_within_an_append_ends_its_log(postgres_server):
    async def main():
        store = open_store(postgres_server.url())

        @tool
        async def step() -> str:
            """Take a step."""
            return "taken"

        append, doomed = store.append, []

        async def cut(run_id, events, expect, claim=None):
            if expect == at:  # comes while the append below waits for the server
                asyncio.get_running_loop().call_soon(doomed[-1].cancel)
            await append(run_id, events, expect, claim)

        store.append = cut
        async with GLMServer(lambda _: Say("", "", [Call("step")])) as server:
            agent = Agent(GLM(base_url=server.base_url), tools=[step], store=store)
            for at in range(1, 9):
                doomed.append(asyncio.create_task(agent.run("go")))
                await asyncio.wait(doomed[-1:])
                assert doomed[-1].cancelled()
                [newest] = await store.runs(1)
                assert newest.last_kind == "run_interrupted"
                assert newest.events > at + 1
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
