"""The two drawings of the page as plain numbers: the timeline and the context of each turn.

Across, everything is per cent of the drawing's width, so that it fits any screen; down, pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from agentkit.trace.axis import Axis, Tick
from agentkit.trace.content import line
from agentkit.trace.turns import Call, RunTrace, Span, Turn
from agentkit.trace.words import count, duration, plural

LANE = 20
"""Pixels from one lane to the next; a bar takes 16 of them."""

_BLOCK_GAP = 10
_MOST_LANES = 10  # of one block; calls beyond share the last one
_MOST_BLOCKS = 8  # of sub-agents
_MOST_BARS = 1000  # beyond, bars that are thinner than a pixel or two are joined
_THIN = 0.35  # per cent of width
_LABEL_FROM = 5.0  # per cent of width from which a bar can carry a name


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a bar: `kind` chooses its colour; x and width in per cent of the drawing."""

    kind: str
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Bar:
    """Something that took time.

    Attributes:
        parts: its pieces, one after the other.
        y: pixels from the top.
        href: anchor of its event.
        title: what to say of it when it is pointed at.
        label: name to write on it, where it is wide enough.
    """

    parts: tuple[Part, ...]
    y: int
    href: str
    title: str
    label: str = ""

    @property
    def x(self) -> float:
        """Its left edge."""
        return self.parts[0].x

    @property
    def width(self) -> float:
        """Its width."""
        return self.parts[-1].x + self.parts[-1].width - self.parts[0].x


@dataclass(frozen=True, slots=True)
class Lanes:
    """A group of lanes with a name in the margin."""

    label: str
    y: int
    nested: bool = False


@dataclass(frozen=True, slots=True)
class Drawing:
    """The timeline."""

    height: int
    bars: tuple[Bar, ...]
    groups: tuple[Lanes, ...]
    ticks: tuple[Tick, ...]
    idle: tuple[tuple[Part, str], ...]
    kinds: frozenset[str]
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Nested:
    """A run on the drawing: the prefix of its anchors, and its beginning on the root's clock."""

    trace: RunTrace
    anchor: str
    offset: float


def draw(root: RunTrace, children: Mapping[str, tuple[int, RunTrace]]) -> Drawing:
    """Return the timeline of a run and of its sub-agents.

    Args:
        root: the run.
        children: by run id, the number of a sub-agent's run on the page, and its trace.
    """
    runs = [
        Nested(child, f"s{number}", (child.began - root.began).total_seconds())
        for number, child in children.values()
    ]
    runs = [Nested(root, "", 0.0), *sorted(runs, key=lambda run: run.offset)]
    spans = [_moved(span, run.offset) for run in runs for span in _busy(run.trace)]
    seconds = max([root.seconds, *(span.end for span in spans)])
    board = _Board(Axis(spans, seconds))
    board.root(runs[0])
    for run in runs[1:]:
        board.nested(run)
    bars = board.bars if len(board.bars) <= _MOST_BARS else _joined(board.bars)
    return Drawing(
        height=board.height,
        bars=tuple(bars),
        groups=tuple(board.groups),
        ticks=tuple(board.axis.ticks(seconds)),
        idle=tuple(
            (Part("idle", board.axis.x(a), board.axis.x(b) - board.axis.x(a)), duration(b - a))
            for a, b in board.axis.folded
        ),
        kinds=frozenset(part.kind for bar in bars for part in bar.parts),
        left_out=board.left_out,
    )


@dataclass(slots=True)
class _Board:
    """The drawing while it grows."""

    axis: Axis
    bars: list[Bar] = field(default_factory=list[Bar])
    groups: list[Lanes] = field(default_factory=list[Lanes])
    height: int = 0
    left_out: int = 0
    # For each group of sub-agents: name, top, lanes and the end of the last run in it.
    _rows: list[tuple[str, int, int, float]] = field(
        default_factory=list[tuple[str, int, int, float]]
    )

    def root(self, run: Nested) -> None:
        self.groups.append(Lanes("Model", 0))
        self._model(run, 0)
        lanes = self._tools(run, LANE + _BLOCK_GAP // 2)
        if lanes:
            self.groups.append(Lanes("Tools", LANE + _BLOCK_GAP // 2))
        self.height = LANE + (lanes and _BLOCK_GAP // 2 + lanes * LANE)

    def nested(self, run: Nested) -> None:
        started = run.trace.started
        name = line(started.agent if started else run.trace.run_id, 40)
        wanted = 1 + _lanes_needed(run.trace.calls)
        for index, (label, top, lanes, end) in enumerate(self._rows):
            if label == name and lanes >= wanted and end <= run.offset:
                self._rows[index] = (label, top, lanes, run.offset + run.trace.seconds)
                break
        else:
            if len(self._rows) == _MOST_BLOCKS:
                self.left_out += 1
                return
            top = self.height + _BLOCK_GAP
            self._rows.append((name, top, wanted, run.offset + run.trace.seconds))
            self.groups.append(Lanes(name, top, nested=True))
            self.height = top + wanted * LANE
        self._model(run, top)
        self._tools(run, top + LANE)

    def _model(self, run: Nested, y: int) -> None:
        for turn in run.trace.turns:
            href = f"{run.anchor}e{turn.moment.event.seq}"
            parts = tuple(self._part(kind, _moved(span, run.offset)) for kind, span in phases(turn))
            self.bars.append(Bar(parts, y, href, _said(turn)))
        for span in run.trace.lost:
            title = f"{duration(span.seconds)} without a reply"
            href = f"{run.anchor}e{run.trace.last.event.seq}"
            part = self._part("lost", _moved(span, run.offset))
            self.bars.append(Bar((part,), y, href, title))

    def _tools(self, run: Nested, y: int) -> int:
        lanes = _LanePacker()
        for call in sorted(run.trace.calls, key=_begin):
            spans = [*((s, "wait") for s in call.waits), *((s, "ran") for s in call.attempts)]
            if not spans:
                continue
            lane = lanes.place(min(s.begin for s, _ in spans), max(s.end for s, _ in spans))
            href = f"{run.anchor}e{call.moments[0].event.seq}"
            for span, what in spans:
                part = self._part(_colour(call, span, what), _moved(span, run.offset))
                label = line(call.name, 40) if part.width > _LABEL_FROM and what == "ran" else ""
                title = _told(call, span, what)
                self.bars.append(Bar((part,), y + lane * LANE, href, title, label))
        return lanes.count

    def _part(self, kind: str, span: Span) -> Part:
        x = self.axis.x(span.begin)
        return Part(kind, round(x, 3), round(max(self.axis.x(span.end) - x, 0.15), 3))


class _LanePacker:
    """Gives each stretch the first lane that is free."""

    def __init__(self) -> None:
        self._ends: list[float] = []

    @property
    def count(self) -> int:
        return len(self._ends)

    def place(self, begin: float, end: float) -> int:
        for lane, busy_until in enumerate(self._ends):
            if busy_until <= begin:
                self._ends[lane] = end
                return lane
        if len(self._ends) < _MOST_LANES:
            self._ends.append(end)
        else:
            self._ends[-1] = max(end, self._ends[-1])
        return len(self._ends) - 1


def _lanes_needed(calls: Sequence[Call]) -> int:
    lanes = _LanePacker()
    for call in sorted(calls, key=_begin):
        spans = [*call.waits, *call.attempts]
        if spans:
            lanes.place(min(span.begin for span in spans), max(span.end for span in spans))
    return lanes.count


def phases(turn: Turn) -> list[tuple[str, Span]]:
    """Return the reply's time as waiting, thinking and writing.

    The wait until the first delta was measured. How the rest is shared between thinking and
    writing is an estimate: in proportion to their tokens.
    """
    reply, span = turn.reply, turn.span
    first = min(max(reply.first_delta_seconds or 0.0, 0.0), span.seconds)
    middle = span.begin + first
    share = (
        min(max(reply.usage.thinking / reply.usage.output, 0.0), 1.0) if reply.usage.output else 0
    )
    split = middle + (span.end - middle) * share
    found = [
        ("waiting", Span(span.begin, middle)),
        ("thinking", Span(middle, split)),
        ("writing", Span(split, span.end)),
    ]
    return [(kind, one) for kind, one in found if one.seconds > 0] or [("writing", span)]


def _said(turn: Turn) -> str:
    words = {"waiting": "waiting", "thinking": "thinking about", "writing": "writing about"}
    parts = ", ".join(f"{words[kind]} {duration(span.seconds)}" for kind, span in phases(turn))
    usage = turn.reply.usage
    estimate = (
        f" (estimated: {count(usage.thinking)} of {count(usage.output)} tokens were thinking)"
        if usage.thinking
        else ""
    )
    return f"Turn {turn.number}: model {duration(turn.span.seconds)}: {parts}{estimate}"


def _told(call: Call, span: Span, what: str) -> str:
    name = line(call.name, 80)
    if what == "wait":
        end = "not answered" if span.open else "answered"
        return f"{name}: waited for approval {duration(span.seconds)}, {end}"
    end = "not finished" if span.open else call.status
    return f"{name}: {duration(span.seconds)}, {end}"


def _colour(call: Call, span: Span, what: str) -> str:
    if what == "wait":
        return "approval"
    if span.open:
        return "lost"
    return "error" if call.failed else "tool"


def _busy(trace: RunTrace) -> list[Span]:
    spans = [turn.span for turn in trace.turns]
    spans += [span for call in trace.calls for span in call.attempts]
    return [*spans, *trace.lost]


def _moved(span: Span, offset: float) -> Span:
    return Span(max(span.begin + offset, 0.0), max(span.end + offset, 0.0), span.open)


def _begin(call: Call) -> float:
    return call.moments[0].time if call.moments else 0.0


def _joined(bars: Iterable[Bar]) -> list[Bar]:
    """Join thin bars of a lane that lie at the same place, so that a long run stays light."""
    wide: list[Bar] = []
    thin: dict[tuple[int, int, str], tuple[Bar, int]] = {}
    for bar in bars:
        if bar.width >= _THIN:
            wide.append(bar)
            continue
        kind = "model" if bar.parts[-1].kind == "writing" else bar.parts[-1].kind
        place = (bar.y, int(bar.x / _THIN), kind)
        first, number = thin.get(place, (replace(bar, parts=(bar.parts[-1],)), 0))
        thin[place] = (first, number + 1)
    return wide + [
        bar
        if number == 1
        else Bar(
            (Part(kind, bar.x, _THIN),),
            bar.y,
            bar.href,
            f"{plural(number, 'reply' if kind == 'model' else 'call')}, the first: {bar.title}",
        )
        for (_, _, kind), (bar, number) in thin.items()
    ]
