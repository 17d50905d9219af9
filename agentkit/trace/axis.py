"""The time axis: idle stretches are folded, so that a night's pause does not hide the work."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from agentkit.trace.turns import Span
from agentkit.trace.words import clock

_STEPS = (
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30),
    *(60 * minutes for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440)),
)
_IDLE_SHARE = 0.04  # of the busy time: the most that one idle stretch may take


@dataclass(frozen=True, slots=True)
class Tick:
    """A time on the axis."""

    x: float
    label: str


class Axis:
    """Time across, with idle stretches folded to a sliver."""

    def __init__(self, spans: Iterable[Span], seconds: float) -> None:
        busy = _merged(spans)
        edges = [0.0, *(edge for span in busy for edge in span), seconds]
        total = sum(end - begin for begin, end in busy) or seconds or 1.0
        gaps = [(begin, end) for begin, end in zip(edges[::2], edges[1::2], strict=True)]
        long = [gap for gap in gaps if gap[1] - gap[0] > total * _IDLE_SHARE]
        most = min(total * _IDLE_SHARE, total * 0.4 / len(long)) if long and busy else seconds
        self._times, self._places = [0.0], [0.0]
        self.folded = [(begin, end) for begin, end in gaps if end - begin > max(most * 2, 1e-3)]
        idle = set(gaps)
        for begin, end in pairwise(sorted({*edges})):
            length = end - begin
            width = min(length, most) if (begin, end) in idle else length
            self._times.append(end)
            self._places.append(self._places[-1] + width)
        self._scale = 100 / max(self._places[-1], 1e-9)

    def x(self, time: float) -> float:
        """Return where a time lies, in per cent."""
        index = min(max(bisect_right(self._times, time) - 1, 0), max(len(self._times) - 2, 0))
        if len(self._times) < 2:
            return 0.0
        begin, end = self._times[index], self._times[index + 1]
        share = min(max((time - begin) / (end - begin), 0.0), 1.0) if end > begin else 0.0
        place = self._places[index] + share * (self._places[index + 1] - self._places[index])
        return place * self._scale

    def ticks(self, seconds: float) -> list[Tick]:
        """Return about eight round times, none of them in a folded stretch."""
        shown = seconds - sum(end - begin for begin, end in self.folded)
        step = _round_step(shown / 7)
        ticks: list[Tick] = []
        for begin, end in pairwise([0.0, *(t for gap in self.folded for t in gap), seconds]):
            if (begin, end) in self.folded:
                continue
            number = 0 if begin == 0 else int(begin / step) + 1
            while number * step <= end and len(ticks) < 40:
                x = self.x(number * step)
                if x < 90 and (not ticks or x - ticks[-1].x > 10):
                    ticks.append(Tick(x, clock(number * step)))
                number += 1
        return ticks


def _merged(spans: Iterable[Span]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for span in sorted(spans, key=lambda span: span.begin):
        if merged and span.begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], span.end))
        else:
            merged.append((span.begin, span.end))
    return merged


def _round_step(seconds: float) -> float:
    """Return the round step that is not smaller; beyond a day, in whole days."""
    for step in _STEPS:
        if step >= seconds:
            return step
    return 86400.0 * (int(seconds / 86400) + 1)
