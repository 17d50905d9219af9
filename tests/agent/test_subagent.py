"""Sub-agents: runs of their own that serve a call, under their parent's limits."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from agentkit import Agent, Artifact, Limits, MemoryStore, ToolResult, tool
from agentkit.agent.below import child_id
from agentkit.errors import LimitExceeded, RunNotFound
from agentkit.events import Nested, RunStarted, ToolFinished
from agentkit.testing import Call, Say, ScriptedModel


@tool
def draw(what: str) -> ToolResult:
    """Draw."""
    return ToolResult(f"drew {what}", (Artifact(f"{what}.png", "image/png", b"png"),))


def researcher(brain, **options):
    return Agent(
        ScriptedModel(brain), instructions="You find things out.", name="research", **options
    )


def answer_task(request):
    return Say(f"about {request['messages'][1]['content']}")


def boss(script, *subs, **options):
    tools = [sub.as_tool() for sub in subs]
    return Agent(ScriptedModel(script), tools=tools, strict=True, **options)


def task(text):
    return Call("research", {"task": text})


def bodies(events, kind):
    return [event.body for event in events if isinstance(event.body, kind)]


def test_many_sub_agents_answer_at_once_each_in_a_run_of_its_own():
    store, seen = MemoryStore(), []
    script = [Say(calls=[task("A"), task("B"), task("C")]), "all three"]
    agent = boss(script, researcher(answer_task), store=store)

    async def main():
        result = await agent.run("go", seen.append)
        log = await store.load(result.run_id)
        for finished in bodies(log, ToolFinished):
            child = await store.load(finished.sub_run.run_id)
            started = child[0].body
            assert isinstance(started, RunStarted)
            assert (started.parent_run, started.parent_call) == (result.run_id, finished.call_id)
            assert child[0].run_id == child_id(result.run_id, finished.call_id)
        return result, log

    result, log = asyncio.run(main())
    assert [one.content for one in bodies(log, ToolFinished)] == ["about A", "about B", "about C"]
    assert result.turns == 2
    parts = [one.sub_run for one in bodies(log, ToolFinished)]
    own = [event.body for event in log if event.kind == "replied"]
    assert result.cost_usd == pytest.approx(
        sum(one.cost_usd for one in parts) + sum(one.cost_usd for one in own)
    )
    nested = [event for event in seen if isinstance(event, Nested)]
    assert {event.run_id for event in nested} == {part.run_id for part in parts}
    kinds = [event.event.kind for event in nested if hasattr(event.event, "kind")]
    assert kinds.count("run_finished") == 3


def test_what_a_sub_agent_spends_counts_for_the_limits_above_it():
    store = MemoryStore()

    def busy(request):
        return Say(calls=[Call("draw", {"what": f"x{len(request['messages'])}"})])

    agent = boss(
        [Say(calls=[task("A")]), "done"],
        researcher(busy, tools=[draw], limits=Limits(turns=None)),
        store=store,
        limits=Limits(cost_usd=0.02),
    )

    async def main():
        with pytest.raises(LimitExceeded):
            await agent.run("go")
        runs = [await store.load(one.run_id) for one in await store.runs()]
        return next(log for log in runs if log[0].body.parent_run is None)

    (finished,) = bodies(asyncio.run(main()), ToolFinished)
    assert "LimitExceeded" in finished.content
    assert finished.sub_run.turns > 5
    assert 0.015 < finished.sub_run.cost_usd < 0.02


def test_a_sub_agent_that_fails_is_a_result_with_its_cost():
    store = MemoryStore()
    looping = researcher(
        lambda _: Say(calls=[Call("draw", {"what": "x"})]), tools=[draw], limits=Limits(turns=2)
    )
    agent = boss([Say(calls=[task("A")]), "done"], looping, store=store)

    async def main():
        result = await agent.run("go")
        return result, await store.load(result.run_id)

    result, log = asyncio.run(main())
    finished = bodies(log, ToolFinished)[0]
    assert result.output == "done"
    assert (finished.status, finished.sub_run.turns) == ("error", 2)
    assert "LimitExceeded" in finished.content


def test_artifacts_of_a_sub_agent_are_its_parents_too():
    script = [Say(calls=[Call("draw", {"what": "cat"})]), "a cat"]
    agent = boss(
        [Say(calls=[task("cat")]), "here"], researcher(script, tools=[draw]), store=MemoryStore()
    )
    result = asyncio.run(agent.run("go"))
    assert [(one.name, one.data) for one in result.artifacts] == [("cat.png", b"png")]


def test_cancelling_the_parent_ends_its_sub_agents_with_a_word_in_their_logs():
    store = MemoryStore()

    async def main():
        begun = asyncio.Event()

        @tool
        async def wait() -> str:
            """Wait."""
            begun.set()
            await asyncio.sleep(60)
            return ""

        slow = researcher([Say(calls=[Call("wait")])], tools=[wait])
        running = asyncio.create_task(
            boss([Say(calls=[task("A")]), "done"], slow, store=store).run("go")
        )
        await begun.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        runs = await store.runs()
        assert len(runs) == 2
        return [(await store.load(one.run_id))[-1].kind for one in runs]

    assert asyncio.run(main()) == ["run_interrupted", "run_interrupted"]


def test_outside_a_run_the_tool_simply_runs_the_agent():
    store = MemoryStore()
    made = replace(researcher(answer_task), store=store).as_tool("ask", "Ask anything.")
    assert made.name == "ask"
    assert made.parameters["properties"]["task"]["description"].startswith("everything")
    with pytest.raises(RunNotFound):
        asyncio.run(store.load("0"))


def test_a_call_id_that_comes_again_in_a_later_turn_is_another_run():
    script = [Say(calls=[replace(task(what), id="c")]) for what in "AB"]
    seen = []

    async def main():
        agent = boss([*script, "done"], researcher(answer_task), store=MemoryStore())
        async with agent.open(seen.append) as run:
            await run.send("go")

    asyncio.run(main())
    log = [event for event in seen if not isinstance(event, Nested) and hasattr(event, "body")]
    results = bodies(log, ToolFinished)
    assert [one.content for one in results] == ["about A", "about B"]
    assert len({one.sub_run.run_id for one in results}) == 2
