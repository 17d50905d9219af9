"""One turn's calls: their order, their cap, and the events that say how each went.

A batch is one coroutine that sleeps until a call ends. It alone writes to the log, so events are
written one list at a time, and what happened meanwhile shares the next list.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence

from agentkit.events import ArtifactRef, Body, ToolFinished, ToolStarted
from agentkit.messages import ToolCall
from agentkit.tool.advice import closest
from agentkit.tool.base import ArgumentFault, Artifact, Tool
from agentkit.tool.execution import Emit, Execution, Workshop
from agentkit.tool.results import Outcome, clip

Record = Callable[[Sequence[Body]], Awaitable[None]]
"""Appends durable events to the log, all or none; they are on disk when it returns."""

Keep = Callable[[Artifact], Awaitable[ArtifactRef]]
"""Stores an artifact's bytes."""


class Batch:
    """The calls of one turn, run once."""

    def __init__(
        self, workshop: Workshop, tools: Mapping[str, Tool], record: Record, keep: Keep, emit: Emit
    ) -> None:
        self._workshop = workshop
        self._tools = tools
        self._record = record
        self._keep = keep
        self._emit = emit
        self._ready: list[tuple[int, Execution]] = []
        self._queues: dict[str, deque[tuple[int, Execution]]] = {}
        self._running: set[Execution] = set()
        self._ended: list[Execution] = []
        self._stopping = False
        self._alarm: asyncio.Future[None] | None = None

    async def run(self, calls: Sequence[ToolCall]) -> None:
        """Run all calls and return when each has its result in the log.

        Raises:
            Exception: whatever `record` or `keep` raised; no call goes on after that.
        """
        try:
            await self._work(calls)
        finally:
            # Only a failure of the log leaves calls behind: no effect may go on unseen.
            self.stop()
            while self._running:
                self._ended.clear()
                await self._sleep()

    def stop(self) -> None:
        """Stop everything; `run` records what became of each call and ends in bounded time."""
        if self._stopping:
            return
        self._stopping = True
        for execution in tuple(self._running):
            execution.cancel()
        self._wake()

    async def _work(self, calls: Sequence[ToolCall]) -> None:
        bodies: list[Body] = self._prepare(calls)
        while True:
            wave = self._take()
            bodies += await self._collect()
            bodies += [_started(execution) for execution in wave]
            if bodies:
                await self._record(bodies)
                bodies = []
            for execution in wave:
                self._begin(execution)
            if not self._running and not self._ended:
                return
            await self._sleep()

    def _prepare(self, calls: Sequence[ToolCall]) -> list[Body]:
        """Queue the calls that can run; return the results of those that cannot."""
        faults: list[Body] = []
        binder = self._workshop.binder
        binder.next_turn()
        for index, call in enumerate(calls):
            tool = self._tools.get(call.name)
            if tool is None:
                faults.append(_refused(call, self._unknown(call.name)))
                continue
            try:
                arguments = binder.bind(tool, call.arguments)
            except ArgumentFault as fault:
                faults.append(_refused(call, str(fault)))
                continue
            execution = Execution(call, tool, arguments, self._workshop)
            group = tool.group
            if group is not None and group in self._queues:
                self._queues[group].append((index, execution))
            else:
                self._ready.append((index, execution))  # indexes ascend: this is a heap
                if group is not None:
                    self._queues[group] = deque()
        return faults

    def _take(self) -> list[Execution]:
        """Return the next calls in call order, as many as the cap leaves room for."""
        while self._stopping and self._ready:
            self._skip(heapq.heappop(self._ready)[1])
        wave: list[Execution] = []
        room = self._workshop.policy.concurrency - len(self._running)
        while self._ready and len(wave) < room:
            _, execution = heapq.heappop(self._ready)
            group = execution.tool.group
            if group is not None and group in self._workshop.held:
                execution.conclude(Outcome("error", self._held(execution.tool)))
                self._finish(execution)
            else:
                wave.append(execution)
        return wave

    def _begin(self, execution: Execution) -> None:
        if self._stopping:
            self._skip(execution)
        else:
            self._running.add(execution)
            execution.begin(self._emit, self._finish)

    def _skip(self, execution: Execution) -> None:
        execution.conclude(Outcome("cancelled", "Cancelled before it started; nothing was run."))
        self._finish(execution)

    def _finish(self, execution: Execution) -> None:
        self._running.discard(execution)
        self._ended.append(execution)
        group = execution.tool.group
        if group is not None and (queue := self._queues.get(group)) is not None:
            if queue:
                heapq.heappush(self._ready, queue.popleft())
            else:
                del self._queues[group]
        self._wake()

    async def _collect(self) -> list[Body]:
        """Return the results of the calls that ended, their artifacts stored."""
        ended, self._ended = self._ended, []
        return [await self._finished(execution) for execution in ended]

    async def _finished(self, execution: Execution) -> ToolFinished:
        outcome = execution.outcome
        assert outcome is not None
        return ToolFinished(
            call_id=execution.call.id,
            name=execution.call.name,
            status=outcome.status,
            content=outcome.content + execution.arguments.note,
            artifacts=tuple([await self._keep(artifact) for artifact in outcome.artifacts]),
            seconds=round(execution.seconds, 6),
            sub_run=outcome.sub_run,
        )

    async def _sleep(self) -> None:
        if not self._ended:
            self._alarm = asyncio.get_running_loop().create_future()
            await self._alarm

    def _wake(self) -> None:
        if self._alarm is not None and not self._alarm.done():
            self._alarm.set_result(None)

    def _unknown(self, name: str) -> str:
        close = closest(name, self._tools)
        said = f"There is no tool called {clip(name, 100)!r}; nothing was run."
        if close:
            said += f" Did you mean {close}?"
        if not self._tools:
            return f"{said} There are no tools; answer without them."
        return f"{said} The tools are: {', '.join(sorted(self._tools))}."

    def _held(self, tool: Tool) -> str:
        held = self._workshop.held[tool.group or ""]
        return (
            f"Not run: the earlier call {held} timed out but still works on what {tool.name} "
            "needs. Try another way, or this call again later."
        )


def _started(execution: Execution) -> ToolStarted:
    arguments = execution.arguments
    return ToolStarted(
        call_id=execution.call.id,
        name=execution.call.name,
        arguments=arguments.given,
        repairs=arguments.repairs,
    )


def _refused(call: ToolCall, why: str) -> ToolFinished:
    return ToolFinished(call_id=call.id, name=call.name, status="error", content=why)
