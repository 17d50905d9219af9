"""Calls that start while the model still writes its reply."""

import asyncio
import threading

import pytest
from dispatching import POLICY, Log, call, until

from agentkit import GLM
from agentkit.events import ArgumentsDelta, ToolFinished, ToolProgress, ToolStarted
from agentkit.messages import ToolCall, User
from agentkit.model import Request
from agentkit.testing import Call, GLMServer, Pace, Say, ScriptedModel
from agentkit.tool import (
    ApprovalPolicy,
    Dispatcher,
    DispatchPolicy,
    Rule,
    ToolContext,
    definitions,
    tool,
)


class Counter:
    """Tools that count how often they ran."""

    def __init__(self):
        self.ran = []
        self.stopped = []
        counter = self

        @tool(read_only=True)
        async def look(at: str = "") -> str:
            counter.ran.append(at)
            return f"seen {at}"

        @tool(read_only=True)
        async def stare() -> str:
            counter.ran.append("stare")
            try:
                await asyncio.Event().wait()
            finally:
                counter.stopped.append("stare")

        @tool
        async def write(at: str = "") -> str:
            counter.ran.append(f"write {at}")
            return "written"

        @tool(read_only=True, reads="repo")
        async def read(at: str = "") -> str:
            counter.ran.append(f"read {at}")
            return "read"

        @tool(writes="repo")
        async def change() -> str:
            counter.ran.append("change")
            return "changed"

        self.look, self.stare, self.write, self.read, self.change = look, stare, write, read, change
        self.tools = [look, stare, write, read, change]


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


def play(scene, tools, *, policy=POLICY, **options):
    """Run `scene(dispatcher, early, log)` and check that nothing is left of it."""
    log = Log()

    async def main():
        async with Dispatcher(tools, policy, run_id="run", **options) as dispatcher:
            await scene(dispatcher, dispatcher.early(log.emit), log)
        assert len(asyncio.all_tasks()) == 1
        assert dispatcher._workshop.running == 0
        assert dispatcher._workshop.slots.used == 0

    asyncio.run(main())
    return log


async def dispatch(dispatcher, early, log, *calls):
    await dispatcher.dispatch(calls, log.record, keep=log.keep, emit=log.emit, early=early)


def test_a_call_that_only_reads_runs_at_once_and_is_logged_when_the_reply_is_whole():
    tools = Counter()
    one = call(tools.look, {"at": "x"}, "a")

    async def scene(dispatcher, early, log):
        early.offer(one)
        await settle()
        assert tools.ran == ["x"]
        assert log.bodies == []
        await dispatch(dispatcher, early, log, one)

    log = play(scene, tools.tools)
    assert tools.ran == ["x"]
    assert [type(body) for body in log.bodies] == [ToolStarted, ToolFinished]
    assert log.result("a").content == "seen x"


def test_a_call_that_still_runs_is_adopted_and_waited_for():
    release, told = asyncio.Event(), []

    @tool(read_only=True)
    async def wait(context: ToolContext) -> str:
        context.progress("waits")
        told.append(1)
        await release.wait()
        return "done"

    async def scene(dispatcher, early, log):
        early.offer(call(wait, {}, "a"))
        await settle()
        asyncio.get_running_loop().call_later(0.001, release.set)
        await dispatch(dispatcher, early, log, call(wait, {}, "a"))

    log = play(scene, [wait])
    assert told == [1]
    assert log.told == [ToolProgress("a", "waits")]
    assert log.result("a").content == "done"


@pytest.mark.parametrize(
    "other",
    [
        ToolCall("b", "look", '{"at": "x"}'),
        ToolCall("a", "look", '{"at":"x"}'),
        ToolCall("a", "read", '{"at": "x"}'),
    ],
)
def test_a_call_that_came_out_otherwise_runs_anew(other):
    tools = Counter()

    async def scene(dispatcher, early, log):
        early.offer(ToolCall("a", "look", '{"at": "x"}'))
        await settle()
        await dispatch(dispatcher, early, log, other)

    log = play(scene, tools.tools)
    assert len(tools.ran) == 2
    assert [one.call_id for one in log.finished] == [other.id]


def test_nothing_starts_early_that_writes_needs_approval_or_does_not_fit():
    tools = Counter()
    policy = ApprovalPolicy((Rule("ask", "read"),))

    class Shared:
        @tool(read_only=True)
        async def state(self) -> None:
            tools.ran.append("state")

    shared = Shared()

    async def scene(dispatcher, early, log):
        for one in (
            call(tools.write, {}, "a"),
            call(tools.read, {}, "b"),
            call(tools.look, {"ta": "x"}, "c"),
            call(tools.look, '{"at": ', "d"),
            call("nobody", {}, "e"),
            call(shared.state, {}, "f"),
        ):
            early.offer(one)
        await settle()

    play(scene, [*tools.tools, shared.state], approval=policy)
    assert tools.ran == []


def test_what_reads_after_a_write_of_the_same_reply_runs_anew_after_it():
    tools = Counter()
    calls = [call(tools.change, {}, "a"), call(tools.read, {"at": "x"}, "b")]

    async def scene(dispatcher, early, log):
        for one in calls:
            early.offer(one)
        await settle()
        assert tools.ran == ["read x"]
        await dispatch(dispatcher, early, log, *calls)

    log = play(scene, tools.tools)
    assert tools.ran == ["read x", "change", "read x"]
    assert [one.call_id for one in log.finished] == ["a", "b"]


def test_what_reads_before_a_write_keeps_its_result():
    tools = Counter()
    calls = [call(tools.read, {"at": "x"}, "a"), call(tools.change, {}, "b")]

    async def scene(dispatcher, early, log):
        early.offer(calls[0])
        await dispatch(dispatcher, early, log, *calls)

    play(scene, tools.tools)
    assert tools.ran == ["read x", "change"]


def test_discarding_stops_what_runs_and_nothing_is_logged():
    tools = Counter()

    async def scene(dispatcher, early, log):
        early.offer(call(tools.stare, {}, "a"))
        await settle()
        early.discard()
        await settle()
        assert tools.stopped == ["stare"]
        early.offer(call(tools.look, {}, "a"))
        await dispatch(dispatcher, early, log, call(tools.look, {}, "a"))

    log = play(scene, tools.tools)
    assert [one.name for one in log.finished] == ["look"]


def test_what_no_reply_asked_for_is_stopped_by_the_next_reply_and_by_the_end():
    tools = Counter()

    async def scene(dispatcher, early, log):
        early.offer(call(tools.stare, {}, "a"))
        await settle()
        other = dispatcher.early(log.emit)
        await settle()
        assert tools.stopped == ["stare"]
        other.offer(call(tools.stare, {}, "b"))
        await settle()

    play(scene, tools.tools)
    assert tools.stopped == ["stare", "stare"]


def test_a_call_in_a_thread_that_is_discarded_holds_up_nothing():
    release = threading.Event()

    @tool(read_only=True)
    def block() -> str:
        assert release.wait(5)
        return "late"

    @tool
    async def go() -> str:
        return "gone"

    async def scene(dispatcher, early, log):
        early.offer(call(block, {}, "a"))
        early.discard()
        await dispatch(dispatcher, early, log, call(go, {}, "b"))
        release.set()
        await until(lambda: not dispatcher._workshop.abandoned)
        # Its thread ends through the loop, which then has nothing more to tell.

    log = play(scene, [block, go])
    assert [one.call_id for one in log.finished] == ["b"]


def test_a_thread_that_never_ends_keeps_no_slot_when_its_run_is_over():
    release = threading.Event()

    @tool(read_only=True)
    def block() -> None:
        release.wait(5)

    async def scene(dispatcher, early, log):
        early.offer(call(block, {}, "a"))

    play(scene, [block])  # it looks at the slots
    release.set()


def test_early_calls_count_under_the_cap():
    tools = Counter()

    async def scene(dispatcher, early, log):
        for index in range(5):
            early.offer(call(tools.look, {"at": str(index)}, str(index)))
        await settle()
        assert tools.ran == ["0", "1"]
        calls = [call(tools.look, {"at": str(index)}, str(index)) for index in range(5)]
        await dispatch(dispatcher, early, log, *calls)

    log = play(scene, tools.tools, policy=DispatchPolicy(concurrency=2))
    assert sorted(tools.ran) == ["0", "1", "2", "3", "4"]
    assert len(log.finished) == 5


def test_identical_calls_start_once_and_share_their_result():
    tools = Counter()
    calls = [call(tools.look, {"at": "x"}, name) for name in "ab"]

    async def scene(dispatcher, early, log):
        for one in calls:
            early.offer(one)
        await settle()
        await dispatch(dispatcher, early, log, *calls)

    log = play(scene, tools.tools)
    assert tools.ran == ["x"]
    assert log.result("b").same_as == "a"


def test_cancelling_the_turn_stops_adopted_calls():
    tools = Counter()

    async def scene(dispatcher, early, log):
        early.offer(call(tools.stare, {}, "a"))
        await settle()
        work = asyncio.create_task(dispatch(dispatcher, early, log, call(tools.stare, {}, "a")))
        await until(lambda: log.started)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    log = play(scene, tools.tools)
    assert log.result("a").status == "cancelled"
    assert tools.stopped == ["stare"]


def test_a_start_that_cannot_be_recorded_stops_the_adopted_call():
    tools = Counter()

    class Broken(Log):
        async def record(self, bodies):
            raise OSError("disk full")

    async def scene(dispatcher, early, log):
        early.offer(call(tools.stare, {}, "a"))
        await settle()
        with pytest.raises(OSError, match="disk full"):
            await dispatch(dispatcher, early, Broken(), call(tools.stare, {}, "a"))
        await settle()
        assert tools.stopped == ["stare"]

    play(scene, tools.tools)


@pytest.mark.parametrize("wire", [False, True])
def test_a_tool_runs_before_the_model_has_written_its_reply(wire):
    """The whole way: the stream, the collector, early start, dispatch."""
    seen = []

    @tool(read_only=True)
    async def look(at: str) -> str:
        seen.append(f"tool {at[0]}")
        return at

    script = [Say(calls=[Call("look", {"at": letter * 40}) for letter in "abc"])]

    def emit(event):
        if isinstance(event, ArgumentsDelta):
            seen.append(event.index)

    async def main():
        log = Log()
        async with (
            GLMServer(script, pace=Pace(chunk_seconds=0.001)) as server,
            Dispatcher([look], POLICY) as dispatcher,
        ):
            model = GLM(base_url=server.base_url) if wire else ScriptedModel(script)
            early = dispatcher.early(log.emit)
            request = Request([model.encode(User("x"))], definitions([look]))
            reply = await model.ask(request, emit, early)
            await dispatch(dispatcher, early, log, *reply.message.tool_calls)
        return log

    log = asyncio.run(main())
    if not wire:  # a busy machine may read all of a stream at once
        assert seen.index("tool a") < seen.index(2)
    assert sorted(one for one in seen if isinstance(one, str)) == ["tool a", "tool b", "tool c"]
    assert [one.status for one in log.finished] == ["ok"] * 3
