"""Runs for the page's tests, written into a store event by event with times of their own."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from agentkit.events import (
    ApprovalAnswered,
    ApprovalAsked,
    ArtifactRef,
    Event,
    Noted,
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
)
from agentkit.messages import Assistant, ToolCall
from agentkit.usage import Limits, Usage

ANSWER = """\
## Inflation in 2025

Spain had the **highest** rate, France the lowest.

| Country | Rate | Source |
|---|---|---|
| Germany | 2.1 % | destatis.de |
| France | 1.9 % | insee.fr |
| Spain | 2.4 % | ine.es |

The chart is `rates.png`."""
CODE = """\
import matplotlib.pyplot as plt

rates = {"DE": 2.1, "FR": 1.9, "ES": 2.4}
plt.bar(rates.keys(), rates.values())
plt.savefig("rates.png")"""
BEGAN = datetime(2026, 3, 4, 9, 30, tzinfo=UTC)


@dataclass
class Story:
    """A log that is being written: each body with the second at which it happened."""

    run_id: str
    events: list[Event] = field(default_factory=list)

    def at(self, second, *bodies):
        at = (BEGAN + timedelta(seconds=second)).isoformat(timespec="microseconds")
        for body in bodies:
            self.events.append(Event(self.run_id, len(self.events), at, body))
        return self

    async def keep(self, store):
        """Write it into a store, with the handles that its first event names."""
        await store.append(self.run_id, self.events, 0)
        return self.run_id


def started(agent="researcher", **more):
    base = {
        "model": "glm-5",
        "provider": "zai",
        "instructions": "0" * 64,
        "tools": "1" * 64,
        "limits": Limits(turns=40, cost_usd=0.5),
    }
    return RunStarted(agent=agent, **(base | more))


def replied(text="", *calls, thinking="", prompt=1000, cached=0, output=80, seconds=1.0, **more):
    """A reply; a call is (id, name) or (id, name, arguments as JSON text)."""
    asked = tuple(ToolCall(call[0], call[1], call[2] if len(call) > 2 else "{}") for call in calls)
    thought = more.pop("thought", len(thinking) // 4)
    base = {
        "cost_usd": (prompt - cached) * 1e-6 + cached * 2e-7 + output * 3.2e-6,
        "finish_reason": "tool_calls" if asked else "stop",
        "model": "glm-5",
        "request_digest": "d" * 64,
        "first_delta_seconds": seconds * 0.2,
    }
    return Replied(
        message=Assistant(text, thinking, asked),
        usage=Usage(prompt, cached, output, min(thought, output)),
        seconds=seconds,
        **(base | more),
    )


def start(call_id, name, arguments=None, **more):
    return ToolStarted(call_id=call_id, name=name, arguments=arguments or {}, **more)


def finish(call_id, name, content="", status="ok", **more):
    return ToolFinished(call_id=call_id, name=name, status=status, content=content, **more)


def png(width=320, height=120):
    """A small picture with a gradient."""
    rows = b"".join(
        b"\0" + bytes(v for x in range(width) for v in (40 + 200 * x // width, 90 + y % 100, 170))
        for y in range(height)
    )

    def chunk(name, data):
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """An edit of the context as a store of a newer agentkit may hold it."""

    kind: ClassVar[str] = "cleared"
    version: ClassVar[int] = 1
    results: dict = field(default_factory=dict)
    reason: str = ""
    removed: int = 0
    rewritten: int = 0
    pays_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """A kind that the page has never heard of."""

    kind: ClassVar[str] = "solar_wind"
    version: ClassVar[int] = 1
    speed: int
    remark: str


PLAN = ("Collect sources", "Compare the figures", "Check with a sub-agent", "Write the report")


def plan(done, doing):
    states = ["done"] * done + ["in_progress"] * doing
    states += ["pending"] * (len(PLAN) - len(states))
    return {"steps": [{"title": t, "status": s} for t, s in zip(PLAN, states, strict=True)]}


async def eventful(store):
    """A finished run with all that a page can show; returns the id of the run.

    It has parallel and failed calls, repairs, a retry, approvals, a pause of a night, an edit of
    the context, a prefix break, two sub-agents at once (one with one of its own), artifacts.
    """
    picture = await store.put_blob(png())
    rates = "country,rate\nDE,2.1\nFR,1.9\nES,2.4\n"
    table = await store.put_blob(rates.encode())
    instructions = await store.put_blob(b"You compare figures and name every source.")
    tools = await store.put_blob(b'[{"type":"function","function":{"name":"search"}}]')
    for child, agent, offset in (("c1" * 12, "fact checker", 21.0), ("c2" * 12, "editor", 21.0)):
        await _child(
            store,
            child,
            agent,
            offset,
            grandchild="c3" * 12 if offset and agent == "editor" else "",
        )
    await _child(store, "c3" * 12, "proofreader", 23.2)
    story = Story("a1" * 12)
    story.at(0, started(instructions=instructions, tools=tools))
    story.at(
        0.1, UserMessage(content="Compare inflation in Germany, France and Spain, with sources.")
    )
    story.at(
        2.4,
        replied(
            "I plan, then search in **three languages** at once.",
            ("p1", "update_plan", '{"steps": []}'),
            ("s1", "search", '{"query": "Inflationsrate 2025"}'),
            ("s2", "search", '{"query": "taux d\'inflation 2025"}'),
            ("s3", "search", "{'query': 'inflación 2025'"),
            thinking="Three countries, three languages. Statistics offices publish in their own "
            "language, so one query each will find more than one in English.",
            prompt=2100,
            output=240,
            seconds=2.2,
        ),
    )
    story.at(2.41, start("p1", "update_plan", plan(0, 1)))
    story.at(
        2.42,
        start("s1", "search", {"query": "Inflationsrate 2025"}),
        start("s2", "search", {"query": "taux d'inflation 2025"}),
        start(
            "s3",
            "search",
            {"query": "inflación 2025"},
            repairs=("single quotes became double", "a brace was added at the end"),
        ),
    )
    story.at(2.43, finish("p1", "update_plan", "Plan: 0 of 4 steps done."))
    story.at(3.3, finish("s2", "search", "[1] insee.fr: 1,9 % sur un an", seconds=0.9))
    story.at(
        3.9,
        finish(
            "s1",
            "search",
            "[1] destatis.de: 2,1 % im Jahresmittel\n" + "weitere Zeile\n" * 60,
            seconds=1.5,
        ),
    )
    story.at(
        4.6,
        finish(
            "s3",
            "search",
            "TimeoutError: the search took longer than 2 s. Narrow the query.",
            status="timeout",
            seconds=2.2,
        ),
    )
    story.at(
        6.8,
        replied(
            "",
            ("s4", "search", '{"query": "IPC España 2025"}'),
            ("p2", "update_plan"),
            ("x1", "serch_web"),
            thinking="Spain timed out; I narrow the query.",
            prompt=3900,
            cached=2048,
            seconds=2.0,
            attempts=2,
            faults=("a stray chunk after the end was dropped",),
        ),
    )
    story.at(
        6.81,
        start("s4", "search", {"query": "IPC España 2025"}),
        start("p2", "update_plan", plan(1, 1)),
    )
    story.at(
        6.82,
        finish("p2", "update_plan", "Plan: 1 of 4 steps done."),
        finish(
            "x1",
            "serch_web",
            "There is no tool 'serch_web'. Did you mean 'search'?",
            status="error",
        ),
    )
    story.at(7.9, finish("s4", "search", "[1] ine.es: 2,4 %", seconds=1.1))
    story.at(
        7.91,
        Reminder(topic="plan", content="Plan: 1 of 4 steps done. Go on with: Compare the figures."),
    )
    story.at(
        9.5,
        replied(
            "The figures are there. I publish a draft, which needs a yes.",
            ("a1", "publish", '{"title": "Draft"}'),
            thinking="Publishing has an effect outside.",
            prompt=4700,
            cached=3840,
            seconds=1.5,
        ),
    )
    arguments = {
        "title": "Draft",
        "notify": ["ann@example.org", "bo@example.org"],
        "body": "# Draft\n\nDE 2.1, FR 1.9, ES 2.4\n\nall figures per year",
    }
    story.at(
        9.51,
        ApprovalAsked(
            call_id="a1", name="publish", arguments=arguments, reason="publish is destructive"
        ),
    )
    story.at(9.52, RunPaused(reason="approval of publish", calls=("a1",)))
    night = 11 * 3600
    story.at(
        night, RunResumed(model="glm-5", provider="zai", instructions=instructions, tools=tools)
    )
    story.at(
        night + 0.1,
        ApprovalAnswered(call_id="a1", name="publish", approved=True, reason="go ahead"),
    )
    story.at(night + 0.2, start("a1", "publish", arguments))
    story.at(
        night + 1.1, finish("a1", "publish", '{"url": "https://example.org/draft"}', seconds=0.9)
    )
    story.at(
        night + 1.2,
        Noted(
            topic="cold_cache",
            text="the provider's cache was cold after 11 h",
            data={"uncached_tokens": 4700},
        ),
    )
    second = night - 20.0
    story.at(
        second + 24,
        replied(
            "",
            ("g1", "ask_fact_checker", '{"task": "Check DE and FR"}'),
            ("g2", "ask_editor", '{"task": "Shorten"}'),
            ("p3", "update_plan"),
            prompt=5200,
            cached=0,
            seconds=1.8,
        ),
    )
    story.at(
        second + 24.1,
        start("g1", "ask_fact_checker", {"task": "Check DE and FR"}),
        start("g2", "ask_editor", {"task": "Shorten"}),
        start("p3", "update_plan", plan(2, 1)),
    )
    story.at(second + 24.2, finish("p3", "update_plan", "Plan: 2 of 4 steps done."))
    story.at(
        second + 29,
        finish(
            "g1",
            "ask_fact_checker",
            "Both figures hold.",
            seconds=4.9,
            sub_run=SubRun("c1" * 12, 2, Usage(3000, 1000, 160, 20), 0.0029),
        ),
    )
    story.at(
        second + 31,
        finish(
            "g2",
            "ask_editor",
            "Shortened.",
            seconds=6.9,
            sub_run=SubRun("c2" * 12, 3, Usage(4500, 1500, 240, 30), 0.0041),
        ),
    )
    story.at(
        second + 31.1,
        Cleared(
            results={"s1": "[cleared; read_result opens it]"},
            reason="break_even",
            removed=2900,
            rewritten=1200,
            pays_after=1.7,
        ),
    )
    story.at(
        second + 33,
        replied(
            "",
            ("d1", "execute_code", '{"code": "plot()"}'),
            ("d2", "execute_code"),
            prompt=3100,
            cached=1900,
            seconds=1.4,
        ),
    )
    story.at(
        second + 33.1,
        start("d1", "execute_code", {"code": CODE}),
        start("d2", "execute_code", {"code": "1/0"}),
    )
    story.at(
        second + 33.4,
        finish(
            "d2",
            "execute_code",
            "Traceback (most recent call last):\nZeroDivisionError: division by zero",
            status="error",
            seconds=0.3,
        ),
    )
    story.at(
        second + 35,
        finish(
            "d1",
            "execute_code",
            "bars drawn: 3",
            seconds=1.9,
            artifacts=(
                ArtifactRef("rates.png", "image/png", picture, len(png())),
                ArtifactRef("rates.csv", "text/csv", table, len(rates)),
            ),
        ),
    )
    story.at(
        second + 35.1,
        Noted(
            topic="prefix_break",
            text="the prompt's prefix moved at message 3 (tool): 4182 bytes lose their cache",
            data={"index": 3, "role": "tool", "lost_bytes": 4182},
        ),
    )
    story.at(
        second + 37,
        replied(
            ANSWER,
            thinking="All steps are done.",
            prompt=3600,
            cached=1024,
            output=190,
            seconds=1.9,
        ),
    )
    story.at(second + 37.01, Telemetry(speed=420, remark="calm"))
    story.at(
        second + 37.02,
        RunFinished(
            output=ANSWER,
            turns=6,
            usage=Usage(),
            cost_usd=0.04,
            seconds=second + 37,
        ),
    )
    return await story.keep(store)


async def _child(store, run_id, agent, offset, grandchild=""):
    second = 11 * 3600 - 20.0 + offset + 3.2
    story = Story(run_id)
    story.at(second, started(agent, parent_run="a1" * 12, parent_call="g1"))
    story.at(second + 0.1, UserMessage(content=f"You are the {agent}. Do your part."))
    story.at(
        second + 1.5,
        replied(
            "I look it up.",
            ("k1", "search", '{"query": "x"}'),
            thinking="Short task.",
            prompt=1400,
            seconds=1.3,
        ),
    )
    story.at(second + 1.6, start("k1", "search", {"query": "x"}))
    story.at(
        second + 2.6,
        finish(
            "k1",
            "search",
            "found",
            seconds=1.0,
            sub_run=SubRun(grandchild, 2, Usage(900, 0, 50, 0), 0.001) if grandchild else None,
        ),
    )
    story.at(second + 4.2, replied("Both figures hold.", prompt=1600, cached=1000, seconds=1.5))
    story.at(
        second + 4.3,
        RunFinished(
            output="Both figures hold.", turns=2, usage=Usage(), cost_usd=0.002, seconds=4.3
        ),
    )
    return await story.keep(store)


async def ended(store, how):
    """A run that did not finish: "failed", "interrupted", "paused" or "running"."""
    story = Story({"failed": "f1", "interrupted": "f2", "paused": "f3", "running": "f4"}[how] * 12)
    story.at(0, started("mechanic"))
    story.at(0.05, UserMessage(content="Mend the build."))
    story.at(
        3.0,
        replied(
            "I look at the log first.",
            ("r1", "run_shell", '{"command": "make"}'),
            ("r2", "run_shell", '{"command": "git log"}'),
            thinking="A broken build: read the log.",
            prompt=1800,
            seconds=2.9,
        ),
    )
    story.at(3.1, start("r1", "run_shell", {"command": "make"}))
    if how == "paused":
        story.at(3.2, finish("r1", "run_shell", "cc: error: main.c: No such file", seconds=0.1))
        story.at(
            3.3,
            ApprovalAsked(
                call_id="r2",
                name="run_shell",
                arguments={"command": "git log"},
                reason="shell commands need approval",
            ),
        )
        story.at(3.4, RunPaused(reason="approval of 1 call", calls=("r2",)))
        return await story.keep(store)
    story.at(3.15, start("r2", "run_shell", {"command": "git log"}))
    story.at(3.6, finish("r2", "run_shell", "f00 Move main.c away", seconds=0.5))
    if how == "running":
        return await story.keep(store)
    if how == "interrupted":
        return await story.at(9.0, RunInterrupted(reason="cancelled")).keep(store)
    story.at(
        4.0,
        finish("r1", "run_shell", "cc: error: main.c: No such file", status="error", seconds=0.9),
    )
    story.at(
        16.0,
        RunFailed(
            error="BalanceExhausted",
            message="The account has no balance (HTTP 429, code 1113). Waiting does not cure this.",
        ),
    )
    return await story.keep(store)
