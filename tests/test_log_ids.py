"""Log lines say which run, turn and call they come from."""

from __future__ import annotations

import asyncio

import structlog

from agentkit import GLM, Agent, tool
from agentkit.events import ToolStarted
from agentkit.log import add_ids, ids, warn
from agentkit.store import MemoryStore
from agentkit.testing import Call, GLMServer, Say


def test_lines_of_tools_and_of_the_library_carry_run_turn_and_call(monkeypatch):
    lines = []

    def keep(logger, method, event):
        lines.append(dict(event))
        raise structlog.DropEvent

    structlog.configure(processors=[add_ids, keep])

    @tool
    async def works(name: str) -> str:
        """Work."""
        structlog.get_logger().info(name)
        return name

    @tool
    def blocks(name: str) -> str:
        """Work in a thread."""
        structlog.get_logger().info(name)
        return name

    async def main():
        two = [Call("works", {"name": "first"}), Call("blocks", {"name": "second"})]
        script = [Say(calls=two), Say(calls=[Call("works", {"name": "third"})]), "done"]
        store = MemoryStore()
        async with GLMServer(script) as server:
            agent = Agent(GLM(base_url=server.base_url), tools=[works, blocks], store=store)
            result = await agent.run("go")
        warn("test", "outside")
        return await store.load(result.run_id)

    try:
        log = asyncio.run(main())
    finally:
        structlog.reset_defaults()
    calls = [event.body.call_id for event in log if isinstance(event.body, ToolStarted)]
    found = {line["event"]: line for line in lines}
    run_id = log[0].run_id
    for name, turn, call in zip(("first", "second", "third"), (1, 1, 2), calls, strict=True):
        assert (found[name]["run_id"], found[name]["turn"]) == (run_id, turn)
        assert found[name]["call_id"] == call
    assert "run_id" not in found["outside"]


def test_ids_nest_and_a_line_keeps_its_own(capsys):
    structlog.reset_defaults()
    with ids(run_id="r"), ids(call_id="c"):
        warn("test", "inside", call_id="own")
    warn("test", "after")
    inside, after = capsys.readouterr().err.splitlines()
    assert "run_id=r" in inside
    assert "call_id=own" in inside
    assert "run_id" not in after
