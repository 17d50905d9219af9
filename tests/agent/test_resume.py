"""Resume: the same loop, started on the log as it stands."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit import (
    Agent,
    ApprovalPolicy,
    Limits,
    MemoryStore,
    Rule,
    SQLiteStore,
    tool,
    update_plan,
)
from agentkit.errors import ConfigError, LimitExceeded, RunChanged, RunNotFound, RunTaken
from agentkit.events import Event, RunResumed, ToolFinished, ToolStarted
from agentkit.testing import Call, Say, ScriptedModel

CALLS: list[str] = []


@tool
def write(text: str) -> str:
    """Write."""
    CALLS.append(text)
    return f"wrote {text}"


@tool(read_only=True)
def read(name: str) -> str:
    """Read."""
    return f"read {name}"


@tool(idempotent=True)
def put(name: str) -> str:
    """Put."""
    CALLS.append(name)
    return f"put {name}"


TOOLS = (write, read, put, update_plan)


def brain(request):
    """Answer by what stands in the prompt, as a model does: the same prompt, the same answer."""
    results = [m["content"] for m in request["messages"] if m["role"] == "tool"]
    turns = sum(m["role"] == "assistant" for m in request["messages"])
    if turns >= 4:
        return Say("the end: " + " / ".join(results))
    return Say(
        f"turn {turns}",
        "thinking",
        [
            Call("write", {"text": f"w{turns}"}, id=f"w{turns}"),
            Call("read", {"name": f"r{turns}"}, id=f"r{turns}"),
            Call("put", {"name": f"p{turns}"}, id=f"p{turns}"),
        ],
    )


def agent_on(store, **options):
    given = {"tools": TOOLS, "strict": True, **options}
    return Agent(given.pop("model", ScriptedModel(brain)), store=store, **given)


async def cut(store, run_id, length):
    """Return a store in which the run's log ends after `length` events, as a kill leaves it."""
    log = await store.load(run_id)
    made = MemoryStore()
    for event in log:
        if event.kind == "run_started":
            for handle in (event.body.instructions, event.body.tools):
                assert await made.put_blob(await store.get_blob(handle)) == handle
    await made.append(run_id, [Event(run_id, e.seq, e.at, e.body) for e in log[:length]], 0)
    return made


def whole():
    async def main():
        store, model = MemoryStore(), ScriptedModel(brain)
        result = await agent_on(store, model=model).run("go")
        return store, result, model.requests

    return asyncio.run(main())


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_run_cut_anywhere_goes_on_to_the_same_end(data):
    CALLS.clear()
    store, result, requests = whole()
    full = asyncio.run(store.load(result.run_id))
    length = data.draw(st.integers(2, len(full)), label="events kept")

    async def main():
        killed = await cut(store, result.run_id, length)
        in_flight = _in_flight(full[:length])
        done = {e.body.call_id for e in full[:length] if isinstance(e.body, ToolFinished)}
        CALLS.clear()
        model = ScriptedModel(brain)
        again = await agent_on(killed, model=model).resume(result.run_id[:20])
        log = await killed.load(result.run_id)
        assert log[:length] == full[:length]
        # What was finished is not run again; what was in flight only if that does no harm.
        assert not done & set(CALLS)
        unknown = {
            e.body.call_id
            for e in log
            if isinstance(e.body, ToolFinished) and e.body.status == "unknown"
        }
        assert unknown == {call for call in in_flight if call.startswith("w")}
        if not unknown:
            assert again.output == result.output
            assert model.requests == requests[len(requests) - len(model.requests) :]
        assert again.turns == result.turns
        retried = [e.body for e in log[length:] if isinstance(e.body, ToolStarted)]
        assert all((one.attempt == 2) == (one.call_id in in_flight) for one in retried)

    asyncio.run(main())


def _in_flight(log):
    started = {e.body.call_id for e in log if isinstance(e.body, ToolStarted)}
    return started - {e.body.call_id for e in log if isinstance(e.body, ToolFinished)}


def test_a_limit_that_stopped_a_run_can_be_raised():
    async def main():
        store = MemoryStore()
        with pytest.raises(LimitExceeded):
            await agent_on(store, limits=Limits(turns=2)).run("go")
        (summary,) = await store.runs()
        result = await agent_on(store, limits=Limits(turns=9)).resume(summary.run_id)
        assert result.output.startswith("the end: wrote w0")
        assert result.turns == 5

    asyncio.run(main())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"instructions": "Be terse."}, "+Be terse."),
        ({"tools": (*TOOLS[1:], tool(name="other")(lambda: ""))}, "tools: +other, -write"),
        ({"model": ScriptedModel(brain, "glm-5.3")}, "glm-5 at scripted -> glm-5.3 at scripted"),
    ],
)
def test_a_changed_agent_is_refused_with_a_diff_or_accepted_on_request(options, said):
    async def main():
        store = MemoryStore()
        with pytest.raises(LimitExceeded):
            await agent_on(store, limits=Limits(turns=1)).run("go")
        (summary,) = await store.runs()
        before = await store.load(summary.run_id)
        changed = agent_on(store, **options)
        with pytest.raises(RunChanged) as caught:
            await changed.resume(summary.run_id)
        assert said in str(caught.value)
        assert await store.load(summary.run_id) == before
        result = await changed.resume(summary.run_id, accept_changes=True)
        log = await store.load(summary.run_id)
        resumed = next(e.body for e in log if isinstance(e.body, RunResumed))
        assert resumed.changed == caught.value.changed
        assert result.output.startswith("the end")

    asyncio.run(main())


def test_a_conversation_goes_on_in_another_process():
    async def main():
        store = MemoryStore()
        async with agent_on(store, model=ScriptedModel(["one"])).open() as run:
            await run.send("first")
        model = ScriptedModel(["two"])
        async with agent_on(store, model=model).open(run_id=run.id) as run:
            result = await run.send("second")
        assert result.output == "two"
        assert [m["content"] for m in model.requests[0]][1:] == ["first", "one", "second"]

    asyncio.run(main())


def test_two_that_resume_the_same_run_one_goes_on_the_other_is_told(tmp_path):
    async def main():
        stores = SQLiteStore(tmp_path), SQLiteStore(tmp_path)
        begun = asyncio.Event()

        async def hold() -> str:
            begun.set()
            await asyncio.sleep(60)
            return ""

        slow = tool(read_only=True)(hold)
        script = [Say(calls=[Call("hold")]), "done"]
        agent = Agent(ScriptedModel(script), tools=[slow], store=stores[0])
        running = asyncio.create_task(agent.run("go"))
        await begun.wait()
        (summary,) = await stores[1].runs()
        other = Agent(ScriptedModel(script), tools=[slow], store=stores[1])
        with pytest.raises(RunTaken):
            await other.resume(summary.run_id)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        quick = Agent(ScriptedModel(script[1:]), tools=[slow], store=stores[1])
        assert (await quick.resume(summary.run_id)).output == "done"
        for store in stores:
            await store.close()

    asyncio.run(main())


def test_what_cannot_be_resumed_is_named():
    async def main():
        store = MemoryStore()
        agent = agent_on(store)
        with pytest.raises(RunNotFound):
            await agent.resume("nothing")
        async with agent.open() as run:
            with pytest.raises(ConfigError, match="no user message yet"):
                await run.resume()

    asyncio.run(main())


ASKING = ApprovalPolicy((Rule("ask", "write", reason="it writes"),))


def test_a_call_to_be_approved_pauses_the_run_until_another_process_answers():
    CALLS.clear()

    async def main():
        store = MemoryStore()
        paused = await agent_on(store, approval=ASKING).run("go")
        assert paused.output is None
        (question,) = paused.pending
        assert (question.tool, question.call_id, question.reason) == ("write", "w0", "it writes")
        assert [c for c in CALLS if c.startswith("w")] == []
        assert "p0" in CALLS  # the other calls of the turn went on
        log = await store.load(paused.run_id)
        assert log[-1].kind == "run_paused"
        answers = {"w0": True}
        for turn in range(1, 4):
            paused = await agent_on(store, approval=ASKING).resume(paused.run_id, answers=answers)
            assert [one.call_id for one in paused.pending] == [f"w{turn}"]
            answers = {f"w{turn}": "not today"}
        done = await agent_on(store, approval=ASKING).resume(paused.run_id, answers=answers)
        assert done.pending == ()
        assert [c for c in CALLS if c.startswith("w")] == ["w0"]
        assert done.output.count("not today") == 3
        assert CALLS.count("p0") == 1

    asyncio.run(main())


def test_an_answer_can_be_remembered_for_the_run_and_unknown_ones_are_refused():
    CALLS.clear()

    async def main():
        store = MemoryStore()
        agent = agent_on(store, approval=ASKING)
        async with agent.open() as run:
            paused = await run.send("go")
            with pytest.raises(ConfigError, match=r"Waiting: w0 \(write\)"):
                await run.approve("p0")
            await run.approve(paused.pending[0].call_id, remember=True)
            done = await run.resume()
        assert done.pending == ()
        assert [c for c in CALLS if c.startswith("w")] == ["w0", "w1", "w2", "w3"]

    asyncio.run(main())


def test_a_call_of_unknown_outcome_can_be_asked_about():
    CALLS.clear()
    store, result, _ = whole()
    full = asyncio.run(store.load(result.run_id))
    start = next(e.seq for e in full if isinstance(e.body, ToolStarted) and e.body.name == "write")

    async def main():
        killed = await cut(store, result.run_id, start + 1)
        policy = ApprovalPolicy(unknown="ask")
        CALLS.clear()
        paused = await agent_on(killed, approval=policy).resume(result.run_id)
        (question,) = paused.pending
        assert "outcome is unknown" in question.reason
        done = await agent_on(killed, approval=policy).resume(result.run_id, answers={"w0": True})
        assert done.output == result.output
        assert CALLS.count("w0") == 1

    asyncio.run(main())


def test_a_sub_agent_in_flight_goes_on_from_its_own_log():
    async def main():
        store = MemoryStore()
        sub = Agent(
            ScriptedModel(brain), tools=TOOLS, name="sub", limits=Limits(turns=2), store=store
        )
        begun = asyncio.Event()

        @tool
        async def hang() -> str:
            """Hang."""
            begun.set()
            await asyncio.sleep(60)
            return ""

        script = [Say(calls=[Call("sub", {"task": "t"}, id="s")]), "done"]
        first = Agent(ScriptedModel(script[:1]), tools=[sub.as_tool()], store=store)
        with pytest.raises(Exception, match="scripted"):
            await first.run("go")
        logs = [await store.load(one.run_id) for one in await store.runs()]
        log = next(one for one in logs if one[0].body.parent_run is None)
        parent_id = log[0].run_id
        assert [e.body.status for e in log if isinstance(e.body, ToolFinished)] == ["error"]
        # The same log, as it was while the sub-agent worked.
        cut_at = next(e.seq for e in log if isinstance(e.body, ToolStarted)) + 1
        killed = await cut(store, parent_id, cut_at)
        for summary in await store.runs():
            if summary.run_id != parent_id:
                child = await store.load(summary.run_id)
                for handle in (child[0].body.instructions, child[0].body.tools):
                    await killed.put_blob(await store.get_blob(handle))
                await killed.append(summary.run_id, child[:-1], 0)
        resumed = Agent(
            ScriptedModel(script[1:]),
            tools=[replace(sub, limits=Limits(turns=9)).as_tool()],
            store=killed,
        )
        result = await resumed.resume(parent_id)
        finished = [
            e.body for e in await killed.load(parent_id) if isinstance(e.body, ToolFinished)
        ]
        assert finished[0].content.startswith("the end: wrote w0")
        assert finished[0].sub_run.turns == 5
        assert result.output == "done"

    asyncio.run(main())
