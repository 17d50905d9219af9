"""Which calls wait for which, and how many run at once."""

import asyncio
import threading
from contextlib import AsyncExitStack

import pytest
from dispatching import POLICY, Log, call, turn, until

from agentkit.tool import Dispatcher, DispatchPolicy, tool
from agentkit.tool.slots import slots_of


class Trace:
    """Notes when calls begin and end, so that overlaps can be seen."""

    def __init__(self):
        self.events = []
        self.running = 0
        self.most = 0

    def begin(self, name):
        self.events.append(f"+{name}")
        self.running += 1
        self.most = max(self.most, self.running)

    def end(self, name):
        self.events.append(f"-{name}")
        self.running -= 1

    def tool(self, name, **flags):
        @tool(name=name, **flags)
        async def work(key: str = "") -> str:
            self.begin(name + key)
            await asyncio.sleep(0.001)
            self.end(name + key)
            return key

        return work


def play(tools, names, policy=POLICY):
    by_name = {one.name: one for one in tools}
    calls = [call(by_name[name], {"key": str(at)}, str(at)) for at, name in enumerate(names)]
    return asyncio.run(turn(tools, calls, policy))


def test_a_writer_waits_for_the_readers_before_it_and_readers_for_the_writer_before_them():
    trace = Trace()
    tools = [trace.tool("r", reads="repo"), trace.tool("w", writes="repo")]
    play(tools, "rrwrrw")
    assert trace.events == [
        *["+r0", "+r1", "-r0", "-r1"],
        *["+w2", "-w2"],
        *["+r3", "+r4", "-r3", "-r4"],
        *["+w5", "-w5"],
    ]


def test_writers_of_different_resources_run_at_once():
    trace = Trace()
    tools = [trace.tool("a", writes="a"), trace.tool("b", writes="b")]
    play(tools, "ab")
    assert trace.events[:2] == ["+a0", "+b1"]


def test_a_call_that_writes_two_resources_waits_for_both():
    trace = Trace()
    tools = [
        trace.tool("a", writes="a"),
        trace.tool("b", writes="b"),
        trace.tool("c", writes=("a", "b")),
    ]
    play(tools, "abcab")
    assert trace.events.index("+c2") > max(trace.events.index("-a0"), trace.events.index("-b1"))
    assert trace.events.index("-c2") < min(trace.events.index("+a3"), trace.events.index("+b4"))


def test_a_group_is_a_resource_that_its_calls_write():
    trace = Trace()
    tools = [trace.tool("g", group="repo"), trace.tool("r", reads="repo")]
    play(tools, "grg")
    assert trace.events == ["+g0", "-g0", "+r1", "-r1", "+g2", "-g2"]


def test_a_tool_that_reads_and_writes_one_resource_writes_it():
    trace = Trace()
    play([trace.tool("x", reads="repo", writes="repo")], "xx")
    assert trace.events == ["+x0", "-x0", "+x1", "-x1"]


def test_when_the_cap_is_full_higher_priority_starts_first_and_call_order_decides_the_rest():
    trace = Trace()
    tools = [trace.tool("low"), trace.tool("high", priority=5), trace.tool("last", priority=-1)]
    play(tools, ["low", "last", "high", "low", "high"], DispatchPolicy(concurrency=1))
    begun = [name for name in trace.events if name.startswith("+")]
    assert begun == ["+high2", "+high4", "+low0", "+low3", "+last1"]


def test_priority_does_not_break_the_order_of_a_group():
    trace = Trace()
    tools = [trace.tool("a", group="g"), trace.tool("b", group="g", priority=9)]
    play(tools, "ab")
    assert trace.events[0] == "+a0"


def test_a_tool_with_a_cap_of_its_own_keeps_it_while_others_go_on():
    trace, other = Trace(), Trace()
    tools = [trace.tool("few", max_concurrency=2), other.tool("many")]
    play(tools, ["few"] * 7 + ["many"] * 7)
    assert trace.most == 2
    assert other.most == 7


def test_runs_of_one_event_loop_share_its_slots():
    trace = Trace()
    work = trace.tool("work")
    policy = DispatchPolicy(concurrency=4, total_concurrency=5)

    async def run():
        log = Log()
        calls = [call(work, {"key": str(at)}, str(at)) for at in range(8)]
        async with Dispatcher([work], policy) as dispatcher:
            await dispatcher.dispatch(calls, log.record, keep=log.keep, emit=log.emit)
        return log

    async def main():
        async with asyncio.TaskGroup() as group:
            runs = [group.create_task(run()) for _ in range(4)]
        assert slots_of(asyncio.get_running_loop()).used == 0
        return [one.result() for one in runs]

    logs = asyncio.run(main())
    assert trace.most == 5
    assert [len(log.finished) for log in logs] == [8] * 4


def test_a_cancelled_run_that_waits_for_a_slot_leaves_the_queue():
    trace = Trace()
    work = trace.tool("work")
    policy = DispatchPolicy(total_concurrency=1, grace=0.05)
    release = asyncio.Event()

    @tool
    async def hold() -> None:
        await release.wait()

    async def main():
        logs = [Log(), Log(), Log()]
        async with AsyncExitStack() as stack:

            async def start(log, one):
                dispatcher = await stack.enter_async_context(Dispatcher([one], policy))
                work = asyncio.create_task(
                    dispatcher.dispatch([call(one)], log.record, keep=log.keep, emit=log.emit)
                )
                for _ in range(5):
                    await asyncio.sleep(0)
                return work

            first = await start(logs[0], hold)
            waits = await start(logs[1], work)
            later = await start(logs[2], work)
            assert logs[1].started == logs[2].started == []
            waits.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waits
            release.set()
            await first
            await later
        return logs

    logs = asyncio.run(main())
    assert logs[1].result().status == "cancelled"
    assert logs[2].result().status == "ok"


def test_runs_inside_calls_do_not_block_each_other_when_the_slots_are_used_up():
    """Every slot is held by a call that waits for calls of its own: each lends them its slot."""
    policy = DispatchPolicy(concurrency=4, total_concurrency=2)

    @tool
    async def leaf(key: int) -> int:
        await asyncio.sleep(0)
        return key

    @tool
    async def sub(key: int) -> int:
        log = Log()
        calls = [call(leaf, {"key": at}, str(at)) for at in range(3)]
        async with Dispatcher([leaf], policy) as dispatcher:
            await dispatcher.dispatch(calls, log.record, keep=log.keep, emit=log.emit)
        return len(log.finished)

    calls = [call(sub, {"key": at}, str(at)) for at in range(5)]
    log = asyncio.run(turn([sub], calls, policy))
    assert [one.content for one in log.finished] == ["3"] * 5


def test_the_same_call_of_a_tool_that_only_reads_runs_once():
    ran = []

    @tool(read_only=True)
    async def look(at: str, deep: bool = False) -> str:
        ran.append(at)
        return f"seen {at}"

    calls = [
        call(look, '{"at": "x"}', "a"),
        call(look, '{ "at":"x" }', "b"),
        call(look, {"at": "y"}, "c"),
        call(look, '{"at": "x"}', "d"),
    ]
    log = asyncio.run(turn([look], calls))
    assert sorted(ran) == ["x", "y"]
    assert [one.call_id for one in log.started] == ["a", "c"]
    assert {one: log.result(one).same_as for one in "abcd"} == {
        "a": "",
        "b": "a",
        "c": "",
        "d": "a",
    }
    assert log.result("d").content == "seen x"


def test_what_is_read_before_and_after_a_write_is_read_twice():
    trace = Trace()
    read = trace.tool("r", reads="repo", read_only=True)
    write = trace.tool("w", writes="repo")
    calls = [call(read, {}, "a"), call(read, {}, "b"), call(write, {}, "c"), call(read, {}, "d")]
    log = asyncio.run(turn([read, write], calls))
    assert log.result("b").same_as == "a"
    assert log.result("d").same_as == ""
    assert trace.events == ["+r", "-r", "+w", "-w", "+r", "-r"]


def test_the_same_call_of_a_tool_that_acts_runs_as_often_as_it_was_made():
    ran = []

    @tool(idempotent=True)
    async def act() -> None:
        ran.append(1)

    asyncio.run(turn([act], [call(act, {}, "a"), call(act, {}, "b")]))
    assert ran == [1, 1]


def test_what_an_abandoned_writer_works_on_is_held_and_nothing_else():
    release = threading.Event()

    @tool(writes="repo", timeout=0.02)
    def block() -> None:
        release.wait(5)

    @tool(reads="repo")
    async def read() -> str:
        return "read"

    @tool(reads="other")
    async def other() -> str:
        return "other"

    async def main():
        log = Log()
        async with Dispatcher([block, read, other], POLICY) as dispatcher:
            calls = [call(block, {}, "a"), call(read, {}, "b"), call(other, {}, "c")]
            await dispatcher.dispatch(calls, log.record, keep=log.keep, emit=log.emit)
            release.set()
            await until(lambda: not dispatcher._workshop.abandoned)
            await dispatcher.dispatch(
                [call(read, {}, "d")], log.record, keep=log.keep, emit=log.emit
            )
        return log

    log = asyncio.run(main())
    assert log.result("a").status == "timeout"
    assert "still works on what read needs" in log.result("b").content
    assert log.result("c").content == "other"
    assert log.result("d").content == "read"
