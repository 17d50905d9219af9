"""Sandboxes that run and are preloaded before they are needed; none is ever used twice."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final, Self

from agentkit_sandbox.base import (
    Backend,
    Capacity,
    ExecResult,
    File,
    Listing,
    OnWait,
    Sandbox,
    SandboxError,
    SandboxLost,
    SandboxPolicy,
    SandboxUnavailable,
)
from agentkit_sandbox.gate import Gate

CHECK_SECONDS: Final = 60.0
SHARE: Final = 0.75  # of the daemon's free memory; its other containers and its caches need some
CALLS_PER_CPU: Final = 4  # programs wait for input and files, too


class Pool:
    """A back end that keeps sandboxes of one policy ready on top of another back end.

    Use it as a context manager; it owns its background tasks and the sandboxes that nobody took.
    A sandbox that was handed out belongs to whoever took it. All are admitted by the memory that
    their policies promise, and their programs by number; who has to wait is told why.

    Args:
        backend: where sandboxes come from.
        policy: of the sandboxes that are kept ready.
        size: how many are kept ready.
        memory_mb: memory that all sandboxes of this pool may be promised, MiB; None takes three
            quarters of what the back end has left when the pool is entered.
        calls: programs that may run at a time; None takes four for each processor.
    """

    def __init__(
        self,
        backend: Backend,
        policy: SandboxPolicy,
        size: int = 1,
        *,
        memory_mb: int | None = None,
        calls: int | None = None,
    ) -> None:
        if size < 1:
            raise ValueError(f"size is {size}; a pool keeps at least 1 sandbox ready.")
        if memory_mb is not None and memory_mb < policy.memory_mb:
            raise ValueError(f"memory_mb is {memory_mb}; one sandbox takes {policy.memory_mb}.")
        if calls is not None and calls < 1:
            raise ValueError(f"calls is {calls}; at least 1 program has to run.")
        self._backend = backend
        self._policy = policy
        self._size = size
        self._limits = (memory_mb, calls)
        self._memory = Gate(memory_mb or 0)
        self._calls = Gate(calls or 0)
        self._ready: deque[asyncio.Task[Sandbox]] = deque()
        self._leaving: set[asyncio.Task[None]] = set()
        self._watcher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        memory, calls = self._limits
        if memory is None or calls is None:
            left = await self._backend.capacity()
            self._memory.room = memory or max(int(left.memory_mb * SHARE), self._policy.memory_mb)
            self._calls.room = calls or max(1, CALLS_PER_CPU * left.cpus)
        self._watcher = asyncio.create_task(self._watch(), name="watch sandbox pool")
        self._fill()
        return self

    async def __aexit__(self, *_: object) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.cancel()
            await asyncio.wait([watcher])
        self._give_up(len(self._ready))
        if self._leaving:
            await asyncio.wait(set(self._leaving))

    async def start(self, policy: SandboxPolicy, on_wait: OnWait | None = None) -> Sandbox:
        """Return a sandbox that is ready; wait for one where none is.

        Raises:
            SandboxUnavailable: the policy asks for more memory than the pool has in all.
            SandboxError: as the back end below raises it.
        """
        if self._watcher is None:
            raise SandboxUnavailable("The pool is not open: enter it with `async with`.")
        if policy.memory_mb > self._memory.room:
            raise SandboxUnavailable(
                f"A sandbox of {policy.memory_mb} MiB was asked for, and the pool has "
                f"{self._memory.room} MiB in all. Ask for less, or give the pool more memory_mb."
            )
        tell = on_wait or _nobody
        while policy == self._policy and self._ready:
            if (sandbox := await self._take()) is not None:
                return Leased(sandbox, self._calls, self._returner(policy.memory_mb), tell)
        return await self._fresh(policy, tell)

    async def capacity(self) -> Capacity:
        """Return the memory that is promised to nobody, and the back end's processors."""
        below = await self._backend.capacity()
        return Capacity(self._memory.room - self._memory.inside, below.cpus)

    async def reap(self) -> int:
        """Remove sandboxes whose owner is gone; return how many."""
        return await self._backend.reap()

    async def close(self) -> None:
        """Let go of the back end's connections; sandboxes that were handed out live on."""
        await self._backend.close()

    async def _take(self) -> Sandbox | None:
        """Return the first of those kept ready, or None where it has ended."""
        self._ready = deque(sorted(self._ready, key=lambda task: not task.done()))
        task = self._ready.popleft()
        self._fill()
        try:
            sandbox = await task
            if await sandbox.ping():
                return sandbox
        except asyncio.CancelledError:
            self._discard(task)
            raise
        except SandboxError:
            self._memory.leave(self._policy.memory_mb)
            if not (self._ready and self._ready[0].done()):
                raise
            return None
        self._memory.leave(self._policy.memory_mb)
        return None

    async def _fresh(self, policy: SandboxPolicy, tell: OnWait) -> Sandbox:
        def wait() -> None:
            if policy != self._policy:
                self._give_up(len(self._ready))  # what nobody has taken gives way
            tell(
                f"waiting for memory: {self._memory.inside} of {self._memory.room} MiB are "
                f"promised to running sandboxes, {self._memory.waiting - 1} wait before"
            )

        await self._memory.enter(policy.memory_mb, wait)
        try:
            sandbox = await self._backend.start(policy, tell)
        except BaseException:
            self._memory.leave(policy.memory_mb)
            raise
        return Leased(sandbox, self._calls, self._returner(policy.memory_mb), tell)

    def _returner(self, amount: int) -> Callable[[], None]:
        """Return a function that gives memory back, once, and fills the pool up with it."""
        held = [amount]

        def give_back() -> None:
            while held:
                self._memory.leave(held.pop())
                self._fill()

        return give_back

    def _fill(self) -> None:
        """Start what is missing, as far as there is memory that nobody waits for."""
        while len(self._ready) < self._size and self._watcher is not None:
            if not self._memory.try_enter(self._policy.memory_mb):
                return
            task = asyncio.create_task(self._backend.start(self._policy), name="start sandbox")
            self._ready.append(task)

    def _give_up(self, count: int) -> None:
        for _ in range(count):
            self._discard(self._ready.pop())

    def _discard(self, task: asyncio.Task[Sandbox]) -> None:
        """End, in the background, the sandbox of a start that nobody waits for."""

        async def end() -> None:
            task.cancel()  # a cancelled start cleans up itself
            await asyncio.wait([task])
            if not task.cancelled() and task.exception() is None:
                await task.result().close()
            self._memory.leave(self._policy.memory_mb)

        leaving = asyncio.create_task(end(), name="end sandbox")
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def _watch(self) -> None:
        """Each minute: replace what has ended, keep the rest awake, remove orphans."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            for task in [task for task in self._ready if task.done()]:
                failed = task.cancelled() or task.exception() is not None
                if (failed or not await task.result().ping()) and task in self._ready:
                    self._ready.remove(task)
                    self._memory.leave(self._policy.memory_mb)
            self._fill()
            with suppress(SandboxError):
                await self._backend.reap()


def _nobody(_: str) -> None:
    """Listen to nothing."""


class Leased:
    """A sandbox that a pool handed out; its memory goes back when it ends."""

    def __init__(
        self, sandbox: Sandbox, calls: Gate, release: Callable[[], None], tell: OnWait
    ) -> None:
        self._sandbox, self._calls = sandbox, calls
        self._release, self._tell = release, tell

    async def execute(
        self,
        code: str,
        timeout: float = 30.0,  # noqa: ASYNC109 (enforced inside, where output and state survive)
        *,
        on_output: Callable[[str], None] | None = None,
    ) -> ExecResult:
        """Run a program once there is a free place. See `Sandbox.execute`."""
        async with self._running():
            return await self._sandbox.execute(code, timeout, on_output=on_output)

    async def shell(
        self,
        command: str,
        timeout: float = 30.0,  # noqa: ASYNC109 (as above)
        *,
        on_output: Callable[[str], None] | None = None,
    ) -> ExecResult:
        """Run a shell command once there is a free place. See `Sandbox.shell`."""
        async with self._running():
            return await self._sandbox.shell(command, timeout, on_output=on_output)

    async def put(self, name: str, data: bytes) -> None:
        """Put a file into the workspace. See `Sandbox.put`."""
        with self._watched():
            await self._sandbox.put(name, data)

    async def get(self, name: str) -> File:
        """Take a copy of a file out of the workspace. See `Sandbox.get`."""
        with self._watched():
            return await self._sandbox.get(name)

    async def list(self) -> Listing:
        """Return the regular files of the workspace. See `Sandbox.list`."""
        with self._watched():
            return await self._sandbox.list()

    async def ping(self) -> bool:
        """Say whether the sandbox still answers; this keeps an idle one alive."""
        if await self._sandbox.ping():
            return True
        self._release()
        return False

    async def close(self) -> None:
        """End the session and leave nothing behind. May be called twice."""
        try:
            await self._sandbox.close()
        finally:
            self._release()

    @asynccontextmanager
    async def _running(self) -> AsyncGenerator[None]:
        await self._calls.enter(1, self._wait)
        try:
            with self._watched():
                yield
        finally:
            self._calls.leave(1)

    @contextmanager
    def _watched(self) -> Generator[None]:
        """Give the memory back when a call ends the sandbox."""
        try:
            yield
        except (SandboxLost, asyncio.CancelledError):
            self._release()
            raise

    def _wait(self) -> None:
        self._tell(
            f"waiting for a free place: {self._calls.inside} programs run, which is the most, "
            f"{self._calls.waiting - 1} wait before"
        )
