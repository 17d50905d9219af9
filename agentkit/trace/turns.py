"""A run as a person reads it: turns, calls, times and the plan.

Times are seconds since the run began. A clock that was set back stands still here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Literal

from agentkit.context import spent_on_summary
from agentkit.events import Body, Event, Replied, RunStarted, SubRun, ToolFinished, ToolStarted
from agentkit.usage import Usage

RunState = Literal["running", "paused", "interrupted", "failed", "finished"]


@dataclass(frozen=True, slots=True)
class Moment:
    """An event and its time."""

    event: Event
    time: float

    @property
    def body(self) -> Body:
        """What happened."""
        return self.event.body


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time; `open` when the log does not say how it ended."""

    begin: float
    end: float
    open: bool = False

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call with all that the log says of it.

    Attributes:
        call_id: id of the call.
        name: name of the tool as the model wrote it.
        written: the arguments as the model wrote them; JSON text that may be broken.
        moments: its events in order: approvals, starts, the result, others that name the call.
        attempts: times in which it ran; more than one when it was started again.
        waits: times in which it, or a call of its sub-agent, waited for an approval.
        started: its last start; None for a call that never ran.
        finished: its last result; None while there is none.
        sub_run: the run of the sub-agent that serves it, with what it spent as far as the log
            says; None where there is none.
    """

    call_id: str
    name: str
    written: str
    moments: tuple[Moment, ...]
    attempts: tuple[Span, ...]
    waits: tuple[Span, ...]
    started: ToolStarted | None
    finished: ToolFinished | None
    sub_run: SubRun | None = None

    @property
    def status(self) -> str:
        """How it ended, or "open" while it has no result."""
        return self.finished.status if self.finished else "open"

    @property
    def held(self) -> bool:
        """Whether it still waits for an approval."""
        return self.finished is None and any(span.open for span in self.waits)

    @property
    def failed(self) -> bool:
        """Whether it ended without doing what was asked."""
        return self.status not in ("ok", "open")


@dataclass(frozen=True, slots=True)
class Turn:
    """A reply of the model and what came of it until the next one.

    Attributes:
        number: from 1.
        moment: the reply's event.
        reply: its body.
        span: from sending the request to the end of the reply.
        calls: in call order.
        notes: other events that belong to this turn: reminders, notes.
    """

    number: int
    moment: Moment
    reply: Replied
    span: Span
    calls: tuple[Call, ...]
    notes: tuple[Moment, ...]

    @property
    def seconds(self) -> float:
        """Time in which the model or a tool was at work; waiting for a person is not counted."""
        return covered([self.span, *(span for call in self.calls for span in call.attempts)])


@dataclass(frozen=True, slots=True)
class Step:
    """A call that no reply asked for: a step of a workflow."""

    moment: Moment
    call: Call


Item = Turn | Step | Moment
"""A row of the page: a turn, a step, or an event that stands between turns."""


@dataclass(frozen=True, slots=True)
class Revision:
    """The plan as one call left it: titles and statuses, in order."""

    seq: int
    turn: int
    steps: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class RunTrace:
    """One run, folded.

    Attributes:
        run_id: id of the run.
        began: UTC time of its first event.
        seconds: time of its last event.
        started: its first event's body; None in a log that begins otherwise.
        items: its rows, in order.
        plan: revisions of the plan that changed it.
        lost: times of requests that ended without a reply.
        state: how it stands at the end of the log.
        last: the last event.
        turns: the turns among its rows.
        calls: the calls of all turns and steps, in order.
    """

    run_id: str
    began: datetime
    seconds: float
    started: RunStarted | None
    items: tuple[Item, ...]
    plan: tuple[Revision, ...]
    lost: tuple[Span, ...]
    state: RunState
    last: Moment
    turns: tuple[Turn, ...]
    calls: tuple[Call, ...]

    @property
    def sub_run_ids(self) -> list[str]:
        """Ids of the runs of sub-agents that serve its calls."""
        return [call.sub_run.run_id for call in self.calls if call.sub_run]

    @property
    def usage(self) -> Usage:
        """Tokens of all replies and summaries, those of sub-agents included."""
        total = sum((usage for usage, _ in self._summaries), Usage())
        for turn in self.turns:
            total += turn.reply.usage
        for call in self.calls:
            if call.sub_run:
                total += call.sub_run.usage
        return total

    @property
    def sub_cost_usd(self) -> float | None:
        """Dollars of sub-agents; None when one has no known price."""
        return _sum(call.sub_run.cost_usd for call in self.calls if call.sub_run)

    @property
    def cost_usd(self) -> float | None:
        """Dollars of all replies and summaries, sub-agents included; None when one is unknown."""
        own = _sum(turn.reply.cost_usd for turn in self.turns)
        return _sum((own, self.sub_cost_usd, *(cost for _, cost in self._summaries)))

    @property
    def _summaries(self) -> list[tuple[Usage, float | None]]:
        """What requests for a summary cost."""
        between = (item for item in self.items if isinstance(item, Moment))
        moments = chain(between, *(turn.notes for turn in self.turns))
        spent = (spent_on_summary(moment.body) for moment in moments)
        return [one for one in spent if one is not None]


def covered(spans: Iterable[Span]) -> float:
    """Return the seconds that spans cover together; where they overlap, once."""
    total, until = 0.0, 0.0
    for span in sorted(spans, key=lambda span: span.begin):
        total += max(span.end - max(span.begin, until), 0.0)
        until = max(until, span.end)
    return total


def _sum(costs: Iterable[float | None]) -> float | None:
    total = 0.0
    for cost in costs:
        if cost is None:
            return None
        total += cost
    return total
