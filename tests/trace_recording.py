"""A real run with all that an export has to carry, and the run of a sub-agent beside it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from agentkit import GLM, Agent, tool
from agentkit.events import Reminder
from agentkit.store import MemoryStore
from agentkit.testing import Call, GLMServer, Say
from agentkit.trace import read_run

SCRIPT = [
    Say(
        "I look twice.",
        "Two cities.",
        [Call("weather", {"city": "Firenze"}), Call("ask", {"task": "q"}), Call("wether", "{")],
    ),
    Say("The answer of the child.", "Child thinks."),
    Say("", "", [Call("weather", {"city": "北京"})]),
    Say("All is fine.", "Enough."),
    Say("And so again."),
]


@tool(read_only=True)
async def weather(city: str) -> str:
    """Weather of a city."""
    return f"{city}: 21 °C"


async def record(store, subscriber=None):
    """Run an agent with a sub-agent through two user messages; return the run's id."""
    async with GLMServer(SCRIPT) as server:
        model = GLM(base_url=server.base_url)
        child = Agent(model, store=store, name="child").as_tool("ask", "Ask a sub-agent.")
        agent = Agent(model, "You help.", [weather, child], store=store, name="parent")
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
