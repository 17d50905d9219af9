"""One example or more of every durable kind."""

from __future__ import annotations

from agentkit.events import (
    ApprovalAnswered,
    ApprovalAsked,
    ArtifactRef,
    Cleared,
    Compacted,
    Event,
    Noted,
    Offloaded,
    Reminder,
    Replied,
    RunFailed,
    RunFinished,
    RunInterrupted,
    RunPaused,
    RunResumed,
    RunStarted,
    SubRun,
    ToolFinished,
    ToolStarted,
    UserMessage,
    now,
)
from agentkit.messages import Assistant, Image, Text, ToolCall
from agentkit.usage import Limits, Usage

EXAMPLES = (
    RunStarted(agent="a", model="glm-5", provider="zai", instructions="0", tools="1"),
    RunStarted(
        agent="a",
        model="glm-5",
        provider="zai",
        instructions="0",
        tools="1",
        limits=Limits(turns=None, cost_usd=0.5),
        parent_run="p",
        parent_call="c",
    ),
    UserMessage(content="你好, Привет"),
    UserMessage(content=(Text("see"), Image("https://example.org/a.png"))),
    Replied(
        message=Assistant("a", "t", (ToolCall("c", "f", '{"a":'),)),
        usage=Usage(10, 5, 3, 1),
        cost_usd=None,
        finish_reason="tool_calls",
        model="glm-5",
        request_digest="d",
        seconds=1.5,
        first_delta_seconds=0.2,
        faults=("mended",),
    ),
    ToolStarted(call_id="c", name="f", arguments={"a": [1, {"b": None}]}, repairs=("r",)),
    ToolFinished(
        call_id="c",
        name="f",
        status="ok",
        content="done",
        artifacts=(ArtifactRef("a.png", "image/png", "0" * 64, 9),),
        sub_run=SubRun("r", 2, Usage(7, 5, 3, 1), None),
    ),
    Reminder(topic="plan", content="[>] one"),
    ApprovalAsked(call_id="c", name="f", arguments={"a": 1}, reason="destructive"),
    ApprovalAnswered(call_id="c", name="f", approved=False, reason="no", remember=True),
    RunPaused(reason="approval", calls=("c",)),
    RunResumed(model="m", provider="p", instructions="0", tools="1", changed=("tools",)),
    Offloaded(call_id="c", handle="0" * 64, size=9, tokens=3, preview="p", same_as="b"),
    Cleared(results={"c": "[cleared]"}, handles={"c": "0" * 64}, removed=9, pays_after=1.5),
    Compacted(cut=7, content="ledger", user=(Text("go"),), summary={"d1": "why"}),
    Noted(topic="window", text="full", data={"tokens": 1}),
    RunInterrupted(reason="cancelled"),
    RunFailed(error="LimitExceeded", message="turns"),
    RunFinished(output="o", turns=1, usage=Usage(), cost_usd=0.1, seconds=2.0),
)


def events(run_id, *bodies, start=0):
    """Return bodies as the events of a run, from `start` on."""
    return [Event(run_id, start + index, now(), body) for index, body in enumerate(bodies)]


def notes(run_id, count, start=0):
    """Return so many small events."""
    bodies = [Noted(topic="n", text=str(start + index)) for index in range(count)]
    return events(run_id, *bodies, start=start)
