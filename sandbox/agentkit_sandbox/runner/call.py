"""A program or a command that is running, and what it has printed so far."""

from __future__ import annotations

import os
import time
from typing import Any, Final

from agentkit_sandbox.runner import files

TAIL: Final = 32 * 1024


class Output:
    """One stream of one call: the head goes out at once, the tail when the call is over."""

    def __init__(self, cap: int) -> None:
        self._left = cap
        self._tail = bytearray()
        self.seen = 0

    def take(self, data: bytes) -> bytes:
        """Return what goes out now; keep the end of the rest."""
        self.seen += len(data)
        head, rest = data[: self._left], data[self._left :]
        self._left -= len(head)
        self._tail += rest
        if len(self._tail) > 2 * TAIL:
            del self._tail[:-TAIL]
        return head

    def tail(self, cap: int) -> tuple[bytes, int]:
        """Return the kept end, and how many bytes between head and tail are lost."""
        kept = bytes(self._tail[-TAIL:])
        return kept, max(0, self.seen - cap - len(kept))


class Call:
    """A program or a command that is running.

    Attributes:
        shell: whether it is a command.
        fresh: how the kernel before this call had died, or "".
        over: "timeout" or "cancelled" once it has been told to stop.
    """

    def __init__(self, number: int, header: dict[str, Any], cap: int, fresh: str) -> None:
        self.number = number
        self.shell = header["op"] == "shell"
        self.fresh = fresh
        self.nonce = str(header["nonce"])
        self.token = os.urandom(8).hex()
        self.start = time.monotonic()
        self.deadline = self.start + float(header["timeout"])
        self.over: str | None = None
        self.kill_at = 0.0
        self.interrupt_at = 0.0
        self.interrupts = 0
        self.output = {"stdout": Output(cap), "stderr": Output(cap)}
        self.before: dict[str, files.Stamp] = {}
        self.kills_before = 0
