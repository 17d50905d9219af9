"""An automation that survives `kill -9`: start it again, and it goes on where it died.

GLM-5 answers with ZAI_API_KEY set, else a script. DIE_AT=tool, between or model kills it once.
"""

import asyncio
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from agentkit import GLM, Agent, tool, workflow
from agentkit.testing import Call, GLMServer, Say


@dataclass
class Report:
    """A report."""

    title: str
    lines: list[str]


def die_once(at: str) -> None:
    if os.environ.get("DIE_AT") == at and not (mark := Path(f"died-{at}")).exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


@tool(read_only=True)
def prices() -> dict[str, float]:
    """Return today's prices."""
    die_once("tool")
    return {"tea": 3.5, "coffee": 7.0}


def brain(request: dict) -> Say:
    if (last := request["messages"][-1])["role"] == "tool":
        return Say(last["content"])
    if last["content"] == "Gather the prices.":
        return Say(calls=[Call("prices")])
    die_once("model")
    return Say(calls=[Call("final_output", {"title": "Prices", "lines": ["tea 3.5", "coffee 7"]})])


async def main() -> None:
    async with GLMServer(brain) as server, workflow("prices", key="today") as flow:
        model = GLM(base_url=None if os.environ.get("ZAI_API_KEY") else server.base_url)
        facts = await flow.step("gather", Agent(model, tools=[prices]).run, "Gather the prices.")
        die_once("between")
        done = await flow.step("write", Agent(model, output=Report).run, f"Report: {facts.output}")
        print(f"{done.output.title}: {'; '.join(done.output.lines)}")


asyncio.run(main())
