"""Reminders: the plan recited, loops told and stopped; guardrails on input and replies."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from agentkit import Agent, Guardrails, MemoryStore, ReminderPolicy, ToolError, tool, update_plan
from agentkit.errors import GuardrailTripped, LoopDetected
from agentkit.events import ToolFinished
from agentkit.testing import Call, Say, ScriptedModel


def agent_of(script, tools, **options):
    model = ScriptedModel(script)
    return Agent(model, tools=tools, store=MemoryStore(), strict=True, **options), model


@tool(read_only=True)
def status() -> str:
    """Say how it stands."""
    return "still red"


def step(number):
    @tool
    def other(number: int) -> str:
        """Do something else."""
        return f"did {number}"

    return other


def plan(status="in_progress"):
    return Call("update_plan", {"steps": [{"title": "find it", "status": status}]})


def ask(name, **arguments):
    return Say(calls=[Call(name, arguments)])


def test_an_unfinished_plan_is_recited_at_the_end_of_a_result_every_few_turns():
    turns = [Say(calls=[plan()]), *[ask("other", number=n) for n in range(7)], "done"]
    agent, model = agent_of(turns, [update_plan, step(0)], reminders=ReminderPolicy(plan_every=3))
    asyncio.run(agent.run("go"))
    recited = [
        index
        for index, message in enumerate(model.requests[-1])
        if message["role"] == "tool" and message["content"].endswith("[>] find it]")
    ]
    assert len(recited) == 2
    assert not any(
        "find it" in str(m["content"]) for m in model.requests[-1] if m["role"] == "user"
    )


def test_a_plan_that_is_done_is_not_recited():
    turns = [Say(calls=[plan("done")]), *[ask("other", number=n) for n in range(5)], "done"]
    agent, model = agent_of(turns, [update_plan, step(0)], reminders=ReminderPolicy(plan_every=2))
    asyncio.run(agent.run("go"))
    assert not any("[Plan" in str(message["content"]) for message in model.requests[-1])


def test_the_same_call_with_the_same_result_is_told_and_then_stopped():
    agent, model = agent_of([ask("status")] * 8, [status])
    with pytest.raises(LoopDetected, match="status 6 times"):
        asyncio.run(agent.run("go"))
    told = [message["content"] for message in model.requests[-1] if message["role"] == "tool"]
    assert ["same result" in text for text in told] == [False, False, True, True, True]


def test_two_calls_in_turn_are_a_loop_too_but_new_results_are_progress():
    pair = [ask("status"), ask("other", number=1)]
    agent, model = agent_of([*pair * 3, "done"], [status, step(0)])
    asyncio.run(agent.run("go"))
    assert "same result" in str(model.requests[-1])
    moving = [one for n in range(6) for one in (ask("other", number=n), ask("status"))]
    agent, model = agent_of([*moving, "done"], [status, step(0)])
    asyncio.run(agent.run("go"))
    assert "same result" not in str(model.requests[-1])


def test_a_tool_that_fails_again_and_again_asks_for_reflection():
    @tool
    def fetch(page: int) -> str:
        """Fetch."""
        raise ToolError(f"no page {page}")

    agent, model = agent_of([*[ask("fetch", page=n) for n in range(3)], "done"], [fetch])
    asyncio.run(agent.run("go"))
    assert "fetch has failed 3 times in a row" in model.requests[-1][-1]["content"]
    assert "fetch has failed" not in str(model.requests[-2])


def test_an_input_guard_refuses_before_the_model_is_asked():
    agent, model = agent_of(["never"], [], guardrails=Guardrails(input=(lambda text: "no",)))
    with pytest.raises(GuardrailTripped, match="no") as caught:
        asyncio.run(agent.run("go"))
    assert caught.value.stage == "input"
    assert model.requests == []


def test_a_reply_guard_sees_the_calls_before_they_run_and_the_model_is_told_why():
    ran = count()

    @tool
    def delete(path: str) -> str:
        """Delete."""
        next(ran)
        return "gone"

    def careful(reply):
        return "never the root" if any('"/"' in c.arguments for c in reply.tool_calls) else None

    events = []
    agent, model = agent_of(
        [ask("delete", path="/"), ask("delete", path="/tmp/x"), "done"],
        [delete],
        guardrails=Guardrails(reply=(careful,)),
    )
    asyncio.run(agent.run("go", events.append))
    assert next(ran) == 1
    results = [e.body for e in events if isinstance(getattr(e, "body", None), ToolFinished)]
    assert [result.status for result in results] == ["denied", "ok"]
    assert "never the root" in model.requests[1][-1]["content"]


def test_a_reply_that_stays_refused_ends_the_run():
    agent, _ = agent_of(
        ["rude"] * 5, [], guardrails=Guardrails(reply=(lambda reply: "rude",), retries=1)
    )
    with pytest.raises(GuardrailTripped, match="2 times") as caught:
        asyncio.run(agent.run("go"))
    assert caught.value.stage == "reply"
