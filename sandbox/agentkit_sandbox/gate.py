"""Admission: so much at a time, first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Gate:
    """Lets in as much as there is room for; the rest waits in order.

    Args:
        room: how much may be inside at a time.
    """

    def __init__(self, room: int) -> None:
        self.room = room
        self.inside = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def try_enter(self, amount: int) -> bool:
        """Go in if there is room and nobody waits; say whether that was so."""
        if self._waiting or self.inside + amount > self.room:
            return False
        self.inside += amount
        return True

    async def enter(self, amount: int, on_wait: Callable[[], None]) -> None:
        """Go in, after those who came before.

        Args:
            amount: at most `room`, else it would wait for ever.
            on_wait: called once if there is no room now.
        """
        if self.try_enter(amount):
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = (amount, turn)
        self._waiting.append(place)
        try:
            on_wait()
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.leave(amount)  # it was let in while it was being cancelled
            else:
                self._waiting = deque(each for each in self._waiting if each is not place)
                self._admit()  # it may have stood before smaller ones
            raise

    def leave(self, amount: int) -> None:
        """Go out and let in who fits now."""
        self.inside -= amount
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self.inside + self._waiting[0][0] <= self.room:
            amount, turn = self._waiting.popleft()
            if not turn.done():  # else it was cancelled, and has not noticed yet
                self.inside += amount
                turn.set_result(None)
