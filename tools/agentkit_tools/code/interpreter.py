"""`CodeInterpreter`: a toolset whose sandbox lives as long as a run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Final

from pydantic import Field

from agentkit.tool import Artifact, Tool, ToolContext, ToolResult, tool
from agentkit_sandbox import (
    Backend,
    DockerBackend,
    PolicyNotInForce,
    Sandbox,
    SandboxLost,
    SandboxPolicy,
    SandboxUnavailable,
)
from agentkit_tools.code.report import describe

MAX_SECONDS: Final = 600
CUT_OFF: Final = (
    "(The call before this one was cut off with its sandbox: variables and files from before it "
    "are gone.)"
)
DEFAULT_POLICY: Final = SandboxPolicy()


class CodeInterpreter:
    """Python in a hardened container without a network, one for each run.

    Where no container can be had, the tool says so to the model and nothing is run: there is no
    way around the sandbox.

    Args:
        policy: what a sandbox may use.
        backend: where sandboxes come from; by default the Docker daemon that DOCKER_HOST names.
        prewarm: start the sandbox in the background when a run opens, while the model thinks;
            False starts it at the first call.
        max_characters: how much of one result the model reads; long output keeps its head and
            tail.
    """

    def __init__(
        self,
        *,
        policy: SandboxPolicy = DEFAULT_POLICY,
        backend: Backend | None = None,
        prewarm: bool = True,
        max_characters: int = 16_000,
    ) -> None:
        self._policy = policy
        self._backend = backend
        self._prewarm = prewarm
        self._max_characters = max_characters

    def open(self) -> AbstractAsyncContextManager[Sequence[Tool]]:
        """Return a context manager that yields `execute_code`, with a session of its own."""
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[Sequence[Tool]]:
        # A back end for each run, because it belongs to the event loop it was used in.
        backend = self._backend or DockerBackend()
        session = CodeSession(backend, self._policy, self._max_characters)
        try:
            if self._prewarm:
                session.begin()
            yield [session.execute_code]
        finally:
            await session.close()


class CodeSession:
    """The state of one run: at most one live sandbox, replaced when it is lost."""

    def __init__(self, backend: Backend, policy: SandboxPolicy, max_characters: int) -> None:
        self._backend = backend
        self._policy = policy
        self._max_characters = max_characters
        self._starting: asyncio.Task[Sandbox] | None = None
        self._cut_off = False  # the last call was cancelled, and its sandbox is gone

    def begin(self) -> asyncio.Task[Sandbox]:
        """Start a sandbox in the background unless one is there; `close` ends it."""
        task = self._starting
        failed = task is not None and task.done() and (task.cancelled() or task.exception())
        if task is None or failed:
            task = self._starting = asyncio.create_task(
                self._backend.start(self._policy), name="start sandbox"
            )
        return task

    async def close(self) -> None:
        """End the sandbox, also one that is still starting."""
        task, self._starting = self._starting, None
        if task is None:
            return
        task.cancel()  # a cancelled start removes its container before it returns
        await asyncio.wait([task])
        if not task.cancelled() and task.exception() is None:
            await task.result().close()

    @tool(timeout=MAX_SECONDS + 120)
    async def execute_code(  # noqa: D417 (context is filled in, the model does not see it)
        self,
        code: str,
        timeout: Annotated[float, Field(gt=0, le=MAX_SECONDS)] = 30,  # noqa: ASYNC109 (the sandbox keeps output and state)
        *,
        context: ToolContext,
    ) -> ToolResult:
        """Run Python code in an isolated sandbox and return what it printed.

        Variables, imports and files stay from call to call, as in a notebook. The value of the
        last expression comes back. numpy, pandas and matplotlib are there; the network is not.
        Open matplotlib figures and files saved in the current directory are handed to the user.

        Args:
            code: Python source text. Print what you want to read.
            timeout: Seconds until the code is interrupted.
        """
        try:
            sandbox = await self._ready(context)
        except (SandboxUnavailable, PolicyNotInForce, SandboxLost) as error:
            return ToolResult(
                f"{error}\nNothing was run, and another try will not help now. Go on without "
                "code: for example give a table instead of a chart, and say that code could not "
                "be run.",
                ok=False,
            )
        try:
            result = await sandbox.execute(code, timeout, on_output=_progress(context))
        except ValueError as error:  # a program above the cap
            return ToolResult(str(error), ok=False)
        except asyncio.CancelledError:
            self._starting, self._cut_off = None, True
            await sandbox.close()
            raise
        except SandboxLost as error:
            self._starting = None
            return ToolResult(
                f"{error}\nAll variables and files of the session are gone. The next call gets a "
                "fresh sandbox: run what you need again, with less memory or output.",
                ok=False,
            )
        artifacts = tuple(
            Artifact(file.name, file.media_type, file.data) for file in result.artifacts
        )
        text = describe(result, timeout, self._max_characters)
        if self._cut_off:
            self._cut_off = False
            text = f"{CUT_OFF}\n{text}"
        return ToolResult(text, artifacts, ok=result.status == "ok")

    async def _ready(self, context: ToolContext) -> Sandbox:
        task = self.begin()
        if not task.done():
            context.progress("starting the sandbox")
        # Shielded: a call that is cancelled does not undo the start for the next one.
        return await asyncio.shield(task)


def _progress(context: ToolContext) -> Callable[[str], None]:
    """Return a listener that tells the last line of each piece of output."""

    def tell(piece: str) -> None:
        lines = piece.strip().splitlines()
        if lines:
            context.progress(lines[-1][:200])

    return tell
