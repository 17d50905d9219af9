"""Function calls of the Berkeley leaderboard (BFCL), whole turns sent as one message.

A scripted oracle behind GLM's wire protocol on loopback sends the ground truth; the functions are
tools whose calls take random times. Beside the official checker's verdict on the calls that were
executed stands the live state: the objects, attribute by attribute, and every result that the
model got, against an execution of the ground truth in order.

    agentkit setup --with bfcl
    python -m benchmarks.bfcl [--category NAME] [--limit N] [--seed N] [--details] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from agentkit import GLM, Agent
from agentkit.store import MemoryStore
from agentkit.testing import Call, GLMServer, Say
from agentkit.tool import Tool, raw_tool, tool
from benchmarks import bfcl_data as bfcl
from benchmarks.bfcl_data import DELAY, Act, Entry

AT_ONCE = 8


@dataclass(slots=True)
class Task:
    """One run of one entry: what was called, and what the model got.

    Attributes:
        entry: what is run.
        called: calls of each turn, in the order in which they took effect.
        results: texts of each turn's tool results, in the order of its calls.
        made: the objects of a stateful entry.
    """

    entry: Entry
    called: list[list[Act]] = field(default_factory=list)
    results: list[list[str]] = field(default_factory=list)
    made: dict[str, Any] = field(default_factory=dict)

    def take(self, act: Act) -> None:
        """Remember a call of the turn that is going on."""
        self.called[-1].append(act)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an entry went.

    Attributes:
        id: of the entry.
        fault: what of its ground truth does not fit BFCL's own schema; "" for nothing.
        official: what BFCL's checker says against the calls; "" for nothing.
        live: what differs in the live state or the results; "" for nothing.
        calls: how many the oracle sent.
    """

    id: str
    fault: str
    official: str
    live: str
    calls: int


class Oracle:
    """A brain for GLMServer that knows each run's entry by its system prompt."""

    def __init__(self) -> None:
        self.tasks: dict[str, Task] = {}

    def __call__(self, request: dict[str, Any]) -> Say:
        """Send a turn's calls in one message, then take their results."""
        messages = request["messages"]
        task = self.tasks[messages[0]["content"].split()[0]]
        turn = sum(message["role"] == "user" for message in messages) - 1
        acts = task.entry.turns[turn]
        if messages[-1]["role"] == "user" and acts:
            return Say(
                calls=[
                    Call(tool_name(act), act.arguments, f"call_{turn}_{at}")
                    for at, act in enumerate(acts)
                ]
            )
        results = messages[len(messages) - len(acts) :]
        ids = [message.get("tool_call_id") for message in results]
        assert ids == [f"call_{turn}_{at}" for at in range(len(acts))], ids
        task.results.append([message["content"] for message in results])
        return Say("Done.")


def tool_name(act: Act) -> str:
    """Return a function's name as GLM takes it; BFCL's own handlers do the same."""
    return act.name.replace(".", "_")


def tools_of(task: Task, seed: int, *, ordered: bool) -> list[Tool]:
    """Return the entry's functions: methods of its objects, or functions that record."""
    entry = task.entry
    if entry.category == bfcl.STATEFUL:
        task.made = bfcl.slow_objects(entry, seed, task.take)
        make = tool(concurrent=not ordered)
        return [make(method) for method in bfcl.methods_of(entry, task.made)]
    draw = random.Random(f"{seed} {entry.id}")
    return [_recording(task, one, draw) for one in entry.question["function"]]


def _recording(task: Task, described: dict[str, Any], draw: random.Random) -> Tool:
    async def record(**arguments: Any) -> dict[str, Any]:
        await asyncio.sleep(draw.uniform(0, DELAY))
        task.take(Act(described["name"], arguments))
        return arguments

    return raw_tool(
        described["name"].replace(".", "_"),
        described["description"],
        bfcl.json_schema(described["parameters"]),
        record,
    )


@asynccontextmanager
async def _oracle() -> AsyncIterator[tuple[Oracle, GLM]]:
    oracle = Oracle()
    async with GLMServer(oracle) as server:
        yield oracle, GLM(base_url=server.base_url)


async def play(entry: Entry, oracle: Oracle, model: GLM, seed: int, *, ordered: bool) -> Outcome:
    """Run one entry, a user message a turn, and look at what came of it."""
    task = Task(entry)
    oracle.tasks[entry.id] = task
    agent = Agent(
        model,
        instructions=entry.id,
        tools=tools_of(task, seed, ordered=ordered),
        store=MemoryStore(),
        strict=True,
    )
    async with agent.open() as run:
        for user in entry.users:
            task.called.append([])
            await run.send(user)
    calls = sum(map(len, entry.turns))
    official = bfcl.verdict(entry, task.called)
    return Outcome(entry.id, bfcl.fault(entry), official, difference(task), calls)


def difference(task: Task) -> str:
    """Return what differs from the ground truth executed in order; "" for nothing."""
    entry = task.entry
    if entry.category != bfcl.STATEFUL:
        wanted: list[list[Any]] = [[act.arguments for act in turn] for turn in entry.turns]
        got, sent = (sorted(map(str, turn)) for turn in (task.called[0], entry.turns[0]))
        if got != sent:
            return f"called {got}, wanted {sent}; {task.results}"
    else:
        made, wanted = bfcl.executed(entry)
        for name, one in made.items():
            have, want = bfcl.state(task.made[name]), bfcl.state(one)
            if have != want:
                return f"{name}: {have} != {want}; {task.results}"
    for results, values in zip(task.results, wanted, strict=True):
        for text, value in zip(results, values, strict=True):
            if not _tells(text, value):
                return f"the model got {text[:300]!r} for {value!r}"
    return ""


def _tells(text: str, value: Any) -> bool:
    """Return whether a tool result tells the model what the function returned."""
    if isinstance(value, Exception):
        return str(value) in text
    if isinstance(value, str):
        return text.startswith(value)
    if value is None:
        return True
    try:
        # A reminder may stand behind it.
        told = json.JSONDecoder().raw_decode(text)[0]
    except ValueError:
        return False
    # Some numbers are mpmath's.
    return told == json.loads(json.dumps(value, default=float))


async def measure(
    entries: Sequence[Entry], seed: int = 0, *, ordered: bool = True
) -> list[Outcome]:
    """Run entries, several at once, and return how each went, in their order."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(entry: Entry) -> Outcome:
        async with room:
            return await play(entry, oracle, model, seed, ordered=ordered)

    async with _oracle() as (oracle, model), asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(entry)) for entry in entries]
    return [task.result() for task in tasks]


def row(label: str, outcomes: Sequence[Outcome], seconds: float) -> dict[str, Any]:
    """Return a line of the table; shares are of the entries whose ground truth is valid."""
    valid = [one for one in outcomes if not one.fault]
    return {
        "category": label,
        "entries": len(outcomes),
        "valid": len(valid),
        "official": sum(not one.official for one in valid),
        "live": sum(not one.live for one in valid),
        "calls": sum(one.calls for one in outcomes),
        "seconds": round(seconds, 1),
        "faulty": {one.id: one.fault for one in outcomes if one.fault},
        "failed": {
            one.id: {"official": one.official, "live": one.live}
            for one in valid
            if one.official or one.live
        },
    }


def show(line: dict[str, Any], *, details: bool) -> None:
    """Print a line of the table, and the entries whose ground truth no schema allows."""
    share = {
        key: f"{line[key]:>4} {line[key] / line['valid']:>7.1%}" for key in ("official", "live")
    }
    print(
        f"{line['category']:26} {line['entries']:>7} {line['valid']:>6} {share['official']:>13}"
        f" {share['live']:>13} {line['calls']:>6} {line['seconds']:>8.1f}",
        flush=True,
    )
    for name, why in line["faulty"].items():
        print(f"  not valid: {name}: {why}")
    for name, said in line["failed"].items() if details else ():
        for key in ("official", "live"):
            print(f"  {name}: {key}: {said[key] or 'right'}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--category", action="append", choices=[*bfcl.FILES])
    parser.add_argument("--limit", type=int, help="entries of each category; default all")
    parser.add_argument("--seed", type=int, default=0, help="of the tools' random times")
    parser.add_argument("--details", action="store_true", help="say what failed")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not bfcl.FOLDER.is_dir():
        sys.exit(bfcl.MISSING)
    if not options.json:
        print(
            f"{'category':26} {'entries':>7} {'valid':>6} {'official':>13} {'live state':>13}"
            f" {'calls':>6} {'seconds':>8}"
        )
    for category in options.category or bfcl.FILES:
        entries = bfcl.entries(category)[: options.limit]
        for ordered in (True, False) if category == bfcl.STATEFUL else (True,):
            began = time.perf_counter()
            outcomes = asyncio.run(measure(entries, options.seed, ordered=ordered))
            label = category if ordered else f"{category}, unordered"
            line = row(label, outcomes, time.perf_counter() - began)
            if options.json:
                print(json.dumps(line), flush=True)
            else:
                show(line, details=options.details)


if __name__ == "__main__":
    main()
