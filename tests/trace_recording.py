"""A real run with all that an export has to carry, and the run of a sub-agent beside it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from agentkit import GLM, Agent, tool
from agentkit.events import Reminder, SubRun
from agentkit.store import MemoryStore
from agentkit.testing import Call, GLMServer, Say
from agentkit.tool import ToolResult
from agentkit.trace import read_run
from agentkit.usage import Usage

SCRIPT = [
    Say("The answer of the child.", "Child thinks."),
    Say(
        "I look twice.",
        "Two cities.",
        [Call("weather", {"city": "Firenze"}), Call("ask", {"question": "q"}), Call("wether", "{")],
    ),
    Say("", "", [Call("weather", {"city": "北京"})]),
    Say("All is fine.", "Enough."),
    Say("And so again."),
]


@tool(read_only=True)
async def weather(city: str) -> str:
    """Weather of a city."""
    return f"{city}: 21 °C"


async def record(store, subscriber=None):
    """Run a child, then its parent with two user messages; return the parent's id."""
    async with GLMServer(SCRIPT) as server:
        model = GLM(base_url=server.base_url)
        child = await Agent(model, store=store, name="child").run("A question.")

        @tool
        async def ask(question: str) -> ToolResult:
            """Ask a sub-agent."""
            return ToolResult(child.output, sub_run=SubRun(child.run_id, 1, Usage(5, 0, 5), 0.001))

        agent = Agent(model, "You help.", [weather, ask], store=store, name="parent")
        async with agent.open(subscriber) as run:
            await run.send("Weather?")
            await run.append([Reminder(topic="plan", content="[>] one step is left")])
            await run.send("And again?")
            return run.id


def recorded(**kwargs):
    """Return the run as it was read back from its store."""

    async def main():
        store = MemoryStore()
        return await read_run(store, await record(store, **kwargs))

    return asyncio.run(main())


def cut(run, kind):
    """Return the run as if the process had died before the last event of this kind."""
    last = max(event.seq for event in run.events if event.kind == kind)
    return replace(run, events=run.events[:last])
