"""The supervisor's ends of a forked kernel."""

from __future__ import annotations

import os
import select
import socket
import time
from contextlib import suppress
from typing import Any, Final

from agentkit_sandbox.protocol import FrameBuffer, encode
from agentkit_sandbox.runner import kernel, processes

SEND_WITHIN: Final = 5.0  # seconds


class KernelProcess:
    """The supervisor's ends of one forked kernel."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        pipes = {"stdout": os.pipe(), "stderr": os.pipe()}
        pid = os.fork()
        if pid == 0:
            kernel.start(theirs.fileno(), pipes["stdout"][1], pipes["stderr"][1])
        self.pid = pid
        self.alive = True
        self.status = 0
        theirs.close()
        ours.setblocking(False)
        self.channel = ours.detach()
        self.buffer = FrameBuffer()
        self.streams: dict[int, str] = {}
        for name, (reading, writing) in pipes.items():
            os.close(writing)
            os.set_blocking(reading, False)
            self.streams[reading] = name

    def send(self, header: dict[str, Any], body: bytes) -> bool:
        """Send a request; False when the kernel closed its end or does not read."""
        data = memoryview(encode(header, body))
        until = time.monotonic() + SEND_WITHIN
        while data and time.monotonic() < until:
            try:
                data = data[os.write(self.channel, data) :]
            except BlockingIOError:
                select.select([], [self.channel], [], 0.1)
            except OSError:
                return False
        return not data

    def await_death(self) -> bool:
        """Wait a moment for a kernel that closed its channel to be gone; say whether it is."""
        until = time.monotonic() + 0.2
        while self.alive and time.monotonic() < until:
            if self.pid in (dead := processes.reap(only=[self.pid])):
                self.alive, self.status = False, dead[self.pid]
            else:
                time.sleep(0.002)
        return not self.alive

    def close(self) -> None:
        """Close the supervisor's ends."""
        for descriptor in (self.channel, *self.streams):
            with suppress(OSError):
                os.close(descriptor)
