"""Forks and replays: other courses from the same log, and the same course as a test."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from agentkit import Agent, MemoryStore, tool
from agentkit.agent.fork import fork
from agentkit.agent.replay import replay
from agentkit.errors import ConfigError, ReplayDiverged
from agentkit.events import ToolFinished, dump_line
from agentkit.testing import Call, Say, ScriptedModel
from agentkit.trace.diff import compare

pytest_plugins = ["pytester"]

RAN: list[str] = []


@tool
def write(text: str) -> str:
    """Write."""
    RAN.append(text)
    return f"wrote {text}"


def brain(request):
    said = [m["content"] for m in request["messages"] if m["role"] in ("user", "tool")]
    if len(said) < 3:
        return Say(f"I do {said[0]}", calls=[Call("write", {"text": f"{said[0]} {len(said)}"})])
    return Say(" / ".join(said))


def recorded(**options):
    """An agent and the log of one run of it."""
    agent = Agent(ScriptedModel(brain), tools=[write], store=MemoryStore(), **options)

    async def main():
        result = await agent.run("this")
        return result, await agent.store.load(result.run_id)

    result, events = asyncio.run(main())
    RAN.clear()
    return agent, result, events


def never(request):
    raise AssertionError("the model was asked")


def test_a_fork_goes_on_from_the_middle_and_leaves_the_first_run_alone():
    agent, result, events = recorded()
    seq = next(e.seq for e in events if isinstance(e.body, ToolFinished))

    async def main():
        forked = await fork(agent.store, result.run_id, at=seq, edit="something else")
        other = await agent.resume(forked)
        assert other.output == "this / something else / wrote this 2"
        assert await agent.store.load(result.run_id) == events
        log = await agent.store.load(forked)
        assert (log[0].body.forked_from, log[0].body.forked_at) == (result.run_id, seq)
        assert [pair.change for pair in compare(events, log)] == ["result", "same", "calls"]
        asked = await fork(agent.store, result.run_id, at=1, edit="that")
        assert (await agent.resume(asked)).output == "that / wrote that 1 / wrote that 2"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"at": 99}, "no event 99"),
        ({"at": 2, "edit": "x"}, "is a replied"),
        ({"at": -1}, "no event"),
    ],
)
def test_a_fork_that_cannot_be_is_refused(options, said):
    agent, result, _ = recorded()
    with pytest.raises(ConfigError, match=said):
        asyncio.run(fork(agent.store, result.run_id, **options))


def test_a_replay_from_the_log_asks_and_does_nothing_and_gives_the_same():
    agent, result, events = recorded()
    silent = replace(agent, model=ScriptedModel(never))
    again = asyncio.run(replay(silent, events))
    assert (again.output, RAN) == (result.output, [])
    log = asyncio.run(agent.store.load(again.run_id))
    assert {pair.change for pair in compare(events, log)} == {"same"}


def test_a_replay_notices_whatever_would_change_the_prompt():
    agent, _, events = recorded()
    with pytest.raises(ReplayDiverged, match="Request 1 differs"):
        asyncio.run(replay(replace(agent, instructions="Be terse."), events))
    other = tool(name="other")(lambda: "")
    with pytest.raises(ReplayDiverged):
        asyncio.run(replay(replace(agent, tools=[write, other]), events))


def test_tools_from_the_log_serve_another_model_without_effects():
    agent, _, events = recorded()

    def other(request):
        if request["messages"][-1]["role"] == "user":
            known, unknown = {"text": "this 1"}, {"text": "never seen"}
            return Say(calls=[Call("write", known), Call("write", unknown)])
        return Say("done")

    result = asyncio.run(replay(replace(agent, model=ScriptedModel(other)), events, model="anew"))
    outputs = [message.content for message in result.messages[3:5]]
    assert outputs[0] == "wrote this 1"
    assert "no such call" in outputs[1]
    assert RAN == []


def test_the_model_from_the_log_drives_changed_tools():
    agent, _, events = recorded()

    @tool(name="write")
    def changed(text: str) -> str:
        """Write."""
        return f"better {text}"

    result = asyncio.run(replay(replace(agent, tools=[changed]), events, tools="anew"))
    assert result.messages[3].content == "better this 1"


def test_a_recorded_run_is_a_test(pytester):
    _, _, events = recorded()
    (pytester.path / "run.jsonl").write_bytes(b"".join(map(dump_line, events)))
    pytester.makepyfile(
        """
        import pytest
        from agentkit import Agent, tool
        from agentkit.testing import ScriptedModel

        @tool
        def write(text: str) -> str:
            \"""Write.\"""
            raise AssertionError("it ran")

        def agent(**options):
            return Agent(ScriptedModel([]), tools=[write], **options)

        @pytest.mark.agentkit_replay("run.jsonl")
        def test_same(replayed):
            assert replayed(agent()).output == "this / wrote this 1 / wrote this 2"

        @pytest.mark.agentkit_replay("run.jsonl")
        def test_other(replayed):
            replayed(agent(instructions="Be terse."))

        def test_unmarked(replayed):
            pass
        """
    )
    outcome = pytester.runpytest_subprocess(
        "-p", "agentkit.testing.pytest_plugin", "--strict-markers"
    )
    outcome.assert_outcomes(passed=1, failed=1, errors=1)
    outcome.stdout.fnmatch_lines(["*ReplayDiverged: Request 1 differs*"])
