"""The gate of a key: how many requests it has in flight, shared by all runs of the process.

Providers limit requests in flight per key and do not publish the number (docs.z.ai shows it behind
the login, public figures for one model range from 1 to 10). So the gate starts at the provider's
default, halves when the provider says that there are too many, and grows back slowly.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from agentkit.model.endpoint import Endpoint

GROW_AFTER = 20
"""Answers in a row without a complaint before one more request may be in flight."""


class Gate:
    """Lets at most `limit` requests through at once, in the order they came.

    Attributes:
        limit: requests in flight at most, at this moment.
        most: what `limit` may grow to.
        in_flight: requests that are through.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.limit = most
        self.in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._good = 0
        self._closed_until = 0.0

    @asynccontextmanager
    async def through(self) -> AsyncGenerator[None]:
        """Wait for a place and hold it while the context is entered."""
        await self._enter()
        try:
            yield
        finally:
            self.in_flight -= 1
            self._let_in()

    def slow_down(self, seconds: float) -> None:
        """Halve the limit and let nobody in for some seconds: the provider complained.

        Complaints about requests that were sent before the limit was halved count once.
        """
        loop = asyncio.get_running_loop()
        if loop.time() >= self._closed_until:
            self.limit = max(1, self.limit // 2)
        self._good = 0
        self._closed_until = max(self._closed_until, loop.time() + seconds)
        loop.call_at(self._closed_until, self._let_in)

    def went_well(self) -> None:
        """Take note of an answer; after a row of them the limit grows by one."""
        self._good += 1
        if self._good >= GROW_AFTER and self.limit < self.most:
            self._good = 0
            self.limit += 1
            self._let_in()

    async def _enter(self) -> None:
        if not self._waiting and self._has_room():
            self.in_flight += 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.in_flight -= 1  # the place was given and is not taken
            elif place in self._waiting:
                self._waiting.remove(place)
            self._let_in()
            raise

    def _has_room(self) -> bool:
        now = asyncio.get_running_loop().time()
        return self.in_flight < self.limit and now >= self._closed_until

    def _let_in(self) -> None:
        while self._waiting and self._has_room():
            place = self._waiting.popleft()
            if not place.done():
                self.in_flight += 1
                place.set_result(None)


_GATES: WeakValueDictionary[tuple[int, str, str], Gate] = WeakValueDictionary()
"""Living gates by event loop, base URL and key; the one thing that runs of a process must share."""


def gate_of(endpoint: Endpoint, most: int) -> Gate:
    """Return the gate of an endpoint's key in the running loop, made with `most` when it is new."""
    name = (id(asyncio.get_running_loop()), endpoint.base_url, endpoint.key)
    gate = _GATES.get(name)
    if gate is None:
        gate = _GATES[name] = Gate(most)
    return gate
