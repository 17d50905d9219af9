"""One call while it runs: its task, thread or process, its time, and the way it is stopped."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal

from agentkit.events import Ephemeral, ToolProgress
from agentkit.messages import ToolCall
from agentkit.tool.arguments import Arguments
from agentkit.tool.base import Tool, ToolContext
from agentkit.tool.bounds import failed, finished
from agentkit.tool.cancelled import Cancelled
from agentkit.tool.claims import needs_of
from agentkit.tool.generators import last_yielded, last_yielded_async
from agentkit.tool.processes import Job
from agentkit.tool.results import Outcome, raised
from agentkit.tool.slots import SERVED
from agentkit.tool.stopped import why_stopped
from agentkit.tool.untrusted import untrusted
from agentkit.tool.workshop import Workshop

Emit = Callable[[Ephemeral], None]
"""Tells subscribers; it must return at once."""

Reason = Literal["timeout", "cancelled"]

_PAUSE = 0.1
"""Seconds before a second attempt; doubles from there."""

_LONGEST_PAUSE = 2.0


class Execution:
    """One call whose arguments fit.

    Everything but the tool's own function runs in the event loop's thread.

    Attributes:
        call: what the model asked for.
        tool: the tool it named.
        arguments: after repair and validation.
        outcome: how it ended; None until then. It is set once.
        seconds: from the start to the outcome.
        began: whether it was started.
        index: its place in the turn.
        waits: what has to happen before it may start: earlier calls that end, an approval.
        followers: calls that wait for this one.
        twins: identical calls of the turn, which get its result.
        failures: what earlier attempts failed with, in words.
        entered: whether the workshop counts it.
        needs: the resources and caps that it has to hold while it runs.
        place: where it stands in line for them.
        serves: the call of another run that its own run serves, if any.
        ordered: whether its tool uses resources, so that it may have to wait for other calls.
        borrowed: whether it runs in the slot of the call that its run serves.
        void: whether nobody wants its outcome any more.
        task: the task it runs in, if any.
    """

    __slots__ = (
        "_attempt",
        "_emit",
        "_ended",
        "_failed",
        "_job",
        "_loop",
        "_pause",
        "_reason",
        "_signal",
        "_started_at",
        "_timer",
        "_told",
        "_workshop",
        "arguments",
        "borrowed",
        "call",
        "entered",
        "failures",
        "followers",
        "index",
        "needs",
        "ordered",
        "outcome",
        "place",
        "seconds",
        "serves",
        "task",
        "tool",
        "twins",
        "void",
        "waits",
    )

    def __init__(
        self, call: ToolCall, tool: Tool, arguments: Arguments, workshop: Workshop
    ) -> None:
        self.call = call
        self.tool = tool
        self.arguments = arguments
        self.outcome: Outcome | None = None
        self.seconds = 0.0
        self.index = 0
        self.waits = 0
        self.followers: list[Execution] = []
        self.twins: list[ToolCall] = []
        self.failures: list[str] = []
        self.entered = False
        self.ordered = tool.group is not None or bool(tool.writes or tool.reads)
        self.needs = needs_of(tool, workshop.policy.processes)
        self.place: tuple[int, ...] = ()
        self.serves = SERVED.get()
        self.borrowed = False
        self.void = False
        self.task: asyncio.Task[None] | None = None
        self._workshop = workshop
        self._loop = asyncio.get_running_loop()
        self._attempt = 0
        self._failed = False
        self._started_at: float | None = None
        self._reason: Reason | None = None
        self._told = False
        self._signal: Cancelled | None = None
        self._job: Job | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._emit: Emit | None = None
        self._ended: Callable[[Execution], None] | None = None

    @property
    def began(self) -> bool:
        """Whether it was started."""
        return self._started_at is not None

    def begin(self, emit: Emit, ended: Callable[[Execution], None]) -> None:
        """Start the tool; `ended` is called once, when the outcome is known."""
        self._emit, self._ended = emit, ended
        self._started_at = time.perf_counter()
        self._timer = self._loop.call_later(self._timeout, self._stop, "timeout")
        self._launch()

    def adopt(self, emit: Emit, ended: Callable[[Execution], None]) -> None:
        """Go on under another owner, which is told at once if the call has ended."""
        self._emit, self._ended = emit, ended
        if self.outcome is not None:
            ended(self)

    def cancel(self) -> None:
        """Stop the call because its run stops; the outcome comes within the policy's grace."""
        self._stop("cancelled")

    def discard(self) -> None:
        """Stop a call whose outcome nobody wants; what remains of it is the workshop's."""
        self.void = True
        self._emit, self._ended = None, None
        self._stop("cancelled")
        if self.outcome is None:
            self._workshop.abandoned.add(self)

    def abandon(self) -> None:
        """Wait no longer for a call that was stopped."""
        if self.outcome is not None:
            return
        self._workshop.abandoned.add(self)
        reason = self._reason or "cancelled"
        self.conclude(Outcome(reason, self._why(reason, still_runs=True)))

    def conclude(self, outcome: Outcome) -> None:
        """Set the outcome, unless there is one."""
        if self.outcome is not None:
            return
        self.outcome = outcome
        if self._timer is not None:
            self._timer.cancel()
        if self._started_at is not None:
            self.seconds = time.perf_counter() - self._started_at
            self._workshop.watch.running.discard(self)
        if self.entered:
            self._workshop.leave(self)
        if self._ended is not None:
            self._ended(self)

    @property
    def _timeout(self) -> float:
        own = self.tool.timeout
        return self._workshop.policy.timeout if own is None else own

    def _launch(self) -> None:
        self._attempt += 1
        self._failed = False
        self._pause = None
        tool = self.tool
        if tool.is_async:
            self._run_in_task(self._guard(self._call))
            return
        try:
            self._workshop.threads.submit(
                self._call_in_process if tool.process else self._call_in_thread
            )
        except RuntimeError as error:  # the system has no thread left
            self.conclude(raised(error, self._workshop.policy.max_result_characters))

    def _keywords(self, progress: Callable[[str], None]) -> dict[str, Any]:
        hidden, arguments = self.tool.context_parameter, self.arguments
        keywords = arguments.copied() if self.tool.retries else arguments.keywords
        if hidden is None:
            return keywords
        shop = self._workshop
        self._signal = Cancelled()
        if self._reason is not None:  # stopped before its thread got here
            self._signal.set()
        about = (shop.run_id, self.call.id, self.tool.name)
        context = ToolContext(*about, progress, self._signal, shop.measure, shop.opener)
        return {**keywords, hidden: context}

    @property
    def _is_over(self) -> bool:
        """Whether nobody waits for the result any more."""
        return self.outcome is not None or self._reason is not None

    def _tell(self, text: str) -> None:
        if self.outcome is None and self._emit is not None:
            self._emit(ToolProgress(self.call.id, text))

    def _tell_from_thread(self, text: str) -> None:
        self._hand_over(self._tell, text)

    def _hand_over(self, function: Callable[[Any], None], value: object) -> None:
        # A thread that outlived its event loop has nobody to tell.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, value)

    def _call(self) -> Any:
        return self.tool.function(**self._keywords(self._tell))

    async def _guard(self, start: Callable[[], Any]) -> None:
        """Await what a tool started; only a real cancellation leaves as an exception.

        KeyboardInterrupt and SystemExit would end the event loop if they left a task.
        """
        SERVED.set(self)
        try:
            value = start()
            if inspect.isasyncgen(value):
                value = await last_yielded_async(value, self._tell)
            elif inspect.isawaitable(value):
                value = await value
            outcome = self._returned(value)
        except GeneratorExit:
            raise
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            outcome = self._raised(error)
        except BaseException as error:  # noqa: BLE001 - whatever a tool raises is its result
            outcome = self._raised(error)
        # A call that was stopped has no result, whatever it made of that.
        if self._reason is None and not self._failed:
            self.conclude(outcome)
        elif self._reason is None or self._told:
            self._end(outcome)

    def _run_in_task(self, work: Any) -> None:
        watch = self._workshop.watch
        watch.running.add(self)
        if watch.idle:
            watch.begin()
        self.task = self._loop.create_task(work, name=f"tool {self.tool.name}")
        self.task.add_done_callback(self._on_task)

    def _call_in_thread(self) -> None:
        SERVED.set(self)
        outcome: Outcome | Awaitable[Any]
        try:
            value = self.tool.function(**self._keywords(self._tell_from_thread))
            if inspect.isgenerator(value):
                value = last_yielded(value, self._tell_from_thread, lambda: self._is_over)
            outcome = value if inspect.isawaitable(value) else self._returned(value)
        except BaseException as error:  # noqa: BLE001 - whatever a tool raises is its result
            outcome = self._raised(error)
        self._hand_over(self._on_thread, outcome)

    def _call_in_process(self) -> None:
        policy = self._workshop.policy
        job = self._job = Job(self._workshop.processes, self.tool, self.arguments.keywords)
        if self._reason is not None:  # stopped before this thread got here
            job.kill()
        try:
            outcome, self._failed = job.run(policy)
        except BaseException as error:  # noqa: BLE001 - arguments that cannot be pickled, a death
            outcome, self._failed = failed(error, policy)
        self._hand_over(self._on_thread, self._marked(outcome))

    def _on_thread(self, outcome: Outcome | Awaitable[Any]) -> None:
        if isinstance(outcome, Outcome):
            if self._reason is not None and self.tool.process:
                outcome = Outcome(self._reason, self._why(self._reason, still_runs=False))
            self._end(outcome)
        elif self.outcome is None and self._reason is None:
            # A plain function that returned a coroutine, such as a decorated async one.
            self._run_in_task(self._guard(lambda: outcome))
            return
        elif inspect.iscoroutine(outcome):
            outcome.close()
        self._workshop.let_go(self)

    def _on_task(self, task: asyncio.Task[None]) -> None:
        if self._reason is not None:
            self.conclude(Outcome(self._reason, self._why(self._reason, still_runs=False)))
        elif task.cancelled():
            self.conclude(self._raised(asyncio.CancelledError("the tool cancelled itself")))
        elif error := task.exception():  # a GeneratorExit that the tool raised
            self.conclude(self._raised(error))
        self._workshop.let_go(self)

    def _returned(self, value: object) -> Outcome:
        self._workshop.stay_one_process()
        outcome = finished(value, self._workshop.policy)
        return self._marked(outcome) if self.tool.open_world else outcome

    def _raised(self, error: BaseException) -> Outcome:
        self._workshop.stay_one_process()
        outcome, self._failed = failed(error, self._workshop.policy)
        return self._marked(outcome)

    def _marked(self, outcome: Outcome) -> Outcome:
        if not self.tool.open_world:
            return outcome
        content = untrusted(outcome.content, self.tool.name, self.call.id)
        return replace(outcome, content=content)

    def _end(self, outcome: Outcome) -> None:
        """Take what the function came to: try again, or conclude."""
        if self._failed and self._reason is None and self._attempt <= self.tool.retries:
            pause = min(_PAUSE * 2.0 ** (self._attempt - 1), _LONGEST_PAUSE)
            said = outcome.content.split("\n", 1)[0][:200]
            tries = self.tool.retries + 1
            self.failures.append(f"attempt {self._attempt} of {tries} failed: {said}")
            self._tell(f"{self.failures[-1]}; the next one follows in {pause:g} s")
            self.task = None
            self._pause = self._loop.call_later(pause, self._launch)
            return
        if self._told and self._reason == "timeout":
            why = f"Timed out after {self._timeout:g} seconds; told to stop, it returned:"
            outcome = replace(outcome, status="timeout", content=f"{why}\n{outcome.content}")
        self.conclude(outcome)

    def _stop(self, reason: Reason) -> None:
        if self.outcome is not None or self._reason is not None:
            if self._told and reason == "cancelled":
                self._harden()
            return
        if self._pause is not None:
            self._pause.cancel()
            self._reason = reason
            self.conclude(Outcome(reason, self._why(reason, still_runs=False)))
            return
        watched = self._signal is not None and self._signal.watched
        if self._signal is not None:
            self._signal.set()
        if reason == "timeout" and watched:
            self._reason, self._told = reason, True
            self._after_grace(self._harden)
        elif self.tool.process:
            self._reason = reason
            if self._job is not None:
                self._job.kill()
            self._after_grace(self.abandon)
        elif self.task is None and reason == "timeout":
            # A thread cannot be stopped.
            self._reason = reason
            self.abandon()
        elif self.task is None or self.task.cancel():
            # A thread that ends within the grace has a result that counts.
            self._reason = reason
            self._after_grace(self.abandon)
        # Else the task has just ended; its callback is on the way.

    def _harden(self) -> None:
        """Stop a call that was told to stop and did not."""
        self._told = False
        if self.task is None:
            self.abandon()
        elif self.task.cancel():
            self._after_grace(self.abandon)

    def _after_grace(self, action: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(self._workshop.policy.grace, action)

    def _why(self, reason: Reason, *, still_runs: bool) -> str:
        return why_stopped(None if reason == "cancelled" else self._timeout, still_runs=still_runs)
