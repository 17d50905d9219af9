"""Output of the processes that run foreign code, on its way to the host."""

from __future__ import annotations

import math
import os
import select
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from agentkit_sandbox.runner.call import Call
from agentkit_sandbox.runner.child import PIPE_BYTES, Worker

PIECE: Final = 256 * 1024
# Output that comes line by line is fetched at most so often, else each line costs two switches
# between processes and a frame; the pipe holds what comes meanwhile.
PAUSE: Final = 0.005  # seconds
LARGE: Final = 64 * 1024  # one that brings so much at once does not wait
ONCE: Final = select.EPOLLIN | select.EPOLLONESHOT


class Streams:
    """The pipes of all live processes.

    Args:
        poll: where they are registered.
        tell: sends a frame to the host.
    """

    def __init__(self, poll: select.epoll, tell: Callable[[dict[str, Any], bytes], None]) -> None:
        self._poll = poll
        self._tell = tell
        self._names: dict[int, str] = {}
        self._paused: set[int] = set()
        self._until = math.inf

    @property
    def resume_at(self) -> float:
        """When `resume` is due, on the monotonic clock."""
        return self._until

    def __contains__(self, descriptor: int) -> bool:
        return descriptor in self._names

    def add(self, worker: Worker) -> None:
        """Watch the pipes of a process."""
        for descriptor, name in worker.streams.items():
            self._names[descriptor] = name
            self._poll.register(descriptor, ONCE)

    def remove(self, worker: Worker) -> None:
        """Forget them; closing takes them out of the poll."""
        for descriptor in worker.streams:
            self._names.pop(descriptor, None)
            self._paused.discard(descriptor)

    def read(self, descriptor: int, call: Call | None) -> None:
        """Fetch what has come; without a call it belongs to none and is thrown away."""
        data = b""
        with suppress(BlockingIOError):
            if not (data := os.read(descriptor, PIECE)):
                self._poll.unregister(descriptor)
                return
        if len(data) >= LARGE:
            self._poll.modify(descriptor, ONCE)
        else:
            self._until = min(self._until, time.monotonic() + PAUSE)
            self._paused.add(descriptor)
        self._hand_out(call, self._names[descriptor], data)

    def resume(self) -> None:
        """Watch again those that were just read."""
        if time.monotonic() < self._until:
            return
        self._until = math.inf
        for descriptor in self._paused:
            self._poll.modify(descriptor, ONCE)
        self._paused.clear()

    def drain(self, worker: Worker, call: Call | None) -> None:
        """Fetch what is in the pipes now; at most what fits into them, so that none floods us."""
        for descriptor, name in worker.streams.items():
            for _ in range(PIPE_BYTES // PIECE + 1):
                try:
                    data = os.read(descriptor, PIECE)
                except OSError:
                    break
                if not data:
                    break
                self._hand_out(call, name, data)

    def finish(self, call: Call, cap: int) -> None:
        """Send the end of what was too long to go out at once.

        Args:
            call: the call that is over.
            cap: how many bytes of each stream went out at once.
        """
        for name, output in call.output.items():
            tail, missing = output.tail(cap)
            if tail:
                header = {"op": "output", "nonce": call.nonce, "stream": name, "missing": missing}
                self._tell(header, tail)

    def _hand_out(self, call: Call | None, name: str, data: bytes) -> None:
        if call is not None and (head := call.output[name].take(data)):
            self._tell({"op": "output", "nonce": call.nonce, "stream": name}, head)
