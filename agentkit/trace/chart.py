"""The context of each turn: how large the prompt was, and how much of it came from the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentkit.trace.timeline import EDITS, PREFIX_BREAK
from agentkit.trace.turns import Moment, RunTrace, Turn
from agentkit.trace.words import count, percent, short

_MOST_COLUMNS = 160


@dataclass(frozen=True, slots=True)
class Column:
    """One turn, or several next to each other where there are very many.

    Attributes:
        x: left edge, per cent of the width.
        width: per cent of the width.
        cached: height of the cached part, per cent.
        fresh: height of the part that was paid in full, per cent.
        share: cached share, 0.0 to 1.0.
        href: anchor of its first turn.
        title: what to say of it when it is pointed at.
        mark: "edit" or "break" when the history was edited or the prefix broke before it.
    """

    x: float
    width: float
    cached: float
    fresh: float
    share: float
    href: str
    title: str
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """The columns, and the largest prompt in tokens."""

    columns: tuple[Column, ...]
    most: str
    turns: int

    @property
    def marks(self) -> frozenset[str]:
        """Which marks there are."""
        return frozenset(column.mark for column in self.columns if column.mark)


def chart(trace: RunTrace) -> Chart | None:
    """Return the chart of a run; None when fewer than two turns have a known prompt."""
    turns = trace.turns
    most = max((turn.reply.usage.input for turn in turns), default=0)
    if len(turns) < 2 or most <= 0:
        return None
    marks = _marks(trace)
    each = -(-len(turns) // _MOST_COLUMNS)
    groups = [turns[index : index + each] for index in range(0, len(turns), each)]
    step = 100 / len(groups)
    gap = min(step * 0.2, 0.4)
    columns = (
        _column(group, index * step, max(step - gap, 0.2), most, marks)
        for index, group in enumerate(groups)
    )
    return Chart(tuple(columns), short(most), len(turns))


def _column(
    turns: Sequence[Turn], x: float, width: float, most: int, marks: dict[int, str]
) -> Column:
    largest = max((turn.reply.usage for turn in turns), key=lambda usage: usage.input)
    height = 100 * largest.input / most
    share = min(max(largest.cached_share, 0.0), 1.0)
    first, last = turns[0].number, turns[-1].number
    which = f"Turn {first}" if first == last else f"Turns {first} to {last}, the largest"
    found = {marks[turn.number] for turn in turns if turn.number in marks}
    mark = "break" if "break" in found else "edit" if found else ""
    title = f"{which}: prompt of {count(largest.input)} tokens, {percent(share)} from the cache"
    if mark:
        told = {"break": "the prefix broke", "edit": "the history was edited"}[mark]
        title += f"; before it {told}"
    return Column(
        round(x, 3),
        round(width, 3),
        round(height * share, 2),
        round(height * (1 - share), 2),
        share,
        f"e{turns[0].moment.event.seq}",
        title,
        mark,
    )


def _marks(trace: RunTrace) -> dict[int, str]:
    """What happened to the history right before each turn, by number of the turn."""
    marks: dict[int, str] = {}
    turn = 0
    for item in trace.items:
        if isinstance(item, Turn):
            turn = item.number
        elif isinstance(item, Moment) and (kind := _mark(item)) and marks.get(turn + 1) != "break":
            marks[turn + 1] = kind
    return marks


def _mark(moment: Moment) -> str:
    if moment.event.kind in EDITS[1:]:  # an offload shapes one result; it costs no cache
        return "edit"
    return "break" if getattr(moment.body, "topic", "") == PREFIX_BREAK else ""
