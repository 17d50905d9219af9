"""Calls inside sub-agents that somebody has to allow: the whole family pauses, and goes on."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from agentkit import Agent, ApprovalPolicy, Limits, MemoryStore, Rule, tool
from agentkit.errors import ConfigError, LimitExceeded, RunTaken
from agentkit.events import (
    ApprovalAnswered,
    Event,
    Nested,
    Replied,
    RunPaused,
    ToolFinished,
    ToolStarted,
    UserMessage,
)
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


def said(request):
    """The task of a prompt, and the results of its calls so far."""
    messages = request["messages"]
    return messages[1]["content"], [m["content"] for m in messages if m["role"] == "tool"]


def clerk(request):
    """Write, then write and send at once, then say what came of it; "via" has others send."""
    task, results = said(request)
    if not results:
        return Say(calls=[Call("write", {"text": f"draft {task}"}, id="w1")])
    if len(results) == 1:
        copy = Call("write", {"text": f"copy {task}"}, id="w2")
        if task.startswith("via "):
            sending = Call("runner", {"task": task.removeprefix("via ")}, id="r1")
        else:
            sending = Call("send", {"to": task}, id="s1")
        return Say(calls=[sending, copy])
    return Say(f"{task}: {' / '.join(results)}")


def runner(request):
    task, results = said(request)
    return Say(f"ran: {results[0]}" if results else "", calls=[] if results else [send_to(task)])


def send_to(whom):
    return Call("send", {"to": whom}, id="s1")


def chief(*calls):
    def brain(request):
        _, results = said(request)
        return Say("all: " + " | ".join(results)) if results else Say(calls=list(calls))

    return brain


def family(store, tools, *calls, **options):
    """Return a chief who makes these calls first; below are clerks, and below them runners."""
    lowest = Agent(ScriptedModel(runner), name="runner", tools=tools, approval=ASKING)
    middle = replace(
        lowest, model=ScriptedModel(clerk), name="clerk", tools=[*tools, lowest.as_tool()]
    )
    above = [middle.as_tool(), *tools]
    brain = ScriptedModel(chief(*calls))
    return Agent(brain, name="chief", tools=above, store=store, strict=True, **options)


def ask_clerk(task, call_id):
    return Call("clerk", {"task": task}, id=call_id)


async def bodies(store, run_id, kind):
    return [event.body for event in await store.load(run_id) if isinstance(event.body, kind)]


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


def test_calls_of_one_id_in_several_runs_are_told_apart_by_their_runs(tools, done):
    calls = ask_clerk("Ada", "c1"), ask_clerk("via Bob", "c2"), ask_clerk("Cid", "c3")

    async def main():
        store = MemoryStore()
        paused = await family(store, tools, *calls).run("go")
        places = {one.arguments["to"]: one for one in paused.pending}
        assert {one.call_id for one in paused.pending} == {"s1"}
        assert len({one.run_id for one in paused.pending}) == 3
        ends = [(await store.load(one.run_id))[-1].kind for one in await store.runs()]
        assert ends == ["run_paused"] * 5
        for wrong in ("s1", "s"):
            with pytest.raises(ConfigError, match="may mean several") as caught:
                await family(store, tools, *calls).resume(paused.run_id, answers={wrong: True})
            assert all(one.address in str(caught.value) for one in paused.pending)
        with pytest.raises(ConfigError, match=f"Waiting: {places['Ada'].address}"):
            await family(store, tools, *calls).resume(paused.run_id, answers={"x": True})
        # One answer, and only that run goes on; the answer reaches a sub-agent's sub-agent.
        answers = {places["Bob"].address: True}
        again = await family(store, tools, *calls).resume(paused.run_id, answers=answers)
        assert {one.address for one in again.pending} == {
            places["Ada"].address,
            places["Cid"].address,
        }
        assert [one for one in done if one.startswith("send")] == ["send Bob"]
        # The beginning of each id is enough where it names one call.
        short = f"{places['Ada'].run_id[:20]}/s"
        answers = {short: "no", places["Cid"].address: True}
        result = await family(store, tools, *calls).resume(paused.run_id, answers=answers)
        assert result.output.startswith("all: Ada: wrote draft Ada / Denied")
        assert "via Bob: wrote draft via Bob / ran: sent to Bob / wrote copy" in result.output
        assert sorted(done) == sorted(set(done))
        assert len(done) == 8

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
