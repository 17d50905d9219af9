"""Calls inside sub-agents that somebody has to allow: the whole family pauses, and goes on."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from families import ASKING, ask_clerk, bodies, chief, family, said, send_to

from agentkit import Agent, Limits, MemoryStore
from agentkit.errors import ConfigError, LimitExceeded, RunTaken
from agentkit.events import (
    ApprovalAnswered,
    Event,
    Nested,
    RunPaused,
    ToolFinished,
)
from agentkit.store import open_store
from agentkit.testing import Call, Say, ScriptedModel


def test_a_call_inside_a_sub_agent_pauses_both_runs_until_it_is_approved(tools, done):
    async def main():
        store = MemoryStore()
        calls = ask_clerk("Ada", "c1"), Call("write", {"text": "mine"}, id="m1")
        paused = await family(store, tools, *calls).run("go")
        (question,) = paused.pending
        assert paused.output is None
        assert (question.tool, question.call_id) == ("send", "s1")
        assert (question.arguments, question.reason) == ({"to": "Ada"}, "it leaves the house")
        assert question.run_id != paused.run_id
        # What needs nobody went on, above and below.
        assert sorted(done) == ["write copy Ada", "write draft Ada", "write mine"]
        for run_id in (paused.run_id, question.run_id):
            assert isinstance((await store.load(run_id))[-1].body, RunPaused)
        answers = {"s1": True}
        result = await family(store, tools, *calls).resume(paused.run_id, answers=answers)
        assert result.output == (
            "all: Ada: wrote draft Ada / sent to Ada / wrote copy Ada | wrote mine"
        )
        assert sorted(done) == ["send Ada", "write copy Ada", "write draft Ada", "write mine"]
        (answer,) = await bodies(store, question.run_id, ApprovalAnswered)
        assert (answer.call_id, answer.approved, answer.by) == ("s1", True, "caller")
        (finished,) = [
            one for one in await bodies(store, paused.run_id, ToolFinished) if one.call_id == "c1"
        ]
        assert (finished.sub_run.run_id, finished.sub_run.turns) == (question.run_id, 3)

    asyncio.run(main())


def test_a_denial_tells_the_sub_agents_model_why(tools, done):
    async def main():
        store = MemoryStore()
        async with family(store, tools, ask_clerk("Ada", "c1")).open() as run:
            await run.send("go")
            await run.deny("s1", "not on Sundays")
            assert run.pending == ()
            result = await run.resume()
        assert "Denied: send was not run. Reason: not on Sundays." in result.output
        assert sorted(done) == ["write copy Ada", "write draft Ada"]

    asyncio.run(main())


def test_an_answer_is_remembered_in_the_run_that_asked(tools, done):
    def insistent(request):
        _, results = said(request)
        return Say("enough") if len(results) > 1 else Say(calls=[Call("send", {"to": "Ada"})])

    async def main():
        sub = Agent(ScriptedModel(insistent), name="sub", tools=tools, approval=ASKING)
        calls = Call("sub", {"task": "t"}, id="c1"), Call("sub", {"task": "u"}, id="c2")
        boss = Agent(ScriptedModel(chief(*calls)), tools=[sub.as_tool()], store=MemoryStore())
        async with boss.open() as run:
            paused = await run.send("go")
            await run.approve(paused.pending[0].address, remember=True)
            again = await run.resume()
            # The other run has its own memory, and goes on waiting.
            assert [one.run_id for one in again.pending] == [paused.pending[1].run_id]
            assert done == ["send Ada"] * 2
            await run.approve(again.pending[0].address, remember=True)
            result = await run.resume()
        assert result.output == "all: enough | enough"
        assert done == ["send Ada"] * 4

    asyncio.run(main())


@pytest.fixture(params=["sqlite", "postgres"])
def place(request, tmp_path):
    """The URL of a durable store."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/log"
    return request.getfixturevalue("postgres_server").url()


@asynccontextmanager
async def process(url):
    """Give the store as a process of its own would open it."""
    store = open_store(url)
    try:
        yield store
    finally:
        await store.close()


def test_calls_of_one_id_in_several_runs_are_told_apart_by_their_runs(tools, done, place):
    calls = ask_clerk("Ada", "c1"), ask_clerk("via Bob", "c2"), ask_clerk("Cid", "c3")

    async def resume(run_id, answers):
        async with process(place) as store:
            return await family(store, tools, *calls).resume(run_id, answers=answers)

    async def main():
        async with process(place) as store:
            paused = await family(store, tools, *calls).run("go")
            ends = [(await store.load(one.run_id))[-1].kind for one in await store.runs()]
        assert ends == ["run_paused"] * 5
        places = {one.arguments["to"]: one for one in paused.pending}
        assert {one.call_id for one in paused.pending} == {"s1"}
        assert len({one.run_id for one in paused.pending}) == 3
        for wrong in ("s1", "s"):
            with pytest.raises(ConfigError, match="may mean several") as caught:
                await resume(paused.run_id, {wrong: True})
            assert all(one.address in str(caught.value) for one in paused.pending)
        with pytest.raises(ConfigError, match=f"Waiting: {places['Ada'].address}"):
            await resume(paused.run_id, {"x": True})
        # One answer, and only that run goes on; the answer reaches a sub-agent's sub-agent.
        again = await resume(paused.run_id, {places["Bob"].address: True})
        left = {places["Ada"].address, places["Cid"].address}
        assert {one.address for one in again.pending} == left
        assert [one for one in done if one.startswith("send")] == ["send Bob"]
        # The beginning of each id is enough where it names one call.
        short = f"{places['Ada'].run_id[:20]}/s"
        result = await resume(paused.run_id, {short: "no", places["Cid"].address: True})
        assert result.output.startswith("all: Ada: wrote draft Ada / Denied")
        assert "via Bob: wrote draft via Bob / ran: sent to Bob / wrote copy" in result.output
        assert len(done) == len(set(done)) == 8

    asyncio.run(main())


def test_the_logs_say_where_the_calls_wait(tools):
    calls = ask_clerk("via Bob", "c1"), send_to("me")

    async def main():
        store = MemoryStore()
        seen = []
        top = family(store, tools, *calls, approval=ASKING)
        async with top.open(seen.append) as run:
            paused = await run.send("go")
            own, below = paused.pending
            (pause,) = await bodies(store, run.id, RunPaused)
            assert pause.calls == ("s1", below.address)
            assert list(pause.sub_runs) == ["c1"]
            middle = pause.sub_runs["c1"]
            assert (middle.turns, middle.usage.input > 0) == (2, True)
            (inner,) = await bodies(store, middle.run_id, RunPaused)
            assert inner.calls == (below.address,)
            assert inner.sub_runs["r1"].run_id == below.run_id
            # Its own call of the same id does not hide that of the sub-agent's sub-agent.
            with pytest.raises(ConfigError, match="several"):
                await run.approve("s1")
            await run.approve(own.address)
            seen.clear()
            await run.approve("s1")
            (told,) = seen
            assert (told.run_id, told.event.run_id) == (middle.run_id, below.run_id)
            assert isinstance(told.event.event.body, ApprovalAnswered)
            await run.resume()
        events = [one.event.event for one in seen if isinstance(getattr(one, "event", 0), Nested)]
        kinds = [one.kind for one in events if isinstance(one, Event)]
        assert kinds[-1] == "run_finished"

    asyncio.run(main())


def test_what_paused_sub_agents_spent_counts_in_the_next_process(tools):
    calls = ask_clerk("Ada", "c1"), ask_clerk("via Bob", "c2")

    async def main():
        store = MemoryStore()
        paused = await family(store, tools, *calls).run("go")
        async with family(store, tools, *calls).open(run_id=paused.run_id) as run:
            assert run.measure().usage == paused.usage
            assert run.measure().cost_usd == pytest.approx(paused.cost_usd)
            assert run.spent.cost_usd < paused.cost_usd
        limits = Limits(cost_usd=paused.cost_usd)
        answers = {one.address: True for one in paused.pending}
        with pytest.raises(LimitExceeded):
            await family(store, tools, *calls, limits=limits).resume(paused.run_id, answers=answers)

    asyncio.run(main())


def test_a_call_answered_elsewhere_waits_no_longer_and_a_new_message_drops_it(tools, done):
    calls = (ask_clerk("Ada", "c1"),)

    async def main():
        store = MemoryStore()
        async with family(store, tools, *calls).open() as run:
            (question,) = (await run.send("go")).pending
            log = await store.load(question.run_id)
            answer = ApprovalAnswered(call_id="s1", name="send", approved=False)
            event = Event(question.run_id, len(log), "2026-01-01T00:00:00+00:00", answer)
            await store.append(question.run_id, [event], len(log))
            with pytest.raises(ConfigError, match="waits no longer"):
                await run.approve("s1")
        async with family(store, tools, *calls).open() as run:
            await run.send("go")
            claim = await store.claim(run.pending[0].run_id)
            with pytest.raises(RunTaken):
                await run.approve("s1")
            await store.release(claim)
            result = await run.send("never mind")
            assert (result.pending, run.pending) == ((), ())
            assert run.spent.cost_usd == pytest.approx(result.cost_usd)
        assert "send Ada" not in done
        (dropped,) = await bodies(store, run.id, ToolFinished)
        assert (dropped.status, dropped.sub_run.turns) == ("cancelled", 2)

    asyncio.run(main())


def test_an_approver_of_the_parent_may_leave_a_question_for_later(tools, done):
    calls, asked = (ask_clerk("Ada", "c1"),), []

    def approver(question):
        asked.append(question.address)
        return None if len(asked) == 1 else True

    async def main():
        store = MemoryStore()
        top = family(store, tools, *calls, approver=approver)
        paused = await top.run("go")
        assert [one.address for one in paused.pending] == asked
        result = await top.resume(paused.run_id)
        assert result.output.startswith("all: Ada: wrote draft Ada / sent to Ada")
        assert asked == [asked[0]] * 2

    asyncio.run(main())
