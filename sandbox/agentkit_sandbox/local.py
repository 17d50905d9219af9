"""Programs as plain processes of this machine: no sandbox. Only for whoever asks for it by name."""

from __future__ import annotations

import asyncio
import secrets
import sys
import tempfile
from pathlib import Path

from agentkit_sandbox.base import Capacity, OnWait, SandboxPolicy, SandboxUnavailable
from agentkit_sandbox.process import machine_capacity, refuse_containers, spawn
from agentkit_sandbox.session import Session


class LocalBackend:
    """Runs programs as this user, with all that this user may do.

    State, timeouts, output, files and their caps are those of a sandbox; protection is there
    none, and no limit on memory, processes or network is put in force.

    Args:
        unsafe_local: has to be True.

    Raises:
        SandboxUnavailable: it is not.
    """

    def __init__(self, *, unsafe_local: bool) -> None:
        if unsafe_local is not True:
            raise SandboxUnavailable(
                "Code is not run outside a sandbox unless unsafe_local=True says that it may read "
                "and change everything that you may."
            )

    async def start(self, policy: SandboxPolicy, on_wait: OnWait | None = None) -> Session:  # noqa: ARG002 (the protocol's)
        """Start a supervisor whose kernel is ready, in a temporary folder of its own.

        Raises:
            SandboxUnavailable: the policy asks for what only a container has.
            SandboxLost: it ended while it was starting.
        """
        refuse_containers(policy, "a plain process")
        folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="agentkit-unsafe-"))
        command = [sys.executable, "-I", "-m", "agentkit_sandbox.unconfined", str(folder)]
        channel = await spawn(command, folder=folder)
        session = Session(channel, policy, f"agentkit-unsafe-{secrets.token_hex(6)}")
        try:
            await session.greet()
        except BaseException:
            await session.close()
            raise
        return session

    async def capacity(self) -> Capacity:
        """Return this machine's free memory and its processors."""
        return await asyncio.to_thread(machine_capacity)

    async def reap(self) -> int:
        """Do nothing: the processes end with the one that started them."""
        return 0

    async def close(self) -> None:
        """Do nothing: there is no connection."""
