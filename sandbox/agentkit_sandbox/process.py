"""A supervisor that is a process of this machine, as a channel; what its two back ends share."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from agentkit_sandbox.base import Capacity, SandboxPolicy, SandboxUnavailable
from agentkit_sandbox.daemon import CANNOT
from agentkit_sandbox.policy import MIB

END_SECONDS: Final = 5.0
MAX_WORDS: Final = 4096


class ProcessChannel:
    """The pipes of a supervisor's process. See `agentkit_sandbox.session.Channel`.

    Args:
        process: started with pipes for all three streams, in a session of its own.
        folder: removed with it, if any.
    """

    def __init__(self, process: asyncio.subprocess.Process, folder: Path | None = None) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._folder = process, folder
        self._writer, self._reader = process.stdin, process.stdout

    async def send(self, data: bytes) -> None:
        """Send bytes to the supervisor's standard input."""
        self._writer.write(data)
        await self._writer.drain()

    async def receive(self) -> bytes:
        """Return bytes of its standard output, or b"" at the end."""
        return await self._reader.read(1 << 20)

    async def close(self) -> str:
        """End the process, within bounded time; return what it wrote to standard error."""
        self._writer.close()  # it ends with its input, and takes its own processes with it
        words = b""
        try:
            async with asyncio.timeout(END_SECONDS):
                if self._process.stderr is not None:
                    words = await self._process.stderr.read(MAX_WORDS)
                await self._process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        with suppress(OSError):
            await self._writer.wait_closed()
        if self._folder is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        return words.decode("utf-8", "replace").strip()


async def spawn(
    command: Sequence[str],
    *,
    folder: Path | None = None,
    user: int | None = None,
    pass_fds: Sequence[int] = (),
) -> ProcessChannel:
    """Start a supervisor.

    Args:
        command: what to run.
        folder: removed when the channel is closed.
        user: user and group id to run it as; None is ours.
        pass_fds: descriptors that it inherits.

    Raises:
        SandboxUnavailable: it cannot be started.
    """
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            limit=1 << 20,
            start_new_session=True,
            pass_fds=tuple(pass_fds),
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"},
        )
    except OSError as error:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        raise SandboxUnavailable(
            f"{CANNOT}: {command[0]} could not be started ({error})."
        ) from None
    return ProcessChannel(process, folder)


def refuse_containers(policy: SandboxPolicy, what: str) -> None:
    """Refuse what only a container can give.

    Raises:
        SandboxUnavailable: names the field of the policy.
    """
    for name in ("image", "packages", "runner", "allowlist", "runtime"):
        if getattr(policy, name):
            raise SandboxUnavailable(
                f"{CANNOT}: {what} has no {name}, and the policy asks for it. Use Docker for that."
            )


def machine_capacity() -> Capacity:
    """Return this machine's free memory and its processors."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Capacity(free // MIB, os.cpu_count() or 1)
