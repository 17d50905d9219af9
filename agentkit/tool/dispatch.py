"""Dispatch: runs the calls of a run's turns; nothing that a model or a tool does ends the run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from agentkit.events import Body
from agentkit.messages import ToolCall
from agentkit.tool.base import Tool
from agentkit.tool.batch import Batch, Keep, Record
from agentkit.tool.execution import DispatchPolicy, Emit, Workshop
from agentkit.tool.redact import redacted

_RECORD_SECONDS = 5.0
"""What the log gets, beyond the grace of the tools, to take the results of a cancelled turn."""


class Dispatcher:
    """Runs tool calls for one run. Use it as an async context manager.

    It owns the threads of functions that block and the calls that it had to abandon.

    Args:
        tools: the tools of the run; names differ.
        policy: caps and timeouts.
        run_id: what tools find in their ToolContext.
    """

    def __init__(
        self, tools: Iterable[Tool], policy: DispatchPolicy | None = None, *, run_id: str = ""
    ) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._redacts = any(tool.redact for tool in self._tools.values())
        self._workshop = Workshop(run_id, policy or DispatchPolicy())

    def redacted(self, body: Body) -> Body:
        """Return a body as it may be stored: without the arguments that tools declare secret."""
        return redacted(body, self._tools) if self._redacts else body

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._workshop.threads.close()
        tasks = [one.task for one in self._workshop.abandoned if one.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=self._workshop.policy.grace)

    async def dispatch(
        self, calls: Sequence[ToolCall], record: Record, *, keep: Keep, emit: Emit
    ) -> None:
        """Run one turn's calls and return when each has its ToolFinished in the log.

        Calls run in parallel under the policy's cap; calls of one group run one after the other
        in call order. ToolStarted is recorded before a call has effects; a call that cannot run
        (unknown tool, arguments that do not fit) has a ToolFinished only. `record` is never
        called twice at once, nor cancelled in the middle.

        When this coroutine is cancelled, all calls are stopped, each call without a result gets
        one that says so, and CancelledError is raised, all in bounded time.

        Args:
            calls: in the order the model wrote them.
            record: appends events to the log.
            keep: stores an artifact's bytes; called before the event that names it.
            emit: tells subscribers of progress.

        Raises:
            Exception: whatever `record` or `keep` raised; the other calls are stopped first.
        """
        if not calls:
            return
        batch = Batch(self._workshop, self._tools, record, keep, emit)
        # A task of its own, so that a cancellation never interrupts a write to the log.
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        work = loop.create_task(_run(batch, calls, ended), name="dispatch")
        try:
            await ended
        except asyncio.CancelledError as cancelled:
            batch.stop()
            await self._settle(work)
            if work.done() and not work.cancelled() and (error := work.exception()):
                cancelled.add_note(f"while the calls were stopped: {error!r}")
            raise
        work.result()

    async def _settle(self, work: asyncio.Task[None]) -> None:
        """Wait until a stopped batch has ended, however often the wait is cancelled."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._workshop.policy.grace + _RECORD_SECONDS
        while not work.done() and (left := deadline - loop.time()) > 0:
            with suppress(asyncio.CancelledError):
                await asyncio.wait([work], timeout=left)
        work.cancel()  # the log hangs; without effect on a batch that ended


async def _run(batch: Batch, calls: Sequence[ToolCall], ended: asyncio.Future[None]) -> None:
    """Run a batch and wake who waits for it: a turn of the loop sooner than a shield would."""
    try:
        await batch.run(calls)
    finally:
        if not ended.done():
            ended.set_result(None)
