"""Sub-agents: an agent as a tool of another, with a context and a log of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from agentkit.agent.below import child_id, is_there, sub_run
from agentkit.agent.opening import Origin, open_run
from agentkit.agent.result import Result
from agentkit.agent.run import CURRENT, Run
from agentkit.errors import AgentkitError, RunTaken
from agentkit.events import Ephemeral, Event, Nested
from agentkit.store import LEASE_SECONDS
from agentkit.tool import Postponed, Tool, ToolContext, ToolResult, tool

if TYPE_CHECKING:
    from agentkit.agent.agent import Agent

_POLL_SECONDS = 0.5


def agent_tool(agent: Agent[Any], name: str, description: str) -> Tool:
    """Return a tool that gives a task to an agent; see `Agent.as_tool`."""

    async def delegate(task: str, context: ToolContext) -> ToolResult | Postponed:
        parent = CURRENT.get()
        if parent is None:
            return _result(await agent.run(task))
        return await _serve(agent, task, parent, context.call_id)

    delegate.__doc__ = (
        f"{description}\n\nArgs:\n    task: everything it has to know; it sees nothing else."
    )
    # A call that crashed or paused goes on from the sub-agent's own log, so it is made again.
    return tool(name=name, idempotent=True, concurrent=True)(delegate)


async def _serve(
    agent: Agent[Any], task: str, parent: Run[Any], call_id: str
) -> ToolResult | Postponed:
    """Run, or go on with, the sub-agent that serves a call of the parent."""
    store = parent.parts.store
    run_id = child_id(parent.id, call_id, parent.standing.uses[call_id])

    def tell(event: Event | Ephemeral) -> None:
        parent.emit(Nested(call_id, run_id, event))

    origin = Origin(
        run_id,
        is_new=not await is_there(store, run_id),
        accept_changes=True,
        parent=parent,
        parent_id=parent.id,
        call_id=call_id,
    )
    mine = replace(agent, store=store, approver=agent.approver or parent.parts.approver)
    subscriber = tell if parent.is_watched else None
    async with _opened(lambda: open_run(mine, subscriber, origin)) as child:
        parent.children[run_id] = child
        try:
            result = await (child.send(task) if origin.is_new else _resumed(child, task))
        except AgentkitError as error:
            said = f"The sub-agent {agent.name!r} failed: {type(error).__name__}: {error}"
            return ToolResult(said, ok=False, sub_run=sub_run(child))
        if child.standing.is_paused:
            return Postponed()
        return replace(_result(result), sub_run=sub_run(child))


@asynccontextmanager
async def _opened(
    opening: Callable[[], AbstractAsyncContextManager[Run[Any]]],
) -> AsyncGenerator[Run[Any]]:
    """Open the sub-agent's run, if need be once the lease of a worker that died has ended.

    Its parent is held here, so nobody who lives works on it, unless it was opened by itself.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + LEASE_SECONDS
    async with AsyncExitStack() as stack:
        while True:
            try:
                child = await stack.enter_async_context(opening())
                break
            except RunTaken:
                if loop.time() > until:
                    raise
                await asyncio.sleep(_POLL_SECONDS)
        yield child


async def _resumed(child: Run[Any], task: str) -> Result[Any]:
    """Go on with a run whose process ended, perhaps before it took its task."""
    return await (child.resume() if child.context.messages[1:] else child.send(task))


def _result(result: Result[Any]) -> ToolResult:
    if result.pending:
        names = ", ".join(sorted({question.tool for question in result.pending}))
        return ToolResult(
            f"The sub-agent stopped: {names} needs an approval that nobody here can give. Do "
            "without it, or say so in your answer.",
            ok=False,
        )
    output = result.output
    text = output if isinstance(output, str) else to_json(output).decode()
    return ToolResult(text, result.artifacts)
