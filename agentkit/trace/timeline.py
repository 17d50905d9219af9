"""The fold over a run's log that gives its turns, calls and times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import orjson

from agentkit.errors import LogUnreadable
from agentkit.events import (
    ApprovalAnswered,
    ApprovalAsked,
    Event,
    Noted,
    Reminder,
    Replied,
    RunFailed,
    RunFinished,
    RunInterrupted,
    RunPaused,
    RunResumed,
    RunStarted,
    SubRun,
    ToolFinished,
    ToolStarted,
    UserMessage,
)
from agentkit.trace.turns import Call, Item, Moment, Revision, RunState, RunTrace, Span, Step, Turn

PREFIX_BREAK = "prefix_break"
"""Topic of the note that a prompt did not begin with the one before it."""

EDITS = ("offloaded", "cleared", "compacted")
"""Kinds of events that change what the model is sent of its history."""

_PLAN_TOOL = "update_plan"
_STEP_STATES = ("pending", "in_progress", "done")


def read(events: Sequence[Event]) -> RunTrace:
    """Return the run that a log tells.

    Raises:
        LogUnreadable: a log without events.
    """
    if not events:
        raise LogUnreadable("The log has no events, so there is no run to show.")
    fold = _Fold(_utc(events[0].at) or datetime.now(UTC))
    for event in events:
        fold.take(event)
    return fold.done()


@dataclass(slots=True)
class _OpenCall:
    """A call while its events are being read."""

    call_id: str
    name: str
    written: str
    moments: list[Moment] = field(default_factory=list[Moment])
    attempts: list[Span] = field(default_factory=list[Span])
    waits: list[Span] = field(default_factory=list[Span])
    running: float | None = None
    waiting: float | None = None
    started: ToolStarted | None = None
    finished: ToolFinished | None = None
    sub_run: SubRun | None = None

    def stop(self, time: float, *, unfinished: bool = False) -> None:
        if self.running is not None:
            self.attempts.append(Span(self.running, max(time, self.running), open=unfinished))
            self.running = None

    def stop_waiting(self, time: float, *, unanswered: bool = False) -> None:
        if self.waiting is not None:
            self.waits.append(Span(self.waiting, max(time, self.waiting), open=unanswered))
            self.waiting = None

    def take(self, moment: Moment, before: float) -> None:
        self.moments.append(moment)
        match moment.body:
            case ToolStarted() as body:
                self.started = body
                self.stop(before, unfinished=True)  # it was cut off; a resumed run starts it again
                self.stop_waiting(moment.time)  # as its sub-agent did
                self.running = moment.time
            case ToolFinished() as body:
                self.finished = body
                self.sub_run = body.sub_run or self.sub_run
                if self.running is None and not self.attempts:
                    self.running = max(moment.time - max(body.seconds, 0.0), 0.0)
                self.stop(moment.time)
                self.stop_waiting(moment.time)
            case ApprovalAsked():
                self.waiting = moment.time
            case ApprovalAnswered():
                self.stop_waiting(moment.time)
            case _:
                pass

    def pause(self, time: float, sub_run: SubRun) -> None:
        """Wait, because a call in the run of its sub-agent waits."""
        self.sub_run = sub_run
        self.stop(time)
        self.waiting = time

    def done(self) -> Call:
        return Call(
            self.call_id,
            self.name,
            self.written,
            tuple(self.moments),
            tuple(self.attempts),
            tuple(self.waits),
            self.started,
            self.finished,
            self.sub_run,
        )


@dataclass(slots=True)
class _OpenTurn:
    """A turn while its events are being read."""

    number: int
    moment: Moment
    reply: Replied
    span: Span
    calls: list[_OpenCall]
    notes: list[Moment] = field(default_factory=list[Moment])

    def done(self) -> Turn:
        calls = tuple(call.done() for call in self.calls)
        return Turn(self.number, self.moment, self.reply, self.span, calls, tuple(self.notes))


@dataclass(slots=True)
class _OpenStep:
    """A step while its events are being read."""

    moment: Moment
    call: _OpenCall

    def done(self) -> Step:
        return Step(self.moment, self.call.done())


class _Fold:
    """Takes the events one by one."""

    def __init__(self, began: datetime) -> None:
        self._began = began
        self._time = 0.0
        self._asked = 0.0  # since when the model may have been at work
        self._items: list[Moment | _OpenTurn | _OpenStep] = []
        self._turn: _OpenTurn | None = None
        self._turns = 0
        self._calls: dict[str, _OpenCall] = {}
        self._plan: list[Revision] = []
        self._lost: list[Span] = []
        self._state: RunState = "running"
        self._started: RunStarted | None = None
        self._last: Moment | None = None

    def take(self, event: Event) -> None:
        at = _utc(event.at)
        before = self._time
        if at is not None:
            self._time = max(before, (at - self._began).total_seconds())
        moment = Moment(event, self._time)
        self._last = moment
        body = event.body
        call = self._calls.get(str(getattr(body, "call_id", "")))
        if isinstance(body, ToolStarted | ToolFinished) and call is None:
            call = self._step(moment, body)
        if isinstance(body, Replied):
            self._reply(moment, body)
        elif call is not None:
            if isinstance(body, ToolStarted):
                self._state = "running"
                self._revise(event.seq, body)
            call.take(moment, before)
        elif isinstance(body, Reminder) or (isinstance(body, Noted) and body.topic != PREFIX_BREAK):
            (self._turn.notes if self._turn else self._items).append(moment)
        else:
            self._between(moment, before)
        if not isinstance(body, RunFailed | RunInterrupted):
            self._asked = self._time

    def _reply(self, moment: Moment, body: Replied) -> None:
        begin = max(moment.time - max(body.seconds, 0.0), 0.0)
        if self._turn is not None:  # one request at a time
            begin = min(max(begin, self._turn.span.end), moment.time)
        self._turns += 1
        calls = [_OpenCall(one.id, one.name, one.arguments) for one in body.message.tool_calls]
        self._turn = _OpenTurn(self._turns, moment, body, Span(begin, moment.time), calls)
        self._items.append(self._turn)
        self._calls.update({call.call_id: call for call in calls})
        self._state = "running"

    def _step(self, moment: Moment, body: ToolStarted | ToolFinished) -> _OpenCall:
        call = self._calls[body.call_id] = _OpenCall(body.call_id, body.name, "")
        self._items.append(_OpenStep(moment, call))
        return call

    def _between(self, moment: Moment, before: float) -> None:
        self._items.append(moment)
        match moment.body:
            case RunStarted() as started:
                self._started = self._started or started
            case RunFinished():
                self._state = "finished"
            case RunPaused(sub_runs=sub_runs):
                self._state = "paused"
                for call_id, sub_run in sub_runs.items():
                    if (call := self._calls.get(call_id)) and not call.finished:
                        call.pause(moment.time, sub_run)
                self._cut(moment.time)
            case RunInterrupted():
                self._end("interrupted", moment.time)
            case RunFailed():
                self._end("failed", moment.time)
            case RunResumed():
                self._state = "running"
                self._cut(before)
            case UserMessage():
                self._state = "running"
            case _:
                pass

    def _end(self, state: RunState, time: float) -> None:
        busy = any(call.running is not None for call in self._calls.values())
        if not busy and time > self._asked:
            self._lost.append(Span(self._asked, time, open=True))
        self._state = state
        self._cut(time)

    def _cut(self, time: float) -> None:
        for call in self._calls.values():
            call.stop(time, unfinished=True)

    def _revise(self, seq: int, body: ToolStarted) -> None:
        steps = steps_of(body)
        if steps and (not self._plan or self._plan[-1].steps != steps):
            self._plan.append(Revision(seq, self._turns, steps))

    def done(self) -> RunTrace:
        assert self._last is not None
        self._cut(self._time)
        for call in self._calls.values():
            call.stop_waiting(self._time, unanswered=True)
        items = tuple(item if isinstance(item, Moment) else item.done() for item in self._items)
        turns = tuple(item for item in items if isinstance(item, Turn))
        return RunTrace(
            run_id=self._last.event.run_id,
            began=self._began,
            seconds=self._time,
            started=self._started,
            items=items,
            plan=tuple(self._plan),
            lost=tuple(self._lost),
            state=self._state,
            last=self._last,
            turns=turns,
            calls=tuple(call for item in items for call in _calls(item)),
        )


def as_json(value: Any) -> Any:
    """Return a value as it would be after a way through a store: plain JSON."""
    return orjson.loads(orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS))


def _calls(item: Item) -> tuple[Call, ...]:
    match item:
        case Turn(calls=calls):
            return calls
        case Step(call=call):
            return (call,)
        case _:
            return ()


def steps_of(body: ToolStarted) -> tuple[tuple[str, str], ...]:
    """Return titles and statuses of a call of the plan tool; empty for any other call.

    What a model wrote otherwise than the tool wants it is passed over.
    """
    if body.name != _PLAN_TOOL:
        return ()
    try:
        steps: Any = as_json(body.arguments).get("steps")
    except (TypeError, ValueError):
        return ()
    found: list[tuple[str, str]] = []
    for step in cast("list[Any]", steps) if isinstance(steps, list) else ():
        if isinstance(step, Mapping):
            known = cast("Mapping[str, Any]", step)
            status = known.get("status")
            known_status = status if status in _STEP_STATES else _STEP_STATES[0]
            found.append((str(known.get("title", "")), known_status))
    return tuple(found)


def _utc(at: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(at)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
