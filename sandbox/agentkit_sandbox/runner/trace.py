"""Short tracebacks that point at the user's own lines, and values clipped before they are built."""

from __future__ import annotations

import reprlib
import sys
import traceback
from types import TracebackType
from typing import Any, cast

MAX_TEXT = 8_000
MAX_USER_FRAMES = 12
MAX_MEMBERS = 10
_SIZED = (list, tuple, dict, set, frozenset)
_TEXT = (str, bytes, bytearray)


def clip(text: str, most: int) -> str:
    """Cut the middle out of a long text and say how much is missing."""
    if len(text) <= most:
        return text
    head, tail = most * 2 // 3, most // 3
    return f"{text[:head]}\n… {len(text) - head - tail} characters left out …\n{text[-tail:]}"


def show_value(value: Any, most: int) -> str:
    """Return `repr(value)`, at most about `most` characters, without building a huge one."""
    if isinstance(value, (str, bytes, bytearray)) and len(value) > most:
        return f"{value[:most]!r} … ({len(value)} in all)"
    if type(value) in _SIZED and not _fits(value, 20 * most):
        shown = 100 if len(value) > 500 else 10  # a short one is nested
        short = reprlib.Repr()
        short.maxlist = short.maxtuple = short.maxset = short.maxfrozenset = shown
        short.maxdict, short.maxstring, short.maxother = shown, 500, 500
        return clip(f"{short.repr(value)} … ({len(value)} items)", most)
    return clip(repr(value), most)


def _fits(value: Any, room: int) -> bool:
    """Say whether the text of nested built-in values has at most about `room` characters."""
    return _room(value, room, set()) >= 0


def _room(value: Any, room: int, around: set[int]) -> int:
    """Return what is left of `room` after a value; below 0 is too little."""
    kind = cast("type[object]", type(value))
    if kind in _TEXT:
        return room - len(value)
    if kind not in _SIZED or id(value) in around:  # one that contains itself is short
        return room - 1
    room -= 2 + 2 * len(value)
    if room < 0 or len(around) > 50:
        return -1
    around.add(id(value))
    inner: Any = (*value, *value.values()) if kind is dict else value
    for each in inner:
        if (room := _room(each, room, around)) < 0:
            break
    around.discard(id(value))
    return room


def describe(error: BaseException, files: dict[str, str]) -> str:
    """Return a traceback of the user's frames; runs of library frames become one line.

    Args:
        error: what was raised.
        files: name of each program of the session (such as "<call 3>") to its text.
    """
    lines = ["Traceback (most recent call last):"]
    lines += _frames(error.__traceback__, files)
    final = traceback.format_exception_only(type(error), error)
    if isinstance(error, BaseExceptionGroup):
        final += _members(cast("BaseExceptionGroup[BaseException]", error), files)
    for cause, words in ((error.__cause__, "caused by"), (error.__context__, "while handling")):
        if cause is not None and not (words == "while handling" and error.__suppress_context__):
            final.append(f"({words} {type(cause).__name__}: {_first_line(cause)})\n")
            break
    return clip("\n".join(lines) + "\n" + "".join(final).rstrip("\n"), MAX_TEXT)


def _members(group: BaseExceptionGroup[BaseException], files: dict[str, str]) -> list[str]:
    """Say in a line each what the errors of a group are, and where in the user's code they rose."""
    lines: list[str] = []
    for each in group.exceptions[:MAX_MEMBERS]:
        mine = [
            f" ({frame.f_code.co_filename[1:-1]}, line {number})"
            for frame, number in traceback.walk_tb(each.__traceback__)
            if frame.f_code.co_filename in files
        ]
        lines.append(f"  - {type(each).__name__}: {_first_line(each)}{''.join(mine[-1:])}\n")
    if len(group.exceptions) > MAX_MEMBERS:
        lines.append(f"  - … {len(group.exceptions) - MAX_MEMBERS} more\n")
    return lines


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:200]


def _frames(trace: TracebackType | None, files: dict[str, str]) -> list[str]:
    shown: list[str] = []
    library: list[str] = []
    frames = [
        (frame.f_code.co_filename, number, frame.f_code.co_name)
        for frame, number in traceback.walk_tb(trace)
        if not frame.f_code.co_filename.startswith("<agentkit_sandbox")
    ]
    mine = [position for position, frame in enumerate(frames) if frame[0] in files]
    half = MAX_USER_FRAMES // 2
    hidden = set(mine[half:-half]) if len(mine) > MAX_USER_FRAMES else set[int]()
    for position, (name, number, function) in enumerate(frames):
        if name not in files:
            library.append(f"{name}:{number} in {function}")
            continue
        if position in hidden:
            if not shown or not shown[-1].startswith("  … "):
                shown.append(f"  … {len(hidden)} more frames …")
            continue
        shown += _folded(library)
        library = []
        source = files[name].splitlines()
        shown.append(f"  {name[1:-1]}, line {number}, in {function}")
        if 0 < number <= len(source):
            shown.append(f"    {source[number - 1].strip()[:200]}")
    return shown + _folded(library)


def _folded(library: list[str]) -> list[str]:
    if not library:
        return []
    if len(library) == 1:
        return [f"  {library[0]}"]
    return [f"  … {len(library)} library frames, the last: {library[-1]}"]


def forget_recursion() -> None:
    """Give a program's changed recursion limit back, so that it cannot break the runner."""
    if sys.getrecursionlimit() != 1000:
        sys.setrecursionlimit(1000)
