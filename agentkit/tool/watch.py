"""The watch over an event loop: names the tool that blocks it, and the line where it does."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import weakref
from pathlib import Path
from types import CodeType, FrameType
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from agentkit.log import warn

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
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.running: set[Execution] = set()
        self._loop = weakref.ref(loop)  # the loop is the key by which this is found
        self._loop_thread = threading.get_ident()
        self._users = 0
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
            self._end = None

    def add(self, execution: Execution) -> None:
        """Watch while a call runs; `running.discard` ends it."""
        self.running.add(execution)
        if self._end is None:
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
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - documented in sys
        running = tuple(self.running)
        task = asyncio.current_task(loop)
        blocking = next((one for one in running if one.task is task), None)
        if frame is None or not running:
            return
        names = {blocking.tool.name} if blocking else {one.tool.name for one in running}
        warn(
            "tool",
            "tool.blocks_event_loop",
            tool=" or ".join(sorted(names)),
            call_id=blocking.call.id if blocking else "",
            seconds=round(time.monotonic() - self._asked_at, 1),
            at=_where(frame, blocking),
            advice="make it a plain function, which runs in a thread, or await what takes long",
        )


def _where(frame: FrameType, blocking: Execution | None) -> str:
    """Return the tool's own line, and the line that it waits in where that is another one."""
    inner = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} in {frame.f_code.co_name}"
    code: CodeType | None = getattr(blocking.tool.function, "__code__", None) if blocking else None
    at: FrameType | None = frame
    while at is not None and at.f_code is not code:
        at = at.f_back
    if at is None or at is frame:
        return f"{frame.f_code.co_filename}:{frame.f_lineno}" if at is frame else inner
    return f"{at.f_code.co_filename}:{at.f_lineno} (in {inner})"


_WATCHES: WeakKeyDictionary[asyncio.AbstractEventLoop, Watch] = WeakKeyDictionary()
"""The watches of living event loops; runs of one loop share its watch."""


def watch_of(loop: asyncio.AbstractEventLoop) -> Watch:
    """Return the watch over the running loop."""
    watch = _WATCHES.get(loop)
    if watch is None:
        watch = _WATCHES[loop] = Watch(loop)
    return watch
