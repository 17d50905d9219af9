"""Calls to the tools of toolsets, through the dispatcher that an agent uses."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from itertools import count

from agentkit.events import ArtifactRef, ToolFinished
from agentkit.messages import ToolCall
from agentkit.tool import Dispatcher, DispatchPolicy, collect


class Run:
    """The tools of one run, and what became of their calls."""

    def __init__(self, tools, dispatcher):
        self.tools = {tool.name: tool for tool in tools}
        self.progress = []
        self.artifacts = {}
        self._dispatcher = dispatcher
        self._ids = (f"call_{number}" for number in count())

    async def __call__(self, *calls):
        """Make the calls (name, arguments) of one turn; return what each came to, in order."""
        made = [
            ToolCall(
                next(self._ids),
                name,
                arguments if isinstance(arguments, str) else json.dumps(arguments),
            )
            for name, arguments in calls
        ]
        finished = {}

        async def record(bodies):
            finished.update({b.call_id: b for b in bodies if isinstance(b, ToolFinished)})

        async def keep(artifact):
            self.artifacts[artifact.name] = artifact
            return ArtifactRef(artifact.name, artifact.media_type, "0" * 64, len(artifact.data))

        await self._dispatcher.dispatch(
            made, record, keep=keep, emit=lambda event: self.progress.append(event.text)
        )
        return [_inner(finished[call.id]) for call in made]

    async def one(self, name, **arguments):
        return (await self((name, arguments)))[0]


@asynccontextmanager
async def opened(*sources, **policy):
    """Open toolsets as a run does."""
    async with AsyncExitStack() as stack:
        tools = await collect(sources, stack)
        dispatcher = Dispatcher(tools, DispatchPolicy(**policy), run_id="run")
        yield Run(tools, await stack.enter_async_context(dispatcher))


def _inner(body):
    """Return a result without the lines that mark it as data from outside."""
    head, _, rest = body.content.partition("\n")
    if "data from outside" not in head:
        return body
    return replace(body, content=rest.rpartition("\n")[0])
