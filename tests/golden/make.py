"""Record the golden log anew: `python tests/golden/make.py`.

Real runs of a real agent against the scripted server, over HTTP, with a real SQLite log; then, as a
run of their own, the examples of `tests/bodies.py`, so that kinds stand here too that only need a
person or a crash. A log of a version that was released is never recorded anew: a new one stands
beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from agentkit import GLM, Agent, Limits, tool
from agentkit.errors import AgentkitError
from agentkit.events import dump_line
from agentkit.store import SQLiteStore
from agentkit.testing import Call, GLMServer, Say
from agentkit.tool import Artifact, ToolResult
from bodies import EXAMPLES, events

GOLDEN = Path(__file__).parent / "log-0.1.jsonl"


@tool(read_only=True)
async def weather(city: str) -> str:
    """Weather of a city."""
    return f"{city}: 21 °C, 晴"


@tool
def draw(title: str) -> ToolResult:
    """Draw a chart."""
    return ToolResult(f"drew {title}", (Artifact("chart.svg", "image/svg+xml", b"<svg/>"),))


async def record(store: SQLiteStore) -> None:
    """Run the agent to each of its ends."""
    started = asyncio.Event()

    @tool
    async def hang() -> str:
        """Take long."""
        started.set()
        await asyncio.sleep(60)
        return "late"

    calls = [Call("weather", {"city": "Firenze"}), Call("draw", {"title": "t"}), Call("wether")]
    script = [
        Say("I look.", "Two cities at once.", calls),
        Say("Done, as far as", "", finish_reason="length"),
        Say("", "", [Call("weather", {"city": "x"})]),
        Say("", "", [Call("hang")]),
    ]
    async with GLMServer(script) as server:
        model = GLM(base_url=server.base_url)
        tools = [weather, draw, hang]
        agent = Agent(model, tools=tools, store=store, name="golden")
        await agent.run("天气? Как погода?")
        with contextlib.suppress(AgentkitError):
            short = Agent(model, tools=tools, store=store, name="golden", limits=Limits(turns=1))
            await short.run("fail")
        task = asyncio.create_task(agent.run("interrupt"))
        await started.wait()
        task.cancel()
        await asyncio.wait([task])


async def main() -> None:
    """Write the file."""
    with tempfile.TemporaryDirectory() as folder:
        store = SQLiteStore(folder)
        await record(store)
        await store.append("e" * 24, events("e" * 24, *EXAMPLES), 0)
        runs = reversed(await store.runs())
        lines = [dump_line(event) for run in runs for event in await store.load(run.run_id)]
        await store.close()
    GOLDEN.write_bytes(b"".join(lines))


if __name__ == "__main__":
    asyncio.run(main())
