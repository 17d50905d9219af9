"""Several back ends as one: a sandbox is started where most memory is free."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from agentkit_sandbox.base import (
    Backend,
    Capacity,
    OnWait,
    Sandbox,
    SandboxError,
    SandboxPolicy,
    SandboxUnavailable,
)


class Placement:
    """Starts each sandbox on the back end with the most free memory.

    One that cannot be asked, or cannot start it, is passed over for this sandbox. A pool above
    asks for the capacity of all.

    Args:
        backends: such as `DockerBackend(daemon=Daemon("tcp://a:2376", certificates="..."))`.
    """

    def __init__(self, backends: Sequence[Backend]) -> None:
        if not backends:
            raise ValueError("Placement needs at least one back end.")
        self._backends = tuple(backends)
        self._starting = dict.fromkeys(range(len(self._backends)), 0)

    async def start(self, policy: SandboxPolicy, on_wait: OnWait | None = None) -> Sandbox:
        """Start a sandbox where most memory is free.

        Raises:
            SandboxUnavailable: no back end could; the text has the reason of each.
        """
        found = await self._capacities()
        reasons = [str(each) for each in found if isinstance(each, SandboxError)]
        free = {
            # What is being started is not in the daemon's count yet.
            number: each.memory_mb - self._starting[number]
            for number, each in enumerate(found)
            if isinstance(each, Capacity)
        }
        for number in sorted(free, key=lambda number: free[number], reverse=True):
            if free[number] < policy.memory_mb:
                reasons.append(
                    f"Back end {number + 1} has {free[number]} MiB left of the {policy.memory_mb} "
                    "MiB that are asked for."
                )
                continue
            self._starting[number] += policy.memory_mb
            try:
                return await self._backends[number].start(policy, on_wait)
            except SandboxError as error:
                reasons.append(str(error))
            finally:
                self._starting[number] -= policy.memory_mb
        raise SandboxUnavailable("No back end could start a sandbox. " + " ".join(reasons))

    async def capacity(self) -> Capacity:
        """Return the sum of what those have left that answer.

        Raises:
            SandboxUnavailable: none answers.
        """
        found = await self._capacities()
        there = [each for each in found if isinstance(each, Capacity)]
        if not there:
            raise SandboxUnavailable(" ".join(str(each) for each in found))
        return Capacity(sum(each.memory_mb for each in there), sum(each.cpus for each in there))

    async def reap(self) -> int:
        """Remove, on all that answer, sandboxes whose owner is gone; return how many."""
        removed = 0
        for backend in self._backends:
            try:
                removed += await backend.reap()
            except SandboxError:
                continue
        return removed

    async def close(self) -> None:
        """Let go of all connections; sandboxes that were handed out live on."""
        for backend in self._backends:
            await backend.close()

    async def _capacities(self) -> list[Capacity | SandboxError]:
        async def ask(backend: Backend) -> Capacity | SandboxError:
            try:
                return await backend.capacity()
            except SandboxError as error:
                return error

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask(backend)) for backend in self._backends]
        return [task.result() for task in tasks]
