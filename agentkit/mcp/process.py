"""A server that runs as a child process: its lines, its end, and the end of its children."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from os import PathLike
from typing import Self

LONGEST_LINE = 64 * 1024 * 1024
"""Bytes of one message; an image comes as one line of base64."""

_LOOK = 0.05  # seconds between two looks at a process that should end
_LEAVE = 1.0  # seconds to end by itself after its stdin was closed, as the protocol asks
_DIE = 0.3  # seconds for SIGKILL to be done; an orphan may stay a zombie for longer
_TERM = 2.0  # seconds between SIGTERM and SIGKILL


class ServerProcess:
    """A running server in a process group of its own."""

    def __init__(self, process: asyncio.subprocess.Process, heard: Callable[[str], None]) -> None:
        self._process = process
        self._heard = heard
        self._listening = asyncio.create_task(self._listen(), name="mcp stderr")

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str | PathLike[str] | None,
        heard: Callable[[str], None],
    ) -> Self:
        """Start a server.

        Args:
            command: program and arguments.
            env: its whole environment.
            cwd: folder it runs in; None for this process's own.
            heard: told each line that it writes to stderr.

        Raises:
            OSError: it cannot be started.
        """
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=env,
            cwd=cwd,
            limit=LONGEST_LINE,
            start_new_session=True,
        )
        return cls(process, heard)

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield what it writes to stdout, line by line, until it ends.

        A process that is gone ends this even if a child of its holds the pipe open.
        """
        assert self._process.stdout
        gone = asyncio.create_task(self._gone(), name="mcp process")
        try:
            while True:
                reading = asyncio.create_task(self._process.stdout.readline())
                try:
                    await asyncio.wait({reading, gone}, return_when=asyncio.FIRST_COMPLETED)
                    if not reading.done():  # the last lines may still be on the way
                        await asyncio.wait({reading}, timeout=_LOOK)
                finally:
                    reading.cancel()
                if not reading.done() or reading.cancelled() or not (line := reading.result()):
                    return
                yield line
        finally:
            gone.cancel()

    async def write(self, line: bytes) -> None:
        """Write one line to its stdin.

        Raises:
            OSError: it is gone.
        """
        assert self._process.stdin
        self._process.stdin.write(line)
        await self._process.stdin.drain()

    async def ending(self) -> str:
        """Say how it ended, waiting a moment for a process that is about to."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._gone(), _LEAVE)
        match self._process.returncode:
            case None:
                return "closed its output"
            case code if code < 0:
                return f"was killed by {signal.Signals(-code).name}"
            case code:
                return f"ended with exit code {code}"

    async def stop(self) -> None:
        """End it and all its children: stdin closed, then SIGTERM, then SIGKILL to the group."""
        try:
            assert self._process.stdin
            self._process.stdin.close()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._gone(), _LEAVE)
            if self._signal(signal.SIGTERM):
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._group_gone(), _TERM)
        finally:  # also when the waiting itself was cancelled
            self._signal(signal.SIGKILL)
            self._listening.cancel()
            with suppress(TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(self._group_gone(), _DIE)
            # Closes the pipes that a child which left the group may still hold.
            transport = getattr(self._process, "_transport", None)
            if isinstance(transport, asyncio.SubprocessTransport):
                transport.close()

    async def _gone(self) -> None:
        # Not Process.wait(): since Python 3.12 that also waits for whoever inherited the pipes.
        while self._process.returncode is None:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(_LOOK)

    async def _group_gone(self) -> None:
        while self._signal(0):  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(_LOOK)

    def _signal(self, number: int) -> bool:
        """Signal the group; returns whether there is one. Its id is that of its first process."""
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return False
        except PermissionError:  # a zombie on some systems, or a child that changed its user
            return self._process.returncode is None
        return True

    async def _listen(self) -> None:
        assert self._process.stderr
        with suppress(ValueError, OSError):  # a line beyond all limits: no more is heard
            while line := await self._process.stderr.readline():
                self._heard(line.decode(errors="replace"))
