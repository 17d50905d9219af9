"""The slots of an event loop: how many calls run at once in all its runs together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from agentkit.tool.claims import Claims

if TYPE_CHECKING:
    from agentkit.tool.execution import Execution

SERVED: ContextVar[Execution | None] = ContextVar("agentkit_served_call", default=None)
"""The call that the running code serves; calls that it makes itself may use that call's slot."""


class Slots:
    """Counts the calls that run; who wants to start one more compares with its own limit.

    Attributes:
        used: calls that run at this moment.
        claims: the resources and the caps of tools that they hold.
    """

    __slots__ = ("__weakref__", "_waiting", "claims", "used")

    def __init__(self) -> None:
        self.used = 0
        self.claims = Claims()
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()

    @property
    def waited_for(self) -> bool:
        """Whether somebody waits for a slot."""
        return bool(self._waiting)

    def free(self) -> None:
        """Give a slot back."""
        self.used -= 1
        if self._waiting:
            self.pass_on()

    def wait(self, limit: int, wake: Callable[[], None]) -> None:
        """Call `wake` once when fewer than `limit` calls run; first come, first served.

        Who is woken takes its slots and then calls `pass_on`.
        """
        self._waiting.append((limit, wake))

    def forget(self, wake: Callable[[], None]) -> None:
        """Undo `wait`."""
        self._waiting = deque(one for one in self._waiting if one[1] != wake)

    def pass_on(self) -> None:
        """Wake the next one that has room."""
        for position, (limit, wake) in enumerate(self._waiting):
            if self.used < limit:
                del self._waiting[position]
                wake()
                return


_SLOTS: WeakKeyDictionary[asyncio.AbstractEventLoop, Slots] = WeakKeyDictionary()
"""The slots of living event loops: what the runs of one process must share."""


def slots_of(loop: asyncio.AbstractEventLoop) -> Slots:
    """Return the slots of an event loop."""
    slots = _SLOTS.get(loop)
    if slots is None:
        slots = _SLOTS[loop] = Slots()
    return slots
