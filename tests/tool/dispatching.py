"""A log, and one turn of calls against it, for the tests of dispatch."""

from __future__ import annotations

import asyncio
import json

from agentkit.events import ArtifactRef, ToolFinished, ToolStarted
from agentkit.messages import ToolCall
from agentkit.tool import Dispatcher, DispatchPolicy

POLICY = DispatchPolicy(timeout=5, grace=0.05)


class Log:
    """Keeps what is recorded; notices writers that overlap."""

    def __init__(self, slow=False):
        self.bodies = []
        self.writes = 0
        self.told = []
        self.kept = {}
        self.slow = slow
        self._writing = False

    async def record(self, bodies):
        assert not self._writing, "record was called while it was running"
        self._writing = True
        self.writes += 1
        if self.slow:
            await asyncio.sleep(0.001)
        self.bodies += bodies
        self._writing = False

    async def keep(self, artifact):
        self.kept[artifact.name] = artifact.data
        return ArtifactRef(artifact.name, artifact.media_type, "sha", len(artifact.data))

    def emit(self, event):
        self.told.append(event)

    @property
    def finished(self):
        return [body for body in self.bodies if isinstance(body, ToolFinished)]

    @property
    def started(self):
        return [body for body in self.bodies if isinstance(body, ToolStarted)]

    def result(self, call_id="0"):
        (one,) = [body for body in self.finished if body.call_id == call_id]
        return one


def call(tool, arguments=None, call_id="0"):
    """Return a call; arguments that are no text are written as JSON."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
    return ToolCall(call_id, tool if isinstance(tool, str) else tool.name, text)


async def turn(tools, calls, policy=POLICY, log=None):
    """Run one turn and return its log."""
    log = log or Log()
    async with Dispatcher(tools, policy, run_id="run") as dispatcher:
        await dispatcher.dispatch(calls, log.record, keep=log.keep, emit=log.emit)
    return log


async def until(condition):
    """Let the event loop go on until the condition holds."""
    while not condition():  # noqa: ASYNC110 - conditions are plain state, not events
        await asyncio.sleep(0)


def result_of(one, arguments=None, policy=POLICY):
    """Return the result of one call of one tool."""
    return asyncio.run(turn([one], [call(one, arguments)], policy)).result()
