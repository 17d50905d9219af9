"""The supervisor's ends of what it forked: a kernel, or a shell."""

from __future__ import annotations

import fcntl
import os
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, NoReturn

from agentkit_sandbox.protocol import FrameBuffer, encode
from agentkit_sandbox.runner import kernel, processes, shell

SEND_WITHIN: Final = 5.0  # seconds
PIPE_BYTES: Final = 1024 * 1024  # as much as Linux allows by default


class Worker:
    """A forked process whose output comes through two pipes.

    Attributes:
        pid: its process id, which is that of its process group as well.
        status: wait status, once it is dead.
        streams: descriptor of each pipe to "stdout" or "stderr".
    """

    def __init__(self, run: Callable[[int, int], NoReturn]) -> None:
        """Fork a process that calls `run` with the writing ends of the pipes.

        Raises:
            OSError: there can be no further process.
        """
        pipes = {"stdout": os.pipe(), "stderr": os.pipe()}
        try:
            pid = os.fork()
        except OSError:
            for descriptor in (*pipes["stdout"], *pipes["stderr"]):
                os.close(descriptor)
            raise
        if pid == 0:
            run(pipes["stdout"][1], pipes["stderr"][1])
        self.pid = pid
        self.alive = True
        self.status = 0
        self.streams: dict[int, str] = {}
        for name, (reading, writing) in pipes.items():
            os.close(writing)
            os.set_blocking(reading, False)
            with suppress(OSError):
                fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            self.streams[reading] = name

    def await_death(self) -> bool:
        """Wait a moment for a process that should be gone; say whether it is."""
        until = time.monotonic() + 0.2
        while not self.has_ended() and time.monotonic() < until:
            time.sleep(0.002)
        return not self.alive

    def has_ended(self) -> bool:
        """Say whether it is dead, and collect it."""
        if self.alive and self.pid in (dead := processes.reap(only=[self.pid])):
            self.alive, self.status = False, dead[self.pid]
        return not self.alive

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The supervisor's ends."""
        return tuple(self.streams)

    def close(self) -> None:
        """Close the supervisor's ends."""
        for descriptor in self.descriptors:
            with suppress(OSError):
                os.close(descriptor)


class ShellProcess(Worker):
    """One shell command."""

    def __init__(self, command: bytes, *, internet: bool) -> None:
        super().__init__(partial(shell.start, command, internet))


class KernelProcess(Worker):
    """A kernel, with the socket through which it takes programs and answers."""

    def __init__(self, *, internet: bool) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        super().__init__(partial(kernel.start, internet, theirs.fileno()))
        theirs.close()
        ours.setblocking(False)
        self.channel = ours.detach()
        self.buffer = FrameBuffer()

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The supervisor's ends."""
        return (self.channel, *self.streams)

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
