"""Calls inside sub-agents that somebody has to allow: the whole family pauses, and goes on."""

from __future__ import annotations

import asyncio

import pytest

from agentkit import Agent, ApprovalPolicy, MemoryStore, Rule, tool
from agentkit.events import ApprovalAnswered, RunPaused, ToolFinished
from agentkit.testing import Call, Say, ScriptedModel

ASKING = ApprovalPolicy((Rule("ask", "send", reason="it leaves the house"),))


@pytest.fixture
def done():
    """What the tools did, in order."""
    return []


@pytest.fixture
def tools(done):
    @tool
    def send(to: str) -> str:
        """Send."""
        done.append(f"send {to}")
        return f"sent to {to}"

    @tool
    def write(text: str) -> str:
        """Write."""
        done.append(f"write {text}")
        return f"wrote {text}"

    return [send, write]


def clerk(request):
    """Write, then write and send at once, then say what came of it."""
    task = request["messages"][1]["content"]
    results = [m["content"] for m in request["messages"] if m["role"] == "tool"]
    if not results:
        return Say(calls=[Call("write", {"text": f"draft {task}"}, id="w1")])
    if len(results) == 1:
        copy = Call("write", {"text": f"copy {task}"}, id="w2")
        return Say(calls=[Call("send", {"to": task}, id="s1"), copy])
    return Say(f"{task}: {' / '.join(results)}")


def chief(*calls):
    def brain(request):
        results = [m["content"] for m in request["messages"] if m["role"] == "tool"]
        return Say("all: " + " | ".join(results)) if results else Say(calls=list(calls))

    return brain


def family(store, tools, *calls):
    clerk_agent = Agent(
        ScriptedModel(clerk), instructions="You write.", name="clerk", tools=tools, approval=ASKING
    )
    return Agent(
        ScriptedModel(chief(*calls)),
        name="chief",
        tools=[clerk_agent.as_tool(), *tools],
        store=store,
        strict=True,
    )


def ask_clerk(task, call_id):
    return Call("clerk", {"task": task}, id=call_id)


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
        log = [event.body for event in await store.load(question.run_id)]
        assert [one.by for one in log if isinstance(one, ApprovalAnswered)] == ["caller"]
        above = [event.body for event in await store.load(paused.run_id)]
        (finished,) = [
            one for one in above if isinstance(one, ToolFinished) and one.call_id == "c1"
        ]
        assert (finished.sub_run.run_id, finished.sub_run.turns) == (question.run_id, 3)

    asyncio.run(main())
