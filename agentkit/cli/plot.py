"""The plot of a run's context as SVG: what the prompt held, what was cached, what it cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from itertools import accumulate

from agentkit.context.explain import Turn, totals

WIDTH, LEFT, RIGHT = 960, 64, 150
KINDS = {
    "prefix": "#64748b",
    "ledger": "#7c3aed",
    "summary": "#c084fc",
    "user": "#f59e0b",
    "replies": "#38bdf8",
    "results": "#2dd4bf",
    "cleared": "#cbd5e1",
}
"""Colours by kind, in the order of the stack."""
_NAMES = {
    "prefix": "tools, instructions",
    "user": "user's messages",
    "replies": "replies, thinking",
    "results": "tool results",
    "cleared": "placeholders",
}
_CLEAR, _COMPACT, _COLD, _INK, _GRID = "#0f766e", "#be123c", "#2563eb", "#0f172a", "#e2e8f0"
_PANELS = ((98, 300), (446, 90), (584, 90))  # top and height of each
_HEIGHT = 720


def plot(run_id: str, turns: Sequence[Turn]) -> str:
    """Return an SVG of three panels over the turns: context by kind, cached share, dollars.

    Args:
        run_id: for the title.
        turns: as `explain` gives them.
    """
    sums = totals(turns)
    cost = "price unknown" if sums["cost_usd"] is None else f"${sums['cost_usd']:.2f}"
    said = (
        f"{sums['turns']} turns · {cost} · {sums['cached_share']:.1%} of input cached · "
        f"{sums['edits'] - sums['compactions']} clearings, {sums['compactions']} compactions, "
        f"{sums['overflows']} overflows"
    )
    size = f'viewBox="0 0 {WIDTH} {_HEIGHT}" width="{WIDTH}" height="{_HEIGHT}"'
    font = f'font-family="system-ui, sans-serif" font-size="12" fill="{_INK}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>']
    parts.append(f'<rect width="{WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>')
    parts.append(_text(LEFT, 32, f"Context of run {run_id}", size=17, weight=600))
    parts.append(_text(LEFT, 53, said, colour="#475569"))
    if turns:
        parts += [*_context(turns), *_cached(turns), *_dollars(turns)]
    else:
        parts.append(_text(LEFT, 100, "This run has no reply yet."))
    return "\n".join([*parts, "</svg>\n"])


def _context(turns: Sequence[Turn]) -> list[str]:
    top, height = _PANELS[0]
    most = _nice(max(row.usage.input for row in turns))
    y = _scale(top, height, most)
    x = _across(len(turns))
    parts = [_text(LEFT, top - 10, "Prompt by kind, tokens", weight=600)]
    parts += _rules(top, height, most, lambda value: f"{value / 1000:,.0f}K")
    floor = [0] * len(turns)
    for kind, colour in KINDS.items():
        roof = [low + getattr(row.kinds, kind) for low, row in zip(floor, turns, strict=True)]
        if roof != floor:
            edge = [f"{x(at):.1f},{y(value):.1f}" for at, value in enumerate(roof)]
            base = [f"{x(at):.1f},{y(value):.1f}" for at, value in enumerate(floor)]
            points = " ".join([*edge, *reversed(base)])
            parts.append(f'<polygon points="{points}" fill="{colour}" fill-opacity="0.9"/>')
        floor = roof
    for at, row in enumerate(turns):
        for edit in row.edits:
            parts.append(_mark(x(at), top, height, edit.kind))
    return [*parts, *_legend(turns, top), _turns(turns, top + height)]


def _cached(turns: Sequence[Turn]) -> list[str]:
    top, height = _PANELS[1]
    y, x = _scale(top, height, 1.0), _across(len(turns))
    parts = [_text(LEFT, top - 10, "Share of the prompt that was cached", weight=600)]
    parts += _rules(top, height, 1.0, lambda value: f"{value:.0%}")
    line = " ".join(f"{x(at):.1f},{y(row.usage.cached_share):.1f}" for at, row in enumerate(turns))
    parts.append(_line(line, "#0d9488"))
    for at, row in enumerate(turns):
        if row.cold or row.breaks:
            why = escape(row.cold or row.breaks[0])
            parts.append(
                f'<circle cx="{x(at):.1f}" cy="{y(row.usage.cached_share):.1f}" r="4" '
                f'fill="{_COLD}"><title>{why}</title></circle>'
            )
    return [*parts, _turns(turns, top + height)]


def _dollars(turns: Sequence[Turn]) -> list[str]:
    top, height = _PANELS[2]
    sums = list(accumulate(row.cost_usd or 0.0 for row in turns))
    most = _nice(sums[-1]) or 1.0
    y, x = _scale(top, height, most), _across(len(turns))
    parts = [_text(LEFT, top - 10, "Dollars so far", weight=600)]
    digits = 2 if most >= 0.1 else 4
    parts += _rules(top, height, most, lambda value: f"${value:.{digits}f}")
    parts.append(
        _line(" ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in enumerate(sums)), _INK)
    )
    parts.append(_text(WIDTH - RIGHT + 8, y(sums[-1]) + 4, f"${sums[-1]:.{digits}f}", weight=600))
    return [*parts, _turns(turns, top + height, name=True)]


def _legend(turns: Sequence[Turn], top: int) -> list[str]:
    parts: list[str] = []
    at = top + 8
    left = WIDTH - RIGHT + 18
    for kind in reversed(KINDS):
        if any(getattr(row.kinds, kind) for row in turns):
            parts.append(
                f'<rect x="{left}" y="{at - 9}" width="11" height="11" rx="2" '
                f'fill="{KINDS[kind]}"/>'
            )
            parts.append(_text(left + 17, at, _NAMES.get(kind, kind), size=11))
            at += 19
    kinds = {edit.kind for row in turns for edit in row.edits}
    at += 8
    for kind, name in (("cleared", "results cleared"), ("compacted", "compacted")):
        if kind in kinds:
            parts.append(_stroke(left + 5.5, at - 11, at + 2, kind))
            parts.append(_text(left + 17, at, name, size=11))
            at += 19
    return parts


def _rules(top: int, height: int, most: float, label: Callable[[float], str]) -> list[str]:
    parts: list[str] = []
    steps = 4 if height > 200 else 2
    for step in range(steps + 1):
        value = most * step / steps
        y = top + height - height * step / steps
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{_GRID}"/>'
        )
        parts.append(_text(LEFT - 8, y + 4, label(value), anchor="end", colour="#64748b", size=11))
    return parts


def _turns(turns: Sequence[Turn], bottom: int, *, name: bool = False) -> str:
    count = len(turns)
    x = _across(count)
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 10**9) if count / s <= 8)
    marks = [1, *range(step, count + 1, step)]
    labels = [
        _text(x(at - 1), bottom + 16, str(at), anchor="middle", colour="#64748b", size=11)
        for at in dict.fromkeys(marks)
        if at == 1 or x(at - 1) - x(0) > 24
    ]
    if name:
        labels.append(_text(WIDTH - RIGHT + 8, bottom + 16, "turn", colour="#64748b", size=11))
    return "\n".join(labels)


def _mark(x: float, top: int, height: int, kind: str) -> str:
    return _stroke(x, top - 2, top + height, kind)


def _stroke(x: float, top: float, bottom: float, kind: str) -> str:
    colour, dash = (_COMPACT, "") if kind == "compacted" else (_CLEAR, ' stroke-dasharray="3 3"')
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}" stroke="{colour}" '
        f'stroke-width="1.5"{dash}/>'
    )


def _line(points: str, colour: str) -> str:
    return (
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.8" '
        'stroke-linejoin="round"/>'
    )


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 12,
    weight: int = 400,
    anchor: str = "start",
    colour: str = _INK,
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" '
        f'text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'
    )


def _across(count: int) -> Callable[[int], float]:
    room = WIDTH - LEFT - RIGHT
    return lambda at: LEFT + (room * at / (count - 1) if count > 1 else room / 2)


def _scale(top: int, height: int, most: float) -> Callable[[float], float]:
    return lambda value: top + height - height * min(value / most, 1.0)


def _nice(value: float) -> float:
    """Return a round number at or above a value, for the end of an axis."""
    if value <= 0:
        return 0.0
    power = 1.0
    while power * 10 <= value:
        power *= 10
    while power > value:
        power /= 10
    steps = (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10)
    return next(step * power for step in steps if step * power >= value)
