"""The workshop: what all calls of one run share."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agentkit.tool.binder import Binder
from agentkit.tool.policy import DispatchPolicy
from agentkit.tool.processes import Processes
from agentkit.tool.slots import Slots
from agentkit.tool.threads import Threads
from agentkit.tool.watch import Watch
from agentkit.usage import Left

if TYPE_CHECKING:
    from agentkit.tool.execution import Execution


@dataclass(slots=True, eq=False)
class Workshop:
    """What all calls of one run share.

    Attributes:
        run_id: id of the run.
        policy: caps and timeouts.
        slots: of the event loop.
        watch: names tools that block the event loop.
        measure: says what the run may still spend.
        opener: reads what the run keeps.
        threads: where functions that are not async run.
        processes: where functions run that asked for a process.
        abandoned: calls that were given up but have not ended.
        running: calls that run, of this turn and of the one that is being written.
        freed: told of a call that no longer runs, where the end of the call does not say it all.
        binder: checks arguments, and remembers which tools were called wrongly.
        pid: of this process; a tool that forks must not go on twice.
    """

    run_id: str
    policy: DispatchPolicy
    slots: Slots
    watch: Watch
    measure: Callable[[], Left]
    opener: Callable[[str], Awaitable[bytes]]
    threads: Threads = field(default_factory=Threads)
    processes: Processes = field(default_factory=Processes)
    abandoned: set[Execution] = field(default_factory=set["Execution"])
    running: int = 0
    freed: Callable[[Execution], None] | None = None
    pid: int = field(default_factory=os.getpid)
    binder: Binder = field(init=False)

    def __post_init__(self) -> None:
        self.binder = Binder(self.policy.fault_patience)

    def has_room(self) -> bool:
        """Return whether one more call may start, as far as the caps for all tools go."""
        policy = self.policy
        return self.running < policy.concurrency and self.slots.used < policy.total_concurrency

    def enter(self, execution: Execution, *, borrowed: bool = False) -> None:
        """Count a call that is about to run; it holds what it needs already.

        Args:
            execution: the call.
            borrowed: whether it runs in the slot of the call that this run serves.
        """
        execution.entered = True
        execution.borrowed = borrowed
        self.running += 1
        if not borrowed:
            self.slots.used += 1

    def leave(self, execution: Execution) -> None:
        """Give back what `enter` took, and what the call holds if it does not work on."""
        execution.entered = False
        self.running -= 1
        if not execution.borrowed:
            self.slots.free()
        if execution.needs:
            works_on = execution in self.abandoned and not execution.void
            self.slots.claims.release(execution, works_on=works_on)
        if self.freed is not None and (execution.borrowed or execution.void):
            self.freed(execution)

    def let_go(self, execution: Execution) -> None:
        """Take note that a call has really ended."""
        self.abandoned.discard(execution)
        if execution.needs:
            self.slots.claims.release(execution)

    def stay_one_process(self) -> None:
        """End the child of a tool that forked: it must not go on with its parent's run."""
        if os.getpid() != self.pid:
            os._exit(os.EX_SOFTWARE)

    async def close(self) -> None:
        """Stop what was abandoned, in bounded time, and let threads and processes end."""
        self.threads.close()
        self.processes.close()
        tasks = [one.task for one in self.abandoned if one.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=self.policy.grace)
        for one in tuple(self.abandoned):
            one.abandon()
        self.watch.release()
