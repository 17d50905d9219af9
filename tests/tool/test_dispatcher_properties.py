"""What holds for every turn, whatever the calls do and whenever the turn is cancelled."""

import asyncio

from dispatching import Log, call
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.events import ToolFinished, ToolStarted
from agentkit.tool import Dispatcher, DispatchPolicy, ToolError, tool


class Bench:
    """Tools of every character; the methods share the object's order."""

    def __init__(self):
        self.order = []

    @tool
    async def first(self, number: int) -> None:
        self.order.append(number)
        await asyncio.sleep(0)

    @tool
    def second(self, number: int) -> None:
        self.order.append(number)


@tool
async def succeed(number: int) -> int:
    return number


@tool
async def fail(number: int) -> None:
    raise (ToolError("no"), KeyboardInterrupt(), ValueError("x"), SystemExit())[number % 4]


@tool(timeout=0.02)
async def hang(number: int) -> None:
    await asyncio.sleep(60)


KINDS = ["succeed", "fail", "hang", "first", "second", "unknown", "broken", "wrong"]


def make_call(index, kind):
    match kind:
        case "unknown":
            return call("nobody", {}, str(index))
        case "broken":
            return call("succeed", '{"number": ', str(index))
        case "wrong":
            return call("first", {"number": "many"}, str(index))
        case _:
            return call(kind, {"number": index}, str(index))


async def play(kinds, log, bench, cap, cancel_after):
    calls = [make_call(index, kind) for index, kind in enumerate(kinds)]
    tools = [succeed, fail, hang, bench.first, bench.second]
    policy = DispatchPolicy(concurrency=cap, grace=0.05)
    async with Dispatcher(tools, policy) as dispatcher:
        work = asyncio.create_task(
            dispatcher.dispatch(calls, log.record, keep=log.keep, emit=log.emit)
        )
        if cancel_after is not None:
            for _ in range(cancel_after):
                await asyncio.sleep(0)
            work.cancel()
        await asyncio.wait([work])
        assert len(asyncio.all_tasks()) == 1
    if not work.cancelled():
        work.result()


@settings(max_examples=150, deadline=None)
@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=12),
    cap=st.integers(1, 6),
    cancel_after=st.none() | st.integers(1, 25),
    slow=st.booleans(),
)
def test_every_call_has_one_result_and_starts_before_it(kinds, cap, cancel_after, slow):
    log, bench = Log(slow), Bench()
    asyncio.run(play(kinds, log, bench, cap, cancel_after))

    finished = [body.call_id for body in log.bodies if isinstance(body, ToolFinished)]
    assert sorted(finished) == sorted(str(index) for index in range(len(kinds)))
    started = [body.call_id for body in log.bodies if isinstance(body, ToolStarted)]
    assert len(set(started)) == len(started)
    seen = set()
    for body in log.bodies:
        if isinstance(body, ToolStarted):
            assert body.call_id not in seen
        seen.add(body.call_id)
    assert bench.order == sorted(bench.order)
    if cancel_after is None:
        for index, kind in enumerate(kinds):
            status = log.result(str(index)).status
            assert status == {
                "succeed": "ok",
                "first": "ok",
                "second": "ok",
                "hang": "timeout",
            }.get(kind, "error")
