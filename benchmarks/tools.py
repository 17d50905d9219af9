"""Cost of a tool call: `python -m benchmarks.tools` prints CPU per call and ratios.

The floor is what a hand-written loop does: `await function(**json.loads(arguments))`.
"""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc
from collections.abc import Sequence

from agentkit.events import ArtifactRef, Body
from agentkit.messages import ToolCall
from agentkit.tool import (
    ApprovalPolicy,
    Artifact,
    Dispatcher,
    DispatchPolicy,
    Rule,
    Tool,
    ToolContext,
    tool,
)

REPEATS = 5
CALLS = 2000
ARGUMENTS = '{"query": "price of GLM-5", "top_k": 3}'
SLEEP = 0.1


@tool
async def search(query: str, top_k: int = 5) -> str:
    """Search.

    Args:
        query: what to look for.
        top_k: how many hits.
    """
    return query if top_k else ""


@tool
def block(seconds: float) -> str:
    """Block a thread for some seconds."""
    time.sleep(seconds)
    return "slept"


async def record(_: Sequence[Body]) -> None:
    """Take the events and forget them."""


async def keep(artifact: Artifact) -> ArtifactRef:
    """Refer to bytes that nobody keeps."""
    return ArtifactRef(artifact.name, artifact.media_type, "", len(artifact.data))


def calls(name: str, arguments: str, count: int) -> list[ToolCall]:
    return [ToolCall(f"call_{index}", name, arguments) for index in range(count)]


async def floor() -> float:
    start = time.process_time()
    for _ in range(CALLS):
        await search(**json.loads(ARGUMENTS))
    return (time.process_time() - start) / CALLS


def variant(**flags) -> Tool:
    """Return the same tool with flags that cost something."""
    return tool(name="search", **flags)(search.function)


@tool(name="search")
async def with_context(query: str, context: ToolContext, top_k: int = 5) -> str:
    """Search, and know of the run."""
    return query if top_k and not context.cancelled.is_set() else ""


VARIANTS = {
    "a context": (with_context, ApprovalPolicy()),
    "a resource": (variant(writes="index"), ApprovalPolicy()),
    "a cap of its own": (variant(max_concurrency=4), ApprovalPolicy()),
    "the untrusted mark": (variant(open_world=True), ApprovalPolicy()),
    "read_only (duplicates looked for)": (variant(read_only=True), ApprovalPolicy()),
    "a policy of three rules": (
        search,
        ApprovalPolicy((Rule("deny", "shell_*"), Rule("ask", hint="destructive"), Rule("allow"))),
    ),
}


async def varied(one: Tool, approval: ApprovalPolicy) -> float:
    turn = calls("search", ARGUMENTS, 1)
    async with Dispatcher([one], approval=approval) as dispatcher:
        start = time.process_time()
        for _ in range(CALLS):
            await dispatcher.dispatch(turn, record, keep=keep, emit=lambda _: None)
        return (time.process_time() - start) / CALLS


async def early(count: int) -> float:
    """Offer calls while the model "writes", then dispatch them: what early start costs a call."""
    turn = [ToolCall(f"call_{at}", "search", json.dumps({"query": str(at)})) for at in range(count)]
    one = variant(read_only=True)
    async with Dispatcher([one]) as dispatcher:
        start = time.process_time()
        for _ in range(CALLS // count):
            offered = dispatcher.early(lambda _: None)
            for call in turn:
                offered.offer(call)
            await asyncio.sleep(0)
            await dispatcher.dispatch(turn, record, keep=keep, emit=lambda _: None, early=offered)
        return (time.process_time() - start) / (CALLS // count * count)


async def thousand(characters: int) -> tuple[float, float]:
    """Return wall seconds and peak MB of one turn of 1,000 calls; the log is kept in memory."""

    @tool
    async def answer(number: int) -> str:
        await asyncio.sleep(0)
        return str(number % 10) * characters

    turn = [ToolCall(f"call_{at}", "answer", json.dumps({"number": at})) for at in range(1000)]
    log: list[Body] = []

    async def kept(bodies: Sequence[Body]) -> None:
        log.extend(bodies)

    async with Dispatcher([answer]) as dispatcher:
        await dispatcher.dispatch(turn[:1], record, keep=keep, emit=lambda _: None)
        start = time.perf_counter()
        await dispatcher.dispatch(turn, kept, keep=keep, emit=lambda _: None)
        seconds = time.perf_counter() - start
        log.clear()
        tracemalloc.start()
        await dispatcher.dispatch(turn, kept, keep=keep, emit=lambda _: None)
        peak = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
    return seconds, peak


async def gigabyte() -> tuple[float, float]:
    """Return what a result of 1 GB costs beyond the tool itself: seconds and peak MB."""
    rows = ["x" * 1_000_000] * 1000

    @tool
    async def flood() -> list[str]:
        return rows

    turn = [ToolCall("call_0", "flood", "")]
    async with Dispatcher([flood], DispatchPolicy()) as dispatcher:
        tracemalloc.start()
        start = time.perf_counter()
        await dispatcher.dispatch(turn, record, keep=keep, emit=lambda _: None)
        seconds = time.perf_counter() - start
        peak = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
    return seconds, peak


async def dispatched(batch: int) -> float:
    turn = calls("search", ARGUMENTS, batch)
    async with Dispatcher([search]) as dispatcher:
        start = time.process_time()
        for _ in range(CALLS // batch):
            await dispatcher.dispatch(turn, record, keep=keep, emit=lambda _: None)
        return (time.process_time() - start) / (CALLS // batch * batch)


async def wave(count: int) -> float:
    turn = calls("block", json.dumps({"seconds": SLEEP}), count)
    async with Dispatcher([block]) as dispatcher:
        start = time.perf_counter()
        await dispatcher.dispatch(turn, record, keep=keep, emit=lambda _: None)
        return time.perf_counter() - start


def best(measure, *args) -> float:
    """Return the smallest of some measurements: the machine is shared."""
    return min(asyncio.run(measure(*args)) for _ in range(REPEATS))


def main() -> None:
    base = best(floor)
    print(f"{'bare await f(**json.loads(args))':42} {base * 1e6:8.1f} us CPU a call")
    for batch in (1, 8, 1000):
        cost = best(dispatched, batch)
        label = f"dispatch, {batch} async no-op calls a turn"
        print(f"{label:42} {cost * 1e6:8.1f} us CPU a call  (limit 100)")
    plain = best(dispatched, 1)
    for name, (one, approval) in VARIANTS.items():
        ratio = best(varied, one, approval) / plain
        print(f"{'1 call a turn with ' + name:52} {ratio:5.2f} x without")
    print(f"{'8 calls a turn, started early':42} {best(early, 8) * 1e6:8.1f} us CPU a call")
    for characters in (10, 40_000):
        seconds, peak = asyncio.run(thousand(characters))
        label = f"1,000 calls a turn, {characters:,} characters each"
        print(f"{label:42} {seconds:8.3f} s, peak {peak:.1f} MB with the log")
    seconds, peak = asyncio.run(gigabyte())
    print(f"{'a list of 1 GB as a result':42} {seconds:8.3f} s, peak {peak:.1f} MB more")
    for count in (1, 8, 16):
        seconds = best(wave, count)
        label = f"{count} blocking tools of {SLEEP * 1e3:.0f} ms in one turn"
        print(f"{label:42} {seconds / SLEEP:8.2f} x one tool      (limit 1.5)")


if __name__ == "__main__":
    main()
