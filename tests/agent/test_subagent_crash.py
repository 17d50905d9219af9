"""Families of runs that wait, and are killed, cancelled or left by their workers meanwhile."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from families import ask_clerk, chief, family, said

from agentkit import Agent, ApprovalPolicy, MemoryStore, tool
from agentkit.events import (
    Replied,
    ToolFinished,
    ToolStarted,
    UserMessage,
)
from agentkit.testing import Call, Say, ScriptedModel


def test_a_sub_run_whose_worker_died_is_taken_over_when_its_lease_has_ended(tools, done):
    calls = (ask_clerk("Ada", "c1"),)

    async def main():
        store = MemoryStore()
        paused = await family(store, tools, *calls).run("go")
        async with family(store, tools, *calls).open(run_id=paused.run_id) as run:
            await run.approve("s1")
            await store.claim(paused.pending[0].run_id, 1.5)  # and is never given back
            result = await run.resume()
        assert result.output == "all: Ada: wrote draft Ada / sent to Ada / wrote copy Ada"

    asyncio.run(main())


def test_a_cancelled_turn_leaves_what_waits_below_to_the_next_resume(tools, done):
    async def main():
        store, waits = MemoryStore(), asyncio.Event()

        @tool(read_only=True)
        async def hang() -> str:
            """Hang, the first time."""
            if not waits.is_set():
                waits.set()
                await asyncio.sleep(60)
            return "hung"

        calls = ask_clerk("Ada", "c1"), Call("hang", id="h1")
        running = asyncio.create_task(family(store, [*tools, hang], *calls).run("go"))
        await waits.wait()
        # The clerk's call is over when its task is, and nothing tells of that.
        while any(one.get_name() == "tool clerk" for one in asyncio.all_tasks()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        (top,) = [one for one in await store.runs() if one.parent_run is None]
        assert top.last_kind == "run_interrupted"
        answers = {"s1": True}
        result = await family(store, [*tools, hang], *calls).resume(top.run_id, answers=answers)
        assert result.output.startswith("all: Ada: wrote draft Ada / sent to Ada")
        assert len(done) == len(set(done)) == 3

    asyncio.run(main())


class Recorder(MemoryStore):
    """Keeps what was written in the order in which it was, over all runs."""

    def __init__(self):
        super().__init__()
        self.written = []
        self.kept = []

    async def append(self, run_id, events, expect, claim=None):
        await super().append(run_id, events, expect, claim)
        self.written.append((run_id, list(events), expect))

    async def put_blob(self, data):
        self.kept.append(data)
        return await super().put_blob(data)

    async def until(self, count):
        """Return a store as a kill after so many writes leaves it."""
        made = MemoryStore()
        for data in self.kept:
            await made.put_blob(data)
        for run_id, events, expect in self.written[:count]:
            await made.append(run_id, events, expect)
        return made


def test_a_call_cut_in_a_sub_agent_can_be_asked_about_from_above(tools, done):
    def brain(request):
        _, results = said(request)
        return Say(results[0] if results else "", calls=[] if results else [write("a")])

    def write(text):
        return Call("write", {"text": text}, id="w1")

    def boss(store):
        sub = Agent(ScriptedModel(brain), name="sub", tools=tools)
        sub = replace(sub, approval=ApprovalPolicy(unknown="ask"))
        calls = Call("sub", {"task": "t"}, id="c1")
        return Agent(ScriptedModel(chief(calls)), tools=[sub.as_tool()], store=store)

    async def main():
        store = Recorder()
        run_id = (await boss(store).run("go")).run_id
        starts = [
            at
            for at, (_, events, _) in enumerate(store.written)
            if any(isinstance(one.body, ToolStarted) and one.body.name == "write" for one in events)
        ]
        killed = await store.until(starts[0] + 1)
        done.clear()
        paused = await boss(killed).resume(run_id)
        (question,) = paused.pending
        assert "outcome is unknown" in question.reason
        assert (question.run_id == run_id, done) == (False, [])
        result = await boss(killed).resume(run_id, answers={"w1": True})
        assert (result.output, done) == ("all: wrote a", ["write a"])

    asyncio.run(main())


async def to_the_end(agent, run_id):
    """Go on with a run until nothing waits: sending to Ada is allowed, to Bob it is not."""
    async with agent.open(run_id=run_id) as run:
        begun = any(isinstance(event.body, UserMessage) for event in run.events)
        answers = {"Ada": True, "Bob": "not him"}
        if begun:
            await run.answer({one.address: answers[one.arguments["to"]] for one in run.pending})
        result = await (run.resume() if begun else run.send("go"))
        while result.pending:
            await run.answer({one.address: answers[one.arguments["to"]] for one in run.pending})
            result = await run.resume()
        return result


def test_a_family_killed_after_any_write_goes_on_to_the_same_end(tools, done):
    calls = ask_clerk("Ada", "c1"), ask_clerk("via Bob", "c2")

    async def main():
        store = Recorder()
        top = family(store, tools, *calls)
        paused = await top.run("go")
        whole = await to_the_end(family(store, tools, *calls), paused.run_id)
        assert whole.output.count("not him") == 1
        assert len(store.written) > 40
        for count in range(1, len(store.written) + 1):
            killed = await store.until(count)
            logs = [await killed.load(one.run_id) for one in await killed.runs(99)]
            events = [event for log in logs for event in log]
            begun = {
                " ".join([event.body.name, *event.body.arguments.values()])
                for event in events
                if isinstance(event.body, ToolStarted)
            }
            done.clear()
            result = await to_the_end(family(killed, tools, *calls), paused.run_id)
            # A call that may have had its effect is not made again, whatever runs anew above it.
            assert not begun & set(done), count
            assert len(done) == len(set(done)), count
            logs = [await killed.load(one.run_id) for one in await killed.runs(99)]
            after = [event.body for log in logs for event in log]
            # What all runs spent stands in the result once.
            costs = [one.cost_usd for one in after if isinstance(one, Replied)]
            assert result.cost_usd == pytest.approx(sum(costs)), count
            finished = [one for one in after if isinstance(one, ToolFinished)]
            assert len(finished) == 9, count  # one for each call
            if all(one.status != "unknown" for one in finished):
                assert result.output == whole.output, count

    asyncio.run(main())


PROGRAM = """
import asyncio, os, signal, sys
from pathlib import Path
from agentkit import Agent, ApprovalPolicy, Rule, SQLiteStore, tool
from agentkit.store import open_store
from agentkit.testing import Call, Say, ScriptedModel

stage, folder = sys.argv[1], Path(sys.argv[2])

def effect(line):
    with (folder / "effects").open("a") as file:
        file.write(line + "\\n")

@tool
def send(to: str) -> str:
    effect(f"send {to}")
    return f"sent to {to}"

@tool(read_only=True)
def look(at: str) -> str:
    if stage == "die in the middle":
        os.kill(os.getpid(), signal.SIGKILL)
    effect(f"look {at}")
    return f"saw {at}"

def brain(request):
    results = [m["content"] for m in request["messages"] if m["role"] == "tool"]
    steps = [Call("send", {"to": "Ada"}, id="1"), Call("look", {"at": "it"}, id="2")]
    return Say(" / ".join(results)) if results[1:] else Say(calls=[steps[len(results)]])

def boss(request):
    results = [m["content"] for m in request["messages"] if m["role"] == "tool"]
    return Say("all: " + results[0]) if results else Say(calls=[Call("sub", {"task": "t"}, id="1")])

async def main():
    store = SQLiteStore(folder / "home")
    asking = ApprovalPolicy((Rule("ask", "send"),))
    sub = Agent(ScriptedModel(brain), name="sub", tools=[send, look], approval=asking)
    agent = Agent(ScriptedModel(boss), tools=[sub.as_tool()], store=store, strict=True)
    if stage == "begin":
        result = await agent.run("go")
        print(result.run_id, result.pending[0].address)
        return
    async with agent.open(run_id=sys.argv[3]) as run:
        if stage == "die answered":
            await run.approve("1")
            os.kill(os.getpid(), signal.SIGKILL)
        print(len(run.pending), (await run.resume()).output)

asyncio.run(main())
"""


def test_kill_9_between_the_answer_and_the_resume_and_in_the_resumed_sub_run(tmp_path):
    def process(stage, *words):
        command = [sys.executable, "-c", PROGRAM, stage, str(tmp_path), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.strip() or done.stderr

    code, said = process("begin")
    assert code == 0, said
    run_id, _ = said.split()
    assert process("die answered", run_id)[0] == -signal.SIGKILL
    assert process("die in the middle", run_id)[0] == -signal.SIGKILL
    assert (tmp_path / "effects").read_text() == "send Ada\n"
    assert process("end", run_id) == (0, "0 all: sent to Ada / saw it")
    assert (tmp_path / "effects").read_text() == "send Ada\nlook it\n"
