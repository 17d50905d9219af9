"""One call while it runs: its task or thread, its time, and the way it is stopped."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from agentkit.errors import ConfigError
from agentkit.events import Ephemeral, ToolProgress
from agentkit.messages import ToolCall
from agentkit.tool.arguments import Arguments
from agentkit.tool.base import Tool, ToolContext
from agentkit.tool.binder import Binder
from agentkit.tool.generators import last_yielded, last_yielded_async
from agentkit.tool.results import Outcome, raised, returned
from agentkit.tool.threads import Threads

Emit = Callable[[Ephemeral], None]
"""Tells subscribers; it must return at once."""


@dataclass(frozen=True, slots=True)
class DispatchPolicy:
    """How tool calls run.

    Attributes:
        concurrency: calls that run at once, in tasks and threads together. Default 16.
        timeout: seconds a call may take unless its tool says otherwise. Default 300.
        grace: seconds that a stopped call has to end before it is abandoned. Default 2.
        max_result_characters: longer results lose their middle. Default 40,000, about 10,000
            tokens.
        fault_patience: turns in a row in which a tool's arguments may not fit before it is set
            aside for the run. Default 5.
    """

    concurrency: int = 16
    timeout: float = 300.0
    grace: float = 2.0
    max_result_characters: int = 40_000
    fault_patience: int = 5

    def __post_init__(self) -> None:
        for name in (
            "concurrency",
            "timeout",
            "grace",
            "max_result_characters",
            "fault_patience",
        ):
            value = getattr(self, name)
            if not value > 0:
                raise ConfigError(f"DispatchPolicy({name}={value!r}): expected a positive number.")


@dataclass(slots=True)
class Workshop:
    """What all calls of one run share.

    Attributes:
        run_id: id of the run.
        policy: caps and timeouts.
        threads: where functions that are not async run.
        abandoned: calls that were given up but have not ended.
        held: groups whose object an abandoned call still works on, and that call's id.
        binder: checks the arguments, and remembers which tools were called wrongly.
    """

    run_id: str
    policy: DispatchPolicy
    threads: Threads = field(default_factory=Threads)
    abandoned: set[Execution] = field(default_factory=set["Execution"])
    held: dict[str, str] = field(default_factory=dict[str, str])
    binder: Binder = field(init=False)

    def __post_init__(self) -> None:
        self.binder = Binder(self.policy.fault_patience)


class Execution:
    """One call whose arguments fit.

    Everything but the tool's own function runs in the event loop's thread.

    Attributes:
        call: what the model asked for.
        tool: the tool it named.
        arguments: after repair and validation.
        outcome: how it ended; None until then. It is set once.
        seconds: from the start to the outcome.
    """

    __slots__ = (
        "_began",
        "_emit",
        "_ended",
        "_loop",
        "_reason",
        "_task",
        "_timer",
        "_workshop",
        "arguments",
        "call",
        "outcome",
        "seconds",
        "tool",
    )

    def __init__(
        self, call: ToolCall, tool: Tool, arguments: Arguments, workshop: Workshop
    ) -> None:
        self.call = call
        self.tool = tool
        self.arguments = arguments
        self.outcome: Outcome | None = None
        self.seconds = 0.0
        self._workshop = workshop
        self._loop = asyncio.get_running_loop()
        self._began: float | None = None
        self._reason: Literal["timeout", "cancelled"] | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._emit: Emit | None = None
        self._ended: Callable[[Execution], None] | None = None

    def begin(self, emit: Emit, ended: Callable[[Execution], None]) -> None:
        """Start the tool; `ended` is called once, when the outcome is known."""
        self._emit, self._ended = emit, ended
        self._began = time.perf_counter()
        self._timer = self._loop.call_later(self._timeout, self._expire)
        if self.tool.is_async:
            self._run_in_task(self._guard(self._call))
        else:
            try:
                self._workshop.threads.submit(self._call_in_thread)
            except RuntimeError as error:  # the system has no thread left
                self.conclude(raised(error, self._limit))

    def cancel(self) -> None:
        """Stop the call because its run stops; the outcome comes within the policy's grace."""
        self._stop("cancelled")

    def conclude(self, outcome: Outcome) -> None:
        """Set the outcome, unless there is one."""
        if self.outcome is not None:
            return
        self.outcome = outcome
        if self._timer is not None:
            self._timer.cancel()
        if self._began is not None:
            self.seconds = time.perf_counter() - self._began
        if self._ended is not None:
            self._ended(self)

    @property
    def task(self) -> asyncio.Task[None] | None:
        """The task it runs in, if any."""
        return self._task

    @property
    def _timeout(self) -> float:
        own = self.tool.timeout
        return self._workshop.policy.timeout if own is None else own

    @property
    def _limit(self) -> int:
        return self._workshop.policy.max_result_characters

    def _keywords(self, progress: Callable[[str], None]) -> dict[str, Any]:
        hidden = self.tool.context_parameter
        if hidden is None:
            return self.arguments.keywords
        context = ToolContext(self._workshop.run_id, self.call.id, self.tool.name, progress)
        return {**self.arguments.keywords, hidden: context}

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
        try:
            value = start()
            if inspect.isasyncgen(value):
                value = await last_yielded_async(value, self._tell)
            elif inspect.isawaitable(value):
                value = await value
            outcome = returned(value, self._limit)
        except GeneratorExit:
            raise
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            outcome = raised(error, self._limit)
        except BaseException as error:  # noqa: BLE001 - whatever a tool raises is its result
            outcome = raised(error, self._limit)
        # A call that was told to stop has no result, whatever it made of that.
        if self._reason is None:
            self.conclude(outcome)

    def _run_in_task(self, work: Any) -> None:
        self._task = self._loop.create_task(work, name=f"tool {self.tool.name}")
        self._task.add_done_callback(self._on_task)

    def _call_in_thread(self) -> None:
        outcome: Outcome | Awaitable[Any]
        try:
            value = self.tool.function(**self._keywords(self._tell_from_thread))
            if inspect.isgenerator(value):
                value = last_yielded(value, self._tell_from_thread, lambda: self._is_over)
            outcome = value if inspect.isawaitable(value) else returned(value, self._limit)
        except BaseException as error:  # noqa: BLE001 - whatever a tool raises is its result
            outcome = raised(error, self._limit)
        self._hand_over(self._on_thread, outcome)

    def _on_thread(self, outcome: Outcome | Awaitable[Any]) -> None:
        if isinstance(outcome, Outcome):
            self.conclude(outcome)
        elif self.outcome is None and self._reason is None:
            # A plain function that returned a coroutine, such as a decorated async one.
            self._run_in_task(self._guard(lambda: outcome))
            return
        elif inspect.iscoroutine(outcome):
            outcome.close()
        self._release()

    def _on_task(self, task: asyncio.Task[None]) -> None:
        if self._reason is not None:
            self.conclude(Outcome(self._reason, self._why(self._reason, still_runs=False)))
        elif task.cancelled():
            self.conclude(raised(asyncio.CancelledError("the tool cancelled itself"), self._limit))
        self._release()

    def _expire(self) -> None:
        self._stop("timeout")

    def _stop(self, reason: Literal["timeout", "cancelled"]) -> None:
        if self.outcome is not None or self._reason is not None:
            return
        if self._task is None and reason == "timeout":
            # A thread cannot be stopped.
            self._reason = reason
            self._abandon()
            return
        if self._task is not None and not self._task.cancel():
            return  # it has just ended; its callback is on the way
        # A thread is not told; if it ends within the grace, its result counts.
        self._reason = reason
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(self._workshop.policy.grace, self._abandon)

    def _abandon(self) -> None:
        if self.outcome is not None:
            return
        self._workshop.abandoned.add(self)
        if self.tool.group is not None:
            self._workshop.held[self.tool.group] = self.call.id
        reason = self._reason or "cancelled"
        self.conclude(Outcome(reason, self._why(reason, still_runs=True)))

    def _release(self) -> None:
        if self in self._workshop.abandoned:
            self._workshop.abandoned.discard(self)
            if self.tool.group is not None:
                self._workshop.held.pop(self.tool.group, None)

    def _why(self, reason: Literal["timeout", "cancelled"], *, still_runs: bool) -> str:
        what = "It could not be stopped and may still be running" if still_runs else "It stopped"
        if reason == "cancelled":
            return f"Cancelled before it ended. {what}; part of its work may be done."
        return (
            f"Timed out after {self._timeout:g} seconds. {what}; part of its work may be done. "
            "Ask for less at once or try another way."
        )
