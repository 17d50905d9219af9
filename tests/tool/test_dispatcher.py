"""What happens to the calls of one turn."""

import asyncio
import contextvars
import threading
import time
from dataclasses import dataclass

import pytest
from dispatching import POLICY, Log, call, result_of, turn, until
from pydantic import BaseModel

from agentkit.errors import ConfigError, StoreError
from agentkit.events import ToolFinished, ToolProgress, ToolStarted
from agentkit.tool import (
    Artifact,
    Dispatcher,
    DispatchPolicy,
    ToolContext,
    ToolError,
    ToolResult,
    tool,
)


@tool
async def echo(text: str = "hello") -> str:
    return text


@tool
async def hang() -> None:
    await asyncio.Event().wait()


def returning(value):
    @tool
    async def give():
        return value

    return result_of(give)


def raising(error):
    @tool
    async def fail():
        raise error

    return result_of(fail)


@dataclass
class Pair:
    left: int
    right: str


class Model(BaseModel):
    name: str


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ("text", "text"),
        (None, "Done. The tool returned nothing."),
        (3, "3"),
        (2.5, "2.5"),
        (True, "true"),
        ([1, "é"], '[1,"é"]'),
        ({"a": {"b": 1}}, '{"a":{"b":1}}'),
        (Pair(1, "r"), '{"left":1,"right":"r"}'),
        (Model(name="n"), '{"name":"n"}'),
        ([Model(name="n")], '[{"name":"n"}]'),
        ("half a pair \ud800", "half a pair \\ud800"),
    ],
)
def test_what_a_tool_returns_becomes_text(value, content):
    result = returning(value)
    assert (result.status, result.content) == ("ok", content)


@pytest.mark.parametrize("value", [object(), iter([1]), {"a": object()}])
def test_what_cannot_become_text_is_an_error_that_says_so(value):
    result = returning(value)
    assert result.status == "error"
    assert "cannot be shown" in result.content
    assert type(value).__name__ in result.content


def test_a_tool_result_carries_artifacts_and_can_be_an_error():
    chart = Artifact("chart.png", "image/png", b"PNG")

    @tool
    def draw():
        return ToolResult("half done", artifacts=(chart,), ok=False)

    log = asyncio.run(turn([draw], [call(draw)]))
    assert log.kept == {"chart.png": b"PNG"}
    assert log.result().status == "error"
    assert log.result().content == "half done"
    assert log.result().artifacts[0].name == "chart.png"


def test_an_artifact_may_be_returned_as_it_is():
    result = returning(Artifact("a.csv", "text/csv", b"1,2"))
    assert result.content == "Made the file a.csv (text/csv, 3 bytes)."
    assert result.artifacts[0].size == 3


def test_an_artifact_with_a_folder_in_its_name_is_the_tools_error():
    @tool
    def escape():
        return Artifact("../x", "text/plain", b"")

    assert "expected a file name" in result_of(escape).content


def test_a_huge_text_keeps_its_head_and_its_tail():
    @tool
    def flood():
        return "begin" + "x" * 5_000_000 + "end"

    content = result_of(flood, policy=DispatchPolicy(max_result_characters=1000)).content
    assert len(content) < 1200
    assert content.startswith("begin")
    assert content.endswith("end")
    assert "4999008 of 5000008 characters left out" in content


def test_a_tool_error_is_told_word_for_word():
    assert raising(ToolError("No such city; try Paris.")).content == "No such city; try Paris."


def test_any_other_exception_is_told_by_type_and_message_without_a_traceback():
    result = raising(KeyError("x"))
    assert result.status == "error"
    assert result.content.startswith("KeyError: 'x'\n")
    assert "File" not in result.content


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        SystemExit(3),
        MemoryError(),
        asyncio.CancelledError(),
        BaseExceptionGroup("two", [KeyboardInterrupt(), ValueError("inner")]),
        TimeoutError(),
    ],
)
def test_no_exception_of_a_tool_leaves_dispatch(error):
    @tool
    def fail_in_thread():
        raise error

    for result in (raising(error), result_of(fail_in_thread)):
        assert result.status == "error"
        assert type(error).__name__ in result.content


def test_a_tool_that_cancels_its_own_task_is_an_error():
    @tool
    async def suicide():
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    assert result_of(suicide).status == "error"


def test_an_unknown_tool_is_answered_with_the_nearest_name_and_all_names():
    log = asyncio.run(turn([echo, hang], [call("Echo_")]))
    assert log.started == []
    assert log.result().status == "error"
    assert "Did you mean echo?" in log.result().content
    assert "echo, hang" in log.result().content


def test_broken_arguments_are_answered_and_the_siblings_run():
    calls = [call(echo, '{"text": "cut', "a"), call(echo, {"txt": "x"}, "b"), call(echo, {}, "c")]
    log = asyncio.run(turn([echo], calls))
    assert "stop in the middle" in log.result("a").content
    assert "did you mean text?" in log.result("b").content
    assert log.result("c").content == "hello"
    assert [one.call_id for one in log.started] == ["c"]


def test_calls_that_start_together_share_one_write():
    log = asyncio.run(turn([echo], [call(echo, {}, str(index)) for index in range(8)]))
    assert [body.kind for body in log.bodies[:8]] == ["tool_started"] * 8
    assert log.writes <= 3


def test_a_call_is_recorded_before_it_has_effects():
    log = Log(slow=True)
    seen = []

    @tool
    async def look():
        seen.append([body.kind for body in log.bodies])

    asyncio.run(turn([look], [call(look)], log=log))
    assert seen == [["tool_started"]]


def test_a_result_is_recorded_while_its_siblings_still_run():
    log = Log()

    @tool
    async def wait_for_the_other():
        await until(lambda: log.finished)

    calls = [call(wait_for_the_other, {}, "slow"), call(echo, {}, "quick")]
    asyncio.run(turn([wait_for_the_other, echo], calls, log=log))
    assert [one.call_id for one in log.finished] == ["quick", "slow"]


def test_eight_blocking_tools_run_at_once():
    barrier = threading.Barrier(8)

    @tool
    def meet():
        barrier.wait(timeout=5)

    log = asyncio.run(turn([meet], [call(meet, {}, str(index)) for index in range(8)]))
    assert [one.status for one in log.finished] == ["ok"] * 8


@pytest.mark.parametrize("kind", ["async", "thread"])
def test_no_more_calls_run_at_once_than_the_cap(kind):
    running, most = set(), []

    if kind == "async":

        @tool
        async def count(index: int):
            running.add(index)
            most.append(len(running))
            await asyncio.sleep(0.001)
            running.discard(index)

    else:

        @tool
        def count(index: int):
            running.add(index)
            most.append(len(running))
            time.sleep(0.001)
            running.discard(index)

    calls = [call(count, {"index": index}, str(index)) for index in range(50)]
    log = asyncio.run(turn([count], calls, DispatchPolicy(concurrency=3)))
    assert len(log.finished) == 50
    assert max(most) == 3
    assert [one.call_id for one in log.started] == [str(index) for index in range(50)]


class Register:
    def __init__(self):
        self.trace = []

    @tool
    async def slowly(self, key: int):
        await asyncio.sleep(0.002)
        self.trace.append(key)

    @tool
    def quickly(self, key: int):
        self.trace.append(key)

    @tool(concurrent=True)
    async def anytime(self, key: int):
        self.trace.append(key)


def test_methods_of_one_object_run_in_call_order_and_two_objects_do_not_wait():
    one, two = Register(), Register()

    async def main():
        tools = {"one": [one.slowly, one.quickly], "two": [two.quickly]}
        calls = [call(tools["one"][key % 2], {"key": key}, str(key)) for key in range(6)]
        async with Dispatcher(tools["one"]) as first, Dispatcher(tools["two"]) as second:
            log = Log()
            await first.dispatch(calls, log.record, keep=log.keep, emit=log.emit)
            other = Log()
            await second.dispatch(
                [call(two.quickly, {"key": 9})], other.record, keep=log.keep, emit=log.emit
            )

    asyncio.run(main())
    assert one.trace == [0, 1, 2, 3, 4, 5]
    assert two.trace == [9]


def test_a_concurrent_method_waits_for_nobody():
    register = Register()
    calls = [call(register.slowly, {"key": 1}, "a"), call(register.anytime, {"key": 2}, "b")]
    asyncio.run(turn([register.slowly, register.anytime], calls))
    assert register.trace == [2, 1]


def test_an_async_tool_that_hangs_is_stopped_at_its_timeout():
    stopped = []

    @tool(timeout=0.01)
    async def sleep_long():
        try:
            await asyncio.sleep(60)
        finally:
            stopped.append(True)

    result = result_of(sleep_long)
    assert result.status == "timeout"
    assert "Timed out after 0.01 seconds. It stopped" in result.content
    assert stopped == [True]


def test_a_tool_that_ignores_its_cancellation_is_abandoned_and_reported():
    release = asyncio.Event()

    @tool(timeout=0.01)
    async def stubborn():
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return "too late"

    async def main():
        log = Log()
        async with Dispatcher([stubborn], POLICY) as dispatcher:
            await dispatcher.dispatch([call(stubborn)], log.record, keep=log.keep, emit=log.emit)
            release.set()
        return log

    result = asyncio.run(main()).result()
    assert result.status == "timeout"
    assert "may still be running" in result.content


def test_a_blocking_tool_that_hangs_is_abandoned_and_its_object_is_held_until_it_ends():
    release = threading.Event()

    class Machine:
        @tool(timeout=0.02)
        def block(self):
            release.wait(5)

        @tool
        def work(self):
            return "worked"

    machine = Machine()

    async def main():
        log = Log()
        async with Dispatcher([machine.block, machine.work], POLICY) as dispatcher:

            async def run(*calls):
                await dispatcher.dispatch(calls, log.record, keep=log.keep, emit=log.emit)

            await run(call(machine.block, {}, "a"), call(machine.work, {}, "b"))
            await run(call(machine.work, {}, "c"))
            release.set()
            await until(lambda: not dispatcher._workshop.abandoned)
            await run(call(machine.work, {}, "d"))
        return log

    log = asyncio.run(main())
    assert log.result("a").status == "timeout"
    for call_id in ("b", "c"):
        assert log.result(call_id).status == "error"
        assert "the earlier call a timed out" in log.result(call_id).content
    assert log.result("d").content == "worked"
    assert [one.call_id for one in log.started] == ["a", "d"]


def test_the_calls_context_variables_reach_tasks_and_threads():
    variable = contextvars.ContextVar("variable", default="unset")

    @tool
    def in_thread():
        return variable.get()

    @tool
    async def in_task():
        return variable.get()

    async def main():
        variable.set("set")
        return await turn([in_thread, in_task], [call(in_thread, {}, "a"), call(in_task, {}, "b")])

    assert {one.content for one in asyncio.run(main()).finished} == {"set"}


@pytest.mark.parametrize("blocking", [True, False])
def test_a_tool_learns_its_call_and_tells_its_progress(blocking):
    def body(context):
        context.progress("half way")
        return f"{context.run_id} {context.call_id} {context.tool}"

    if blocking:

        @tool
        def work(context: ToolContext):
            return body(context)

    else:

        @tool
        async def work(context: ToolContext):
            return body(context)

    log = asyncio.run(turn([work], [call(work, {}, "c7")]))
    assert log.result("c7").content == "run c7 work"
    assert log.told == [ToolProgress("c7", "half way")]


def test_a_plain_function_that_returns_a_coroutine_is_awaited():
    @tool
    def wrapped():
        return echo("from inside")

    assert result_of(wrapped).content == "from inside"


def cancelled(tools, calls, *, log=None, policy=POLICY, when=lambda log: True, again=False):
    """Cancel a turn as soon as `when` holds, and return its log."""
    log = log or Log()

    async def main():
        async with Dispatcher(tools, policy) as dispatcher:
            task = asyncio.create_task(
                dispatcher.dispatch(calls, log.record, keep=log.keep, emit=log.emit)
            )
            await until(lambda: when(log))
            task.cancel()
            if again:
                await asyncio.sleep(0)
                task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    return log


def test_cancelling_the_run_leaves_one_result_for_every_call():
    calls = [call(echo, {}, "a"), call(hang, {}, "b"), call(hang, {}, "c")]
    log = cancelled([echo, hang], calls, when=lambda log: log.finished)
    assert log.result("a").status == "ok"
    assert log.result("b").status == log.result("c").status == "cancelled"
    assert "part of its work may be done" in log.result("b").content


def test_calls_that_had_not_started_are_said_to_have_done_nothing():
    calls = [call(hang, {}, "a"), call(hang, {}, "b")]
    policy = DispatchPolicy(concurrency=1, grace=0.05)
    log = cancelled([hang], calls, policy=policy, when=lambda log: log.started)
    assert "nothing was run" in log.result("b").content
    assert [one.call_id for one in log.started] == ["a"]


def test_a_cancellation_during_a_write_neither_tears_nor_repeats_it():
    log = Log(slow=True)
    cancelled([hang], [call(hang)], log=log, when=lambda log: log.writes == 1)
    assert [body.kind for body in log.bodies] == ["tool_started", "tool_finished"]


def test_a_second_cancellation_changes_nothing():
    calls = [call(hang, {}, "a"), call(hang, {}, "b")]
    log = cancelled([hang], calls, log=Log(slow=True), when=lambda log: log.started, again=True)
    assert [one.status for one in log.finished] == ["cancelled", "cancelled"]


def test_a_blocking_tool_that_ends_within_the_grace_keeps_its_result():
    begun = threading.Event()

    @tool
    def write():
        begun.set()
        time.sleep(0.01)
        return "written"

    policy = DispatchPolicy(grace=5)
    log = cancelled([write], [call(write)], policy=policy, when=lambda _: begun.is_set())
    assert (log.result().status, log.result().content) == ("ok", "written")


@pytest.mark.parametrize("blocking", [True, False])
def test_a_tool_that_cannot_be_stopped_does_not_hold_up_the_cancellation(blocking):
    release = threading.Event()

    if blocking:

        @tool
        def stubborn():
            release.wait(5)

    else:

        @tool
        async def stubborn():
            while not release.is_set():
                try:
                    await asyncio.sleep(0.001)
                except asyncio.CancelledError:
                    continue

    timer = threading.Timer(0.3, release.set)
    timer.start()
    log = cancelled([stubborn], [call(stubborn)], when=lambda log: log.started)
    timer.join()
    assert log.result().status == "cancelled"
    assert "may still be running" in log.result().content


def test_a_log_that_fails_stops_the_siblings_and_its_error_is_raised():
    stopped = []

    @tool
    async def sibling():
        try:
            await asyncio.sleep(60)
        finally:
            stopped.append(True)

    class Broken(Log):
        async def record(self, bodies):
            if any(isinstance(body, ToolFinished) for body in bodies):
                raise StoreError("disk full")
            await super().record(bodies)

    log = Broken()
    with pytest.raises(StoreError, match="disk full"):
        asyncio.run(turn([sibling, echo], [call(sibling, {}, "a"), call(echo, {}, "b")], log=log))
    assert stopped == [True]


def test_nothing_starts_when_its_start_cannot_be_recorded():
    ran = []

    @tool
    async def effect():
        ran.append(True)

    class Broken(Log):
        async def record(self, bodies):
            raise StoreError("disk full")

    with pytest.raises(StoreError):
        asyncio.run(turn([effect], [call(effect)], log=Broken()))
    assert ran == []


def test_repairs_and_the_arguments_as_used_stand_in_the_log():
    @tool
    async def total(numbers: list[int]) -> int:
        return sum(numbers)

    log = asyncio.run(turn([total], [call(total, '{"numbers": "[1, 2]"}')]))
    (started,) = log.started
    assert isinstance(started, ToolStarted)
    assert started.arguments == {"numbers": [1, 2]}
    assert started.repairs == ("numbers: decoded JSON that was written as a string",)
    assert log.result().content == "3"


def test_a_turn_without_calls_writes_nothing():
    assert asyncio.run(turn([echo], [])).writes == 0


def test_threads_are_daemons_and_end_with_the_dispatcher():
    names = []

    @tool
    def who():
        names.append(threading.current_thread())

    asyncio.run(turn([who], [call(who)]))
    (thread,) = names
    assert thread.daemon
    thread.join(timeout=5)
    assert not thread.is_alive()


@pytest.mark.parametrize("setting", ["concurrency", "timeout", "grace", "max_result_characters"])
def test_a_policy_takes_only_positive_numbers(setting):
    with pytest.raises(ConfigError, match=setting):
        DispatchPolicy(**{setting: 0})
