"""One turn's calls: their order, their caps, and the events that say how each went.

A batch is one coroutine that sleeps until something happens. It alone writes to the log, so events
are written one list at a time, and what happened meanwhile shares the next list.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Hashable, Sequence

from agentkit.events import ApprovalAnswered, ArtifactRef, Body, Noted, ToolFinished, ToolStarted
from agentkit.log import ids
from agentkit.messages import ToolCall
from agentkit.tool.asking import Asking, Past, denied
from agentkit.tool.base import Artifact
from agentkit.tool.claims import caps
from agentkit.tool.execution import Emit, Execution
from agentkit.tool.results import Outcome
from agentkit.tool.slots import SERVED
from agentkit.tool.workshop import Workshop

Record = Callable[[Sequence[Body]], Awaitable[None]]
"""Appends durable events to the log, all or none; they are on disk when it returns."""

Keep = Callable[[Artifact], Awaitable[ArtifactRef]]
"""Stores an artifact's bytes."""


class Batch:
    """The calls of one turn, run once.

    Args:
        workshop: what the run's calls share.
        record: appends to the log.
        keep: stores artifacts.
        emit: tells subscribers.
        asking: the turn's questions.
        past: what the log already says of the calls.
    """

    def __init__(
        self,
        workshop: Workshop,
        record: Record,
        keep: Keep,
        emit: Emit,
        asking: Asking,
        *,
        past: Past,
    ) -> None:
        self._workshop = workshop
        self._record = record
        self._keep = keep
        self._emit = emit
        self._asking = asking
        self._attempts = past.attempts
        self._nested = SERVED.get() is not None
        self._all: list[Execution] = []
        self._ready: list[tuple[int, int, Execution]] = []
        self._in_line: set[Execution] = set()
        self._first: dict[Hashable, Execution] = {}
        self._behind: dict[Hashable, list[tuple[int, int, Execution]]] = {}
        self._granted: list[Execution] = []
        self._adopted: list[Execution] = []
        self._wave: list[Execution] = []
        self._running: set[Execution] = set()
        self._ended: list[Execution] = []
        self._answers: list[tuple[Execution, ApprovalAnswered]] = []
        self._asker: asyncio.Task[None] | None = None
        self._borrowing = False
        self._waits_for_slot = False
        self._stopping = False
        self._news = False
        self._alarm: asyncio.Future[None] | None = None

    def add(self, execution: Execution, *, adopted: bool = False) -> None:
        """Take a call; it starts when nothing makes it wait."""
        self._all.append(execution)
        if adopted:
            self._adopted.append(execution)
        elif not execution.waits:
            self._push(execution)

    async def run(self, bodies: list[Body]) -> None:
        """Run all calls and return when each has its result in the log, or waits for an answer.

        Args:
            bodies: what the log has to say first, of calls that cannot run and of questions.

        Raises:
            Exception: whatever `record` or `keep` raised; no call goes on after that.
        """
        self._workshop.freed = self._freed
        try:
            await self._work(bodies)
        finally:
            # Only a failure of the log leaves calls behind: no effect may go on unseen.
            self.stop()
            for execution in (*self._wave, *self._granted):
                if execution.began:
                    if execution not in self._running:
                        execution.discard()  # adopted, but its start could not be recorded
                elif execution.entered:
                    self._workshop.leave(execution)
            if self._asker is not None:
                await self._end_asker(self._asker)
            while self._running:
                self._ended.clear()
                await self._sleep()
            self._workshop.freed = None
            if self._waits_for_slot:
                self._workshop.slots.forget(self._slot_free)
            if self._workshop.slots.waited_for:
                self._workshop.slots.pass_on()

    def stop(self) -> None:
        """Stop everything; `run` records what became of each call and ends in bounded time."""
        if self._stopping:
            return
        self._stopping = True
        if self._asker is not None:
            self._asker.cancel()
        for execution in tuple(self._in_line):
            self._workshop.slots.claims.forget(execution)
        self._in_line.clear()
        for execution in tuple(self._running):
            execution.cancel()
        self._wake()

    async def _work(self, bodies: list[Body]) -> None:
        while True:
            self._news = False
            if self._answers:
                bodies += self._hear()
            wave = self._wave = self._take()
            if self._ended:
                bodies += await self._collect()
            bodies += [self._started(execution) for execution in wave]
            if bodies:
                self._workshop.stay_one_process()
                await self._record(bodies)
                bodies = []
            for execution in wave:
                self._begin(execution)
            if self._asker is None and self._asking.can_ask and not self._stopping:
                ask = self._asking.ask(self._heard)
                self._asker = asyncio.get_running_loop().create_task(ask, name="approval")
                self._asker.add_done_callback(self._wake)
            if not self._news and self._is_over():  # a stop while the log was written is news
                return
            await self._sleep()

    def _is_over(self) -> bool:
        waiting = self._ready or self._in_line or self._granted
        if self._running or self._ended or self._answers or waiting:
            return False
        return self._stopping or self._asker is None or self._asker.done()

    def _push(self, execution: Execution) -> None:
        heapq.heappush(self._ready, (-execution.tool.priority, execution.index, execution))

    def _take(self) -> list[Execution]:
        """Return the next calls, as many as the caps leave room for, and count them."""
        wave, self._adopted = self._adopted, []
        granted, self._granted = self._granted, []
        if self._stopping:
            self._skip_all(granted)
            return wave
        wave += granted
        workshop = self._workshop
        while self._ready:
            borrowed = self._room()
            if borrowed is None:
                if workshop.running < workshop.policy.concurrency:
                    self._wait_for_slot()
                break
            item = heapq.heappop(self._ready)
            execution = item[2]
            if not execution.needs or self._claim(item):
                self._borrowing |= borrowed
                workshop.enter(execution, borrowed=borrowed)
                wave.append(execution)
        if workshop.slots.waited_for:
            workshop.slots.pass_on()
        return wave

    def _room(self) -> bool | None:
        """Return whether a call would run in a borrowed slot now; None if it cannot run."""
        workshop = self._workshop
        if workshop.has_room():
            return False
        if self._borrowing or workshop.running >= workshop.policy.concurrency:
            return None
        return self._nested or None

    def _claim(self, item: tuple[int, int, Execution]) -> bool:
        """Take what a call needs, or let it wait for that, or refuse it."""
        execution, claims = item[2], self._workshop.slots.claims
        own = caps(execution)
        # Of the calls under one cap only the first stands in line, so that runs take turns.
        if (cap := next((key for key in own if key in self._first), None)) is not None:
            heapq.heappush(self._behind.setdefault(cap, []), item)
            return False
        if claims.take(execution):
            self._next(own)
            return True
        if (outcome := claims.refusal(execution)) is not None:
            self._next(own)
            execution.conclude(outcome)
            self._finish(execution)
            return False
        self._in_line.add(execution)
        self._first.update(dict.fromkeys(own, execution))
        claims.wait(execution, self._offered)
        return False

    def _offered(self, execution: Execution, free: bool) -> bool:  # noqa: FBT001 - of `claims`
        """Hear that a call stands in line no more; start it if it can start at once."""
        if self._stopping:
            return False
        self._in_line.discard(execution)
        own = caps(execution)
        for key in own:
            del self._first[key]
        self._wake()
        if not free or (borrowed := self._room()) is None:
            self._push(execution)
            return False
        self._borrowing |= borrowed
        self._workshop.enter(execution, borrowed=borrowed)
        self._granted.append(execution)
        self._next(own)
        return True

    def _next(self, keys: Sequence[Hashable]) -> None:
        """Let the next call under each cap ask for what it needs."""
        for key in keys:
            if behind := self._behind.get(key):
                heapq.heappush(self._ready, heapq.heappop(behind))

    def _wait_for_slot(self) -> None:
        if not self._waits_for_slot:
            self._waits_for_slot = True
            self._workshop.slots.wait(self._workshop.policy.total_concurrency, self._slot_free)

    def _slot_free(self) -> None:
        self._waits_for_slot = False
        self._wake()

    def _freed(self, execution: Execution) -> None:
        if execution.borrowed:
            self._borrowing = False
        self._wake()

    def _begin(self, execution: Execution) -> None:
        if execution.began:
            self._running.add(execution)
            execution.adopt(self._emit, self._finish)
            if self._stopping:
                execution.cancel()
        elif self._stopping:
            self._skip(execution)
        else:
            self._running.add(execution)
            with ids(call_id=execution.call.id):
                execution.begin(self._emit, self._finish)

    def _skip(self, execution: Execution) -> None:
        execution.conclude(Outcome("cancelled", "Cancelled before it started; nothing was run."))
        self._finish(execution)

    def _skip_all(self, granted: list[Execution]) -> None:
        """Conclude every call that has not started, also those that wait for others."""
        for execution in granted:
            self._skip(execution)
        self._ready.clear()
        self._behind.clear()
        for execution in self._all:
            if execution.outcome is None and not execution.began and not execution.entered:
                self._skip(execution)
        self._ready.clear()  # what the last calls let go on is skipped as well

    def _finish(self, execution: Execution) -> None:
        self._running.discard(execution)
        self._ended.append(execution)
        is_postponed = execution.outcome is not None and execution.outcome.postponed
        if execution.followers and not execution.waits and not is_postponed:
            self._let(execution.followers)
        self._wake()

    def _let(self, executions: list[Execution]) -> None:
        """Take away one of the things that some calls wait for.

        A call that was refused before its turn passes that on only when its turn comes: those
        behind it wait, through it, for those before it.
        """
        stack = list(executions)
        while stack:
            execution = stack.pop()
            execution.waits -= 1
            if execution.waits:
                continue
            if execution.outcome is None:
                self._push(execution)
            else:
                stack += execution.followers

    def _heard(self, execution: Execution, answer: ApprovalAnswered) -> None:
        self._answers.append((execution, answer))
        self._wake()

    def _hear(self) -> list[Body]:
        answers, self._answers = self._answers, []
        for execution, answer in answers:
            if execution.outcome is not None:
                continue  # the turn was stopped meanwhile
            if answer.approved:
                self._let([execution])
            else:
                execution.waits -= 1
                execution.conclude(denied(execution.call.name, answer.reason))
                self._finish(execution)
        return [answer for _, answer in answers]

    async def _collect(self) -> list[Body]:
        """Return the results of the calls that ended, their artifacts stored."""
        ended, self._ended = self._ended, []
        bodies: list[Body] = []
        for execution in ended:
            bodies += [_retried(execution, why) for why in execution.failures]
            outcome = execution.outcome
            assert outcome is not None
            if outcome.postponed:
                continue
            finished = await self._finished(execution, outcome)
            bodies.append(finished)
            bodies += [_twin(twin, execution, finished) for twin in execution.twins]
        return bodies

    async def _finished(self, execution: Execution, outcome: Outcome) -> ToolFinished:
        return ToolFinished(
            call_id=execution.call.id,
            name=execution.call.name,
            status=outcome.status,
            content=outcome.content + execution.arguments.note,
            artifacts=tuple([await self._keep(artifact) for artifact in outcome.artifacts]),
            seconds=round(execution.seconds, 6),
            sub_run=outcome.sub_run,
        )

    def _started(self, execution: Execution) -> ToolStarted:
        arguments = execution.arguments
        return ToolStarted(
            call_id=execution.call.id,
            name=execution.call.name,
            arguments=arguments.given,
            repairs=arguments.repairs,
            attempt=self._attempts.get(execution.call.id, 0) + 1,
        )

    async def _sleep(self) -> None:
        if not self._news:
            self._alarm = asyncio.get_running_loop().create_future()
            await self._alarm
        self._news = False

    def _wake(self, _: object = None) -> None:
        self._news = True
        if self._alarm is not None and not self._alarm.done():
            self._alarm.set_result(None)

    async def _end_asker(self, asker: asyncio.Task[None]) -> None:
        if not asker.done():
            asker.cancel()
            await asyncio.wait([asker], timeout=self._workshop.policy.grace)


def _retried(execution: Execution, why: str) -> Noted:
    return Noted(
        topic="tool_retry",
        text=f"{execution.tool.name}: {why}",
        data={"call_id": execution.call.id},
    )


def _twin(call: ToolCall, execution: Execution, finished: ToolFinished) -> ToolFinished:
    return ToolFinished(
        call_id=call.id,
        name=call.name,
        status=finished.status,
        content=finished.content,
        artifacts=finished.artifacts,
        same_as=execution.call.id,
    )
