"""The watch over an event loop: names the tool that blocks it, and the line where it does."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import weakref
from collections.abc import Callable
from contextvars import Context
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from agentkit.log import warn
from agentkit.tool.slots import SERVED

if TYPE_CHECKING:
    from agentkit.tool.execution import Execution

LAG = 0.5
"""Seconds without a turn of the event loop after which a tool is named."""

_EVERY = 0.25


class Watch:
    """Looks, from a thread of its own, whether the event loop turns while async tools run.

    The thread starts with the first async call and ends with the last dispatcher of the loop.

    Attributes:
        running: async calls that run at this moment.
        idle: whether nobody looks yet; `begin` changes that.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.running: set[Execution] = set()
        self._loop = weakref.ref(loop)  # the loop is the key by which this is found
        self._loop_thread = threading.get_ident()
        self._users = 0
        self.idle = True
        self._end: threading.Event | None = None
        self._turned = True
        self._asked_at = 0.0
        self._told = False

    def acquire(self) -> None:
        """Take note of one more dispatcher."""
        self._users += 1

    def release(self) -> None:
        """Let the thread end if no dispatcher is left."""
        self._users -= 1
        if not self._users and self._end is not None:
            self._end.set()
            self._end, self.idle = None, True

    def begin(self) -> None:
        """Start to look."""
        self.idle, self._turned = False, True
        self._end = threading.Event()
        name = "agentkit-loop-watch"
        threading.Thread(target=self._look, args=(self._end,), name=name, daemon=True).start()

    def _look(self, end: threading.Event) -> None:
        while not end.wait(_EVERY):
            loop = self._loop()
            if loop is None or loop.is_closed():
                return
            if not self._turned:
                if not self._told and time.monotonic() - self._asked_at >= LAG:
                    self._told = True
                    self._tell(loop)
            elif self.running:
                self._turned = self._told = False
                self._asked_at = time.monotonic()
                try:
                    loop.call_soon_threadsafe(self._turn)
                except RuntimeError:  # it was closed just now
                    return
            del loop

    def _turn(self) -> None:
        self._turned = True

    def _tell(self, loop: asyncio.AbstractEventLoop) -> None:
        frames = sys._current_frames()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        frame, task = frames.get(self._loop_thread), asyncio.current_task(loop)
        running = tuple(self.running)
        if frame is None or task is None or not running:
            return  # nobody's code: this process got no time
        seconds = round(time.monotonic() - self._asked_at, 1)
        blocking = next((one for one in running if one.task is task), None) or _served_by(task)
        if blocking is None:
            names = sorted({one.tool.name for one in running})
            warn("tool", "event_loop.blocked", running=names, seconds=seconds, at=_at(frame))
            return
        warn(
            "tool",
            "tool.blocks_event_loop",
            tool=blocking.tool.name,
            call_id=blocking.call.id,
            seconds=seconds,
            at=_where(frame, blocking),
            advice="make it a plain function, which runs in a thread, or await what takes long",
        )


def _served_by(task: asyncio.Task[object]) -> Execution | None:
    """Return the call that a task was started for, where Python tells (3.12)."""
    context_of: Callable[[], Context] | None = getattr(task, "get_context", None)
    return context_of().get(SERVED) if context_of else None


def _at(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _where(frame: FrameType, blocking: Execution) -> str:
    """Return the tool's own line, and the line that it waits in where that is another one."""
    code = getattr(blocking.tool.function, "__code__", None)
    own: FrameType | None = frame
    while own is not None and own.f_code is not code:
        own = own.f_back
    if own is None or own is frame:
        return _at(frame)
    inner = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} in {frame.f_code.co_name}"
    return f"{_at(own)} (in {inner})"


_WATCHES: WeakKeyDictionary[asyncio.AbstractEventLoop, Watch] = WeakKeyDictionary()
"""The watches of living event loops; runs of one loop share its watch."""


def watch_of(loop: asyncio.AbstractEventLoop) -> Watch:
    """Return the watch over the running loop."""
    watch = _WATCHES.get(loop)
    if watch is None:
        watch = _WATCHES[loop] = Watch(loop)
    return watch
