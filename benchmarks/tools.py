"""Cost of a tool call: `python -m benchmarks.tools` prints CPU per call and ratios.

The floor is what a hand-written loop does: `await function(**json.loads(arguments))`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence

from agentkit.events import ArtifactRef, Body
from agentkit.messages import ToolCall
from agentkit.tool import Artifact, Dispatcher, tool

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


def best(measure, *args: int) -> float:
    """Return the smallest of some measurements: the machine is shared."""
    return min(asyncio.run(measure(*args)) for _ in range(REPEATS))


def main() -> None:
    base = best(floor)
    print(f"{'bare await f(**json.loads(args))':42} {base * 1e6:8.1f} us CPU a call")
    for batch in (1, 8, 1000):
        cost = best(dispatched, batch)
        label = f"dispatch, {batch} async no-op calls a turn"
        print(f"{label:42} {cost * 1e6:8.1f} us CPU a call  (limit 100)")
    for count in (1, 8, 16):
        seconds = best(wave, count)
        label = f"{count} blocking tools of {SLEEP * 1e3:.0f} ms in one turn"
        print(f"{label:42} {seconds / SLEEP:8.2f} x one tool      (limit 1.5)")


if __name__ == "__main__":
    main()
