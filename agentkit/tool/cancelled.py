"""The signal that a call is to stop, for async tools and for those in threads."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Cancelled:
    """Says whether a call was told to stop: `is_set()` anywhere, `await wait()` in async code.

    Attributes:
        watched: whether the tool has ever looked.
    """

    __slots__ = ("_set", "_waiting", "watched")

    def __init__(self) -> None:
        self._set = False
        self._waiting: list[asyncio.Future[None]] = []
        self.watched = False

    def is_set(self) -> bool:
        """Return whether the call is to stop."""
        self.watched = True
        return self._set

    async def wait(self) -> None:
        """Return when the call is to stop."""
        self.watched = True
        signal: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(signal)  # before the look, so that no signal falls between them
        try:
            if not self._set:
                await signal
        finally:
            self._waiting.remove(signal)

    def set(self) -> None:
        """Tell the call to stop."""
        self._set = True
        for signal in tuple(self._waiting):
            # A tool in a thread may wait in an event loop of its own, which may be gone.
            with suppress(RuntimeError):
                signal.get_loop().call_soon_threadsafe(_resolve, signal)


def _resolve(signal: asyncio.Future[None]) -> None:
    if not signal.done():
        signal.set_result(None)
