"""What every session has: a channel, one end, and bounds of a call."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from agentkit_sandbox.policy import MIB

MAX_CODE: Final = 4 * MIB
MAX_TIMEOUT: Final = 3600.0
SLACK: Final = 15.0  # seconds beyond a call's own deadline and grace; then the sandbox is removed


class Channel(Protocol):
    """A two-way stream of bytes to a supervisor."""

    async def send(self, data: bytes) -> None:
        """Send bytes; raises OSError when the other side is gone."""
        ...

    async def receive(self) -> bytes:
        """Return some bytes, or b"" when the other side is gone."""
        ...

    async def close(self) -> str:
        """Remove the sandbox, within bounded time; return the supervisor's last words."""
        ...


class Ending:
    """Closes a channel once, however often it is asked to."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._closing: asyncio.Task[str] | None = None

    @property
    def has_begun(self) -> bool:
        """Whether the channel is closed, or about to be."""
        return self._closing is not None

    async def end(self) -> str:
        """Close the channel and return the last words that came by it."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._channel.close())
        # Shielded: whoever is cancelled while it waits, the removal goes on, and it is bounded.
        try:
            return await asyncio.shield(self._closing)
        except asyncio.CancelledError:
            await asyncio.wait([self._closing])
            raise


def check_timeout(timeout: float) -> None:
    """Raise ValueError for a timeout of a call that is out of range."""
    if not 0 < timeout <= MAX_TIMEOUT:
        raise ValueError(f"timeout is {timeout!r}; give seconds above 0, up to {MAX_TIMEOUT:g}.")
