"""Dispatch: runs the calls of a run's turns; nothing that a model or a tool does ends the run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from agentkit.events import Body
from agentkit.messages import ToolCall
from agentkit.tool.approval import ApprovalPolicy, Approver
from agentkit.tool.asking import Asking, Past
from agentkit.tool.base import Tool, unlimited
from agentkit.tool.batch import Batch, Keep, Record
from agentkit.tool.early import Early
from agentkit.tool.execution import Emit
from agentkit.tool.intake import Intake
from agentkit.tool.policy import DispatchPolicy
from agentkit.tool.redact import redacted
from agentkit.tool.slots import SERVED, slots_of
from agentkit.tool.watch import watch_of
from agentkit.tool.workshop import Workshop
from agentkit.usage import Left

_RECORD_SECONDS = 5.0
"""What the log gets, beyond the grace of the tools, to take the results of a cancelled turn."""

_NO_PAST = Past()
_ALLOW_ALL = ApprovalPolicy()


class Dispatcher:
    """Runs tool calls for one run. Use it as an async context manager.

    It owns the threads of functions that block and the calls that it had to abandon.

    Args:
        tools: the tools of the run; names differ.
        policy: caps and timeouts.
        run_id: what tools find in their ToolContext.
        approval: which calls may run, which may not, and which have to be asked about.
        approver: whom to ask. An async one runs in the event loop, any other in a thread. When
            it raises, the call is denied.
        limits_left: says what the run may still spend, for tools that want to know.
    """

    def __init__(
        self,
        tools: Iterable[Tool],
        policy: DispatchPolicy | None = None,
        *,
        run_id: str = "",
        approval: ApprovalPolicy = _ALLOW_ALL,
        approver: Approver | None = None,
        limits_left: Callable[[], Left] | None = None,
    ) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._redacts = any(tool.redact for tool in self._tools.values())
        self._policy = policy or DispatchPolicy()
        self._run_id = run_id
        self._approval = approval
        self._approver = approver
        self._limits_left = limits_left or unlimited
        self._entered: Workshop | None = None
        self._early: Early | None = None

    @property
    def _workshop(self) -> Workshop:
        if self._entered is None:
            raise RuntimeError("A Dispatcher is used in `async with`.")
        return self._entered

    def redacted(self, body: Body) -> Body:
        """Return a body as it may be stored: without the arguments that tools declare secret."""
        return redacted(body, self._tools) if self._redacts else body

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        watch = watch_of(loop)
        watch.acquire()
        self._entered = Workshop(
            self._run_id, self._policy, slots_of(loop), watch, self._limits_left
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._early is not None:
            self._early.discard()
        await self._workshop.close()

    def early(self, emit: Emit) -> Early:
        """Return what starts calls while the model still writes: give it to `Model.ask`.

        It is good for one reply, which `dispatch` takes over; the next one throws away what is
        left of it.

        Args:
            emit: tells subscribers of progress.
        """
        if self._early is not None:
            self._early.discard()
        self._early = Early(self._workshop, self._tools, self._approval, emit)
        return self._early

    async def dispatch(
        self,
        calls: Sequence[ToolCall],
        record: Record,
        *,
        keep: Keep,
        emit: Emit,
        past: Past = _NO_PAST,
        early: Early | None = None,
    ) -> None:
        """Run one turn's calls and return when each has its ToolFinished in the log.

        Only calls that have to be asked about, while nobody answers, stay open: they have an
        ApprovalAsked. So do calls that their tool postponed, which have a ToolStarted, and calls
        that have to run after either; those have nothing in the log yet.

        Calls run in parallel under the policy's caps; calls that use one resource, such as the
        methods of one object, run one after the other in call order. ToolStarted is recorded
        before a call has effects; a call that cannot run (unknown tool, arguments that do not
        fit, not allowed) has a ToolFinished only, as has a call that is the same as an earlier
        one of a tool that only reads. `record` is never called twice at once, nor cancelled in
        the middle.

        When this coroutine is cancelled, all calls are stopped, each call without a result gets
        one that says so, and CancelledError is raised, all in bounded time.

        Args:
            calls: in the order the model wrote them.
            record: appends events to the log.
            keep: stores an artifact's bytes; called before the event that names it.
            emit: tells subscribers of progress.
            past: what the log already says of these calls: earlier questions, answers, starts.
            early: what has started calls of this reply; their results are adopted when id, name
                and arguments are the same, and thrown away otherwise.

        Raises:
            Exception: whatever `record` or `keep` raised; the other calls are stopped first.
        """
        if not calls:
            return
        workshop = self._workshop
        asking = Asking(self._approval, self._approver, past, workshop.run_id, workshop.threads)
        batch = Batch(
            workshop, record, keep, emit, asking, past=past, nested=SERVED.get() is not None
        )
        bodies = Intake(workshop, self._tools, asking, early).fill(batch, calls)
        # A task of its own, so that a cancellation never interrupts a write to the log.
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        work = loop.create_task(_run(batch, bodies, ended), name="dispatch")
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


async def _run(batch: Batch, bodies: list[Body], ended: asyncio.Future[None]) -> None:
    """Run a batch and wake who waits for it: a turn of the loop sooner than a shield would."""
    try:
        await batch.run(bodies)
    finally:
        if not ended.done():
            ended.set_result(None)
