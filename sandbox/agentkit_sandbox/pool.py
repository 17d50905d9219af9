"""Sandboxes that run and are preloaded before they are needed; none is ever used twice."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Final, Self

from agentkit_sandbox.base import Backend, Sandbox, SandboxError, SandboxPolicy

CHECK_SECONDS: Final = 60.0


class Pool:
    """A back end that keeps sandboxes of one policy ready on top of another back end.

    Use it as a context manager; it owns its background tasks and the sandboxes that nobody took.
    A sandbox that was handed out belongs to whoever took it.

    Args:
        backend: where sandboxes come from.
        policy: of the sandboxes that are kept ready.
        size: how many are kept ready.
    """

    def __init__(self, backend: Backend, policy: SandboxPolicy, size: int = 1) -> None:
        if size < 1:
            raise ValueError(f"size is {size}; a pool keeps at least 1 sandbox ready.")
        self._backend = backend
        self._policy = policy
        self._size = size
        self._ready: deque[asyncio.Task[Sandbox]] = deque()
        self._watcher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._fill()
        self._watcher = asyncio.create_task(self._watch(), name="watch sandbox pool")
        return self

    async def __aexit__(self, *_: object) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.cancel()
            await asyncio.wait([watcher])
        waiting = list(self._ready)
        self._ready.clear()
        for task in waiting:
            task.cancel()
        for task in waiting:
            await _discard(task)

    async def start(self, policy: SandboxPolicy) -> Sandbox:
        """Return a sandbox that is ready; wait for one where none is.

        Raises:
            SandboxError: as the back end below raises it.
        """
        if policy != self._policy or self._watcher is None:
            return await self._backend.start(policy)
        while self._ready:
            self._ready = deque(sorted(self._ready, key=lambda task: not task.done()))
            task = self._ready.popleft()
            self._fill()
            try:
                sandbox = await task
            except asyncio.CancelledError:
                await _discard(task)
                raise
            except SandboxError:
                if self._ready and self._ready[0].done():
                    continue
                raise
            if await sandbox.ping():
                return sandbox
        return await self._backend.start(policy)

    async def reap(self) -> int:
        """Remove sandboxes whose owner is gone; return how many."""
        return await self._backend.reap()

    def _fill(self) -> None:
        while len(self._ready) < self._size:
            task = asyncio.create_task(self._backend.start(self._policy), name="start sandbox")
            self._ready.append(task)

    async def _watch(self) -> None:
        """Each minute: replace what has ended, keep the rest awake, remove orphans."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            for task in [task for task in self._ready if task.done()]:
                failed = task.cancelled() or task.exception() is not None
                if (failed or not await task.result().ping()) and task in self._ready:
                    self._ready.remove(task)
            self._fill()
            with suppress(SandboxError):
                await self._backend.reap()


async def _discard(task: asyncio.Task[Sandbox]) -> None:
    """End the sandbox of a start that nobody waits for; a cancelled start cleans up itself."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled() and task.exception() is None:
        await task.result().close()
