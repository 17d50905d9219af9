"""What the runs of one event loop keep apart: resources, objects and the caps of tools."""

import asyncio
import threading
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from dispatching import POLICY, Log, call, turn, until

from agentkit.tool import Dispatcher, DispatchPolicy, Tool, rename_tools, tool


class Trace:
    """Tools that last until they are let go, and what ran when."""

    def __init__(self):
        self.running = []
        self.begun = []
        self.ended = []
        self.gates = {}

    async def work(self, name):
        self.begun.append(name)
        self.running.append(name)
        try:
            await self.gates.setdefault(name, asyncio.Event()).wait()
        finally:
            self.running.remove(name)
            self.ended.append(name)
        return name

    def let(self, *names):
        for name in names:
            self.gates.setdefault(name, asyncio.Event()).set()

    def tool(self, name, **flags):
        async def work(key: str) -> str:
            return await self.work(key)

        return tool(name=name, **flags)(work)


@asynccontextmanager
async def runs(policy=POLICY):
    """Yield a function that starts a turn in a run of its own and returns its task and log."""
    async with AsyncExitStack() as stack:

        async def start(tools, *calls, policy=policy):
            log = Log()
            dispatcher = await stack.enter_async_context(Dispatcher(tools, policy))
            log.task = asyncio.create_task(
                dispatcher.dispatch(calls, log.record, keep=log.keep, emit=log.emit)
            )
            await settle()
            return log

        yield start


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


def keyed(one, *keys):
    return [call(one, {"key": key}, key) for key in keys]


def nest(inner, calls, policy=POLICY, **flags):
    """Return a tool whose call is a run of its own, and the log of that run."""
    log = Log()

    @tool(name="outer", **flags)
    async def outer(key: str) -> str:
        async with Dispatcher(inner, policy) as dispatcher:
            await dispatcher.dispatch(calls, log.record, keep=log.keep, emit=log.emit)
        return "; ".join(one.status for one in log.finished)

    return outer, log


def test_a_writer_of_one_run_waits_for_the_writers_and_readers_of_another():
    trace = Trace()
    write, read = trace.tool("w", writes="repo"), trace.tool("r", reads="repo")

    async def main():
        async with runs() as start:
            one = await start([read], *keyed(read, "r1"))
            two = await start([read], *keyed(read, "r2"))
            three = await start([write], *keyed(write, "w3"))
            four = await start([write], *keyed(write, "w4"))
            five = await start([read], *keyed(read, "r5"))
            assert trace.running == ["r1", "r2"]
            trace.let("r1", "r2")
            await settle()
            assert trace.running == ["w3"]
            assert four.started == five.started == []
            trace.let("w3")
            await settle()
            assert trace.running == ["w4"]
            trace.let("w4", "r5")
            await asyncio.gather(*(log.task for log in (one, two, three, four, five)))

    asyncio.run(main())
    assert trace.begun == ["r1", "r2", "w3", "w4", "r5"]


def test_methods_of_one_object_are_kept_apart_in_all_runs_and_other_objects_are_not():
    class Account:
        def __init__(self, trace):
            self.trace = trace

        @tool
        async def pay(self, key: str) -> None:
            await self.trace.work(key)

        @tool
        async def check(self, key: str) -> None:
            await self.trace.work(key)

    trace = Trace()
    mine, yours = Account(trace), Account(trace)

    async def main():
        async with runs() as start:
            logs = [
                await start([mine.pay], *keyed(mine.pay, "a")),
                await start([mine.check], *keyed(mine.check, "b")),
                await start([yours.pay], *keyed(yours.pay, "c")),
            ]
            assert trace.running == ["a", "c"]
            trace.let("a", "b", "c")
            await asyncio.gather(*(log.task for log in logs))

    asyncio.run(main())
    assert trace.begun == ["a", "c", "b"]


def test_a_cap_of_a_tool_holds_in_all_runs_and_runs_take_turns():
    trace = Trace()
    few = trace.tool("few", max_concurrency=2)
    renamed = rename_tools(few, {"few": "other"})

    async def main():
        async with runs() as start, renamed.open() as (other,):
            one = await start([few], *keyed(few, "a1", "a2", "a3", "a4", "a5"))
            two = await start([other], *keyed(other, "b1", "b2"))
            assert trace.running == ["a1", "a2"]
            trace.let("a1")
            await settle()
            trace.let("a2")
            await settle()
            assert trace.running == ["a3", "b1"]
            trace.let("a3", "a4", "a5", "b1", "b2")
            await asyncio.gather(one.task, two.task)

    asyncio.run(main())
    assert trace.begun[:4] == ["a1", "a2", "a3", "b1"]
    assert trace.begun.index("b2") < trace.begun.index("a5")


def test_two_tools_of_one_name_have_caps_of_their_own():
    trace = Trace()
    one, other = trace.tool("few", max_concurrency=1), trace.tool("few", max_concurrency=1)

    async def main():
        async with runs() as start:
            logs = [await start([one], *keyed(one, "a")), await start([other], *keyed(other, "b"))]
            assert trace.running == ["a", "b"]
            trace.let("a", "b")
            await asyncio.gather(*(log.task for log in logs))

    asyncio.run(main())


def test_higher_priority_goes_first_among_runs_that_wait():
    trace = Trace()
    low, high = trace.tool("low", writes="repo"), trace.tool("high", writes="repo", priority=1)

    async def main():
        async with runs() as start:
            logs = [
                await start([low], *keyed(low, "first")),
                await start([low], *keyed(low, "second")),
                await start([high], *keyed(high, "third")),
            ]
            trace.let("first", "second", "third")
            await asyncio.gather(*(log.task for log in logs))

    asyncio.run(main())
    assert trace.begun == ["first", "third", "second"]


@pytest.mark.parametrize(
    ("outer_flags", "inner_flags"),
    [
        ({"writes": "repo"}, {"writes": "repo"}),
        ({"writes": "repo"}, {"reads": "repo"}),
        ({"reads": "repo"}, {"writes": "repo"}),
        ({"group": "repo"}, {"writes": ("repo", "other")}),
    ],
)
def test_a_run_inherits_what_the_call_that_it_serves_holds(outer_flags, inner_flags):
    trace = Trace()
    inner, other = trace.tool("inner", **inner_flags), trace.tool("other", writes="repo")
    outer, log = nest([inner], keyed(inner, "i1", "i2"), **outer_flags)

    async def main():
        async with runs() as start:
            parent = await start([outer], *keyed(outer, "o"))
            rest = await start([other], *keyed(other, "x"))
            assert "x" not in trace.running
            trace.let("i1", "i2", "x")
            await asyncio.gather(parent.task, rest.task)
            return parent

    parent = asyncio.run(main())
    assert parent.result("o").content == "ok; ok"
    assert [one.status for one in log.finished] == ["ok", "ok"]
    assert trace.begun == ["i1", "i2", "x"]


def test_a_tool_with_a_cap_may_be_used_inside_its_own_call():
    depth = []

    @tool(max_concurrency=1)
    async def research(key: str) -> str:
        depth.append(key)
        if len(depth) > 3:
            return "bottom"
        log = Log()
        async with Dispatcher([research], POLICY) as dispatcher:
            calls = keyed(research, "a", "b")
            await dispatcher.dispatch(calls, log.record, keep=log.keep, emit=log.emit)
        return log.result("b").content

    log = asyncio.run(turn([research], keyed(research, "top")))
    assert log.result("top").content == "bottom"


def test_sub_runs_of_one_call_are_kept_apart_from_each_other():
    trace = Trace()
    write = trace.tool("w", writes="repo")

    @tool(writes="repo")
    async def parent() -> None:
        async def child(key):
            await turn([write], keyed(write, key))

        await asyncio.gather(child("a"), child("b"))

    async def main():
        async with runs() as start:
            log = await start([parent], call(parent))
            assert trace.running == ["a"]
            trace.let("a", "b")
            await log.task

    asyncio.run(main())
    assert trace.begun == ["a", "b"]


def test_of_two_runs_that_want_what_the_other_s_call_holds_the_last_to_ask_is_refused():
    trace = Trace()
    take_a, take_b = trace.tool("a", writes="a"), trace.tool("b", writes="b")
    wait = trace.tool("wait")

    def pair(mine, other, key):
        @tool(name=f"outer{key}", writes=mine)
        async def outer() -> str:
            await trace.work(f"go{key}")
            log = await turn([other], keyed(other, key))
            return log.result(key).content

        return outer

    first, second = pair("a", take_b, "1"), pair("b", take_a, "2")

    async def main():
        async with runs() as start:
            one, two = await start([first], call(first)), await start([second], call(second))
            third = await start([wait, take_a], *keyed(take_a, "3"))
            trace.let("1", "2", "3", "go1")
            await settle()
            trace.let("go2")
            await asyncio.gather(one.task, two.task, third.task)
            return one, two, third

    one, two, third = asyncio.run(main())
    assert one.result().content == "1"
    assert "would never end" in two.result().content
    assert third.result("3").content == "3"


def test_a_sub_run_that_waits_for_a_resource_leaves_the_only_slot_to_the_one_that_holds_it():
    """The delegate holds the slot, a call of its run waits behind one that waits for a slot."""
    trace = Trace()
    write = trace.tool("w", writes="repo")
    outer, _ = nest([write], keyed(write, "inner"), DispatchPolicy(total_concurrency=1))

    async def main():
        async with runs(DispatchPolicy(total_concurrency=1)) as start:
            first = await start([write], *keyed(write, "first"))
            parent = await start([outer], *keyed(outer, "o"))
            other = await start([write], *keyed(write, "other"))
            trace.let("first", "inner", "other")
            await asyncio.gather(first.task, parent.task, other.task)
            return parent

    assert asyncio.run(main()).result("o").content == "ok"
    assert sorted(trace.ended) == ["first", "inner", "other"]


def test_a_run_that_is_cancelled_in_line_makes_room_for_those_behind():
    trace = Trace()
    write, read = trace.tool("w", writes="repo"), trace.tool("r", reads="repo")

    async def main():
        async with runs() as start:
            one = await start([read], *keyed(read, "r1"))
            two = await start([write], *keyed(write, "w2", "w3"))
            three = await start([read], *keyed(read, "r4"))
            assert trace.running == ["r1"]
            two.task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await two.task
            await settle()
            assert trace.running == ["r1", "r4"]
            trace.let("r1", "r4")
            await asyncio.gather(one.task, three.task)
            return two

    two = asyncio.run(main())
    assert [one.status for one in two.finished] == ["cancelled", "cancelled"]
    assert two.started == []


def test_a_run_that_is_cancelled_while_it_holds_gives_back():
    trace = Trace()
    write = trace.tool("w", writes="repo", max_concurrency=1)

    async def main():
        async with runs() as start:
            one = await start([write], *keyed(write, "a"))
            two = await start([write], *keyed(write, "b"))
            one.task.cancel()
            trace.let("b")
            await two.task
            return two

    assert asyncio.run(main()).result("b").status == "ok"


def test_what_an_abandoned_writer_works_on_is_refused_to_other_runs_until_it_ends():
    release = threading.Event()

    @tool(writes="repo", timeout=0.02)
    def block() -> None:
        release.wait(30)

    @tool(reads="repo")
    async def read(key: str) -> str:
        return key

    async def main():
        async with runs() as start:
            one = await start([block], call(block))
            waits = await start([read], *keyed(read, "waited"))
            await asyncio.gather(one.task, waits.task)
            asks = await start([read], *keyed(read, "asked"))
            await asks.task
            release.set()
            while (later := await start([read], *keyed(read, "later"))).task:
                await later.task
                if later.result("later").status == "ok":
                    break
                await asyncio.sleep(0.01)
        return waits, asks

    waits, asks = asyncio.run(asyncio.wait_for(main(), 30))
    assert "still works on what read needs" in waits.result("waited").content
    assert "still works on what read needs" in asks.result("asked").content


def test_nothing_is_read_early_while_another_run_writes_it():
    trace = Trace()
    write = trace.tool("w", writes="repo")
    read = trace.tool("r", reads="repo", read_only=True)

    async def main():
        async with runs() as start, Dispatcher([read], POLICY) as reader:
            log, early = Log(), None
            one = await start([write], *keyed(write, "w"))
            early = reader.early(log.emit)
            early.offer(*keyed(read, "r"))
            await settle()
            assert trace.begun == ["w"]
            trace.let("w", "r")
            await one.task
            await reader.dispatch(
                keyed(read, "r"), log.record, keep=log.keep, emit=log.emit, early=early
            )
            return log

    assert asyncio.run(main()).result("r").status == "ok"


def test_a_log_that_fails_gives_back_what_its_run_was_about_to_use():
    trace = Trace()
    write: Tool = trace.tool("w", writes="repo")

    class Broken(Log):
        async def record(self, bodies):
            await asyncio.sleep(0)
            raise OSError("disk full")

    async def main():
        async with runs() as start:
            one = await start([write], *keyed(write, "a"))
            broken = asyncio.create_task(turn([write], keyed(write, "b"), log=Broken()))
            await settle()
            two = await start([write], *keyed(write, "c"))
            trace.let("a", "c")
            with pytest.raises(OSError, match="disk full"):
                await broken
            await until(lambda: "c" in trace.ended)
            await asyncio.gather(one.task, two.task)

    asyncio.run(main())
    assert trace.begun == ["a", "c"]


def test_a_turn_stopped_while_it_writes_has_a_result_for_what_stood_in_line():
    """The stop came between two looks at what there is to do, and nothing was left to look at."""
    trace = Trace()
    write = trace.tool("w", writes="repo")

    async def main():
        async with runs() as start:
            one = await start([write], *keyed(write, "w1"))
            log = Log(slow=True)
            async with Dispatcher([write], POLICY) as dispatcher:
                # The unknown tool has its result at once, which is written while w2 waits in line.
                calls = [call("nothing", {}, "n"), *keyed(write, "w2")]
                turn = dispatcher.dispatch(calls, log.record, keep=log.keep, emit=log.emit)
                task = asyncio.create_task(turn)
                await until(lambda: log.writes)
                task.cancel()
                await asyncio.wait([task])
            trace.let("w1")
            await one.task
        return log

    log = asyncio.run(main())
    assert {body.call_id: body.status for body in log.finished} == {"n": "error", "w2": "cancelled"}
    assert trace.begun == ["w1"]
