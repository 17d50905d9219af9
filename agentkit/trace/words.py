"""Figures as a person reads them."""

from __future__ import annotations

from collections.abc import Iterable


def duration(seconds: float) -> str:
    """Return a time in the units that fit: 3 ms, 0.14 s, 1.2 s, 12 s, 2 min 5 s, 2 d 4 h."""
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for big, small, size, part in (("min", "s", 60, 1), ("h", "min", 3600, 60)):
        if whole < size * (60 if big == "min" else 24):
            return _two_units(whole, big, size, small, part)
    return _two_units(whole, "d", 86400, "h", 3600)


def _two_units(seconds: int, big: str, size: int, small: str, part: int) -> str:
    rest = seconds % size // part
    if seconds >= size * 10 or not rest:
        return f"{round(seconds / size)} {big}"
    return f"{seconds // size} {big} {rest} {small}"


def clock(seconds: float) -> str:
    """Return a time since the beginning: 0.14 s, 12 s, 2:05, 11:00:05, 2 d 0:30:00."""
    whole = int(seconds)
    if whole < 60:
        return duration(seconds) if seconds else "0"
    minutes = f"{whole // 60 % 60}:{whole % 60:02}"
    if whole < 3600:
        return minutes
    days = f"{whole // 86400} d " if whole >= 86400 else ""
    return f"{days}{whole // 3600 % 24}:{minutes:0>5}"


def money(dollars: float | None) -> str:
    """Return dollars with four digits below ten; "unknown" where a price was."""
    if dollars is None:
        return "unknown"
    return f"${dollars:.4f}" if abs(dollars) < 10 else f"${dollars:,.2f}"


def count(number: int) -> str:
    """Return a number with its thousands apart."""
    return f"{number:,}"


def short(number: int) -> str:
    """Return a number in three digits or so: 950, 3.9k, 128k, 1.2M."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if number >= size * 0.9995:
            value = number / size
            return f"{value:.1f}{unit}" if value < 99.95 else f"{value:.0f}{unit}"
    return str(number)


def percent(share: float) -> str:
    """Return a share of one as whole per cent."""
    return f"{share:.0%}"


def size(number: int) -> str:
    """Return bytes in the unit that fits."""
    for unit, step in (("MB", 1_000_000), ("KB", 1_000)):
        if number >= step:
            return (
                f"{number / step:.1f} {unit}" if number < step * 10 else f"{number // step} {unit}"
            )
    return f"{number} bytes"


def plural(number: int, noun: str) -> str:
    """Return a number and its noun: 1 call, 2 calls, 2 replies, 2 calls without result."""
    first, space, rest = noun.partition(" without ")
    if number != 1:
        first = f"{first[:-1]}ies" if first.endswith(("ply", "try")) else f"{first}s"
    return f"{number:,} {first}{space}{rest}"


def joined(parts: Iterable[str]) -> str:
    """Return the parts that are not empty, with a middle dot between them."""
    return " · ".join(part for part in parts if part)
