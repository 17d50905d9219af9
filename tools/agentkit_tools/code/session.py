"""The state of one run: at most one live sandbox, replaced when it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Final

from pydantic import Field

from agentkit.tool import Artifact, ToolContext, ToolResult, tool
from agentkit_sandbox import (
    Backend,
    ExecResult,
    PolicyNotInForce,
    Sandbox,
    SandboxLost,
    SandboxPolicy,
    SandboxUnavailable,
)
from agentkit_tools.code.inputs import Inputs
from agentkit_tools.code.report import describe

MAX_SECONDS: Final = 600
WAIT_SECONDS: Final = 900  # beside the program: for a start, an image with packages, a free place
MAX_CHARACTERS: Final = 16_000
CUT_OFF: Final = (
    "(The call before this one was cut off with its sandbox: variables and files from before it "
    "are gone.)"
)
NO_FILES: Final[list[str]] = []

Seconds = Annotated[float, Field(gt=0, le=MAX_SECONDS)]
Listener = Callable[[str], None]
Work = Callable[[Sandbox, Listener], Awaitable[ExecResult]]


class CodeSession:
    """Runs the programs of one run in one sandbox after the other.

    Args:
        backend: where sandboxes come from.
        policy: what one may use.
        inputs: files that may be put into it.
    """

    def __init__(self, backend: Backend, policy: SandboxPolicy, inputs: Inputs) -> None:
        self._backend = backend
        self._policy = policy
        self._inputs = inputs
        self._starting: asyncio.Task[Sandbox] | None = None
        self._cut_off = False  # the last call was cancelled, and its sandbox is gone
        self._reason = "starting the sandbox"
        self._listener: Listener | None = None

    def begin(self) -> asyncio.Task[Sandbox]:
        """Start a sandbox in the background unless one is there; `close` ends it."""
        task = self._starting
        failed = task is not None and task.done() and (task.cancelled() or task.exception())
        if task is None or failed:
            self._reason = "starting the sandbox"
            task = self._starting = asyncio.create_task(
                self._backend.start(self._policy, self._waits), name="start sandbox"
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

    @tool(timeout=MAX_SECONDS + WAIT_SECONDS)
    async def execute_code(  # noqa: D417 (context is filled in, the model does not see it)
        self,
        code: str,
        timeout: Seconds = 30,  # noqa: ASYNC109 (the sandbox keeps output and state)
        files: list[str] = NO_FILES,
        *,
        context: ToolContext,
    ) -> ToolResult:
        """Run Python code in an isolated sandbox and return what it printed.

        Variables, imports and files stay from call to call, as in a notebook. The value of the
        last expression comes back. Open matplotlib figures and files saved in the current
        directory are handed to the user.

        Args:
            code: Python source text. Print what you want to read.
            timeout: Seconds until the code is interrupted.
            files: What to put into the current directory before: names of files from earlier
                calls (needed only after a sandbox was lost or from other tools), or handles of
                large results, such as "3f2a91bc44de", which are the names of their files then.
        """
        return await self._run(
            lambda sandbox, tell: sandbox.execute(code, timeout, on_output=tell),
            files,
            timeout,
            context,
        )

    @tool(timeout=MAX_SECONDS + WAIT_SECONDS)
    async def run_shell(  # noqa: D417 (as above)
        self,
        command: str,
        timeout: Seconds = 30,  # noqa: ASYNC109 (as above)
        files: list[str] = NO_FILES,
        *,
        context: ToolContext,
    ) -> ToolResult:
        """Run a shell command in the sandbox of execute_code, in the same current directory.

        Files stay from call to call; the shell's variables, its directory and what it leaves
        running do not. Files saved in the current directory are handed to the user.

        Args:
            command: Text for `sh -c`, or `bash -c` where there is one.
            timeout: Seconds until the command is stopped.
            files: As in execute_code.
        """
        return await self._run(
            lambda sandbox, tell: sandbox.shell(command, timeout, on_output=tell),
            files,
            timeout,
            context,
        )

    async def _run(
        self,
        work: Work,
        files: list[str],
        timeout: float,  # noqa: ASYNC109 (told to the model)
        context: ToolContext,
    ) -> ToolResult:
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
            await self._inputs.put(sandbox, files, context)
            result = await work(sandbox, _progress(context))
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
        finally:
            self._listener = None
        return self._told(result, timeout)

    def _told(self, result: ExecResult, timeout: float) -> ToolResult:
        artifacts = tuple(
            Artifact(file.name, file.media_type, file.data) for file in result.artifacts
        )
        text = describe(result, timeout, MAX_CHARACTERS)
        if self._cut_off:
            self._cut_off = False
            text = f"{CUT_OFF}\n{text}"
        return ToolResult(text, artifacts, ok=result.status == "ok")

    async def _ready(self, context: ToolContext) -> Sandbox:
        task = self.begin()
        self._listener = context.progress  # also while it runs: a pool may make it wait
        if not task.done():
            context.progress(self._reason)
        # Shielded: a call that is cancelled does not undo the start for the next one.
        return await asyncio.shield(task)

    def _waits(self, reason: str) -> None:
        self._reason = reason
        if self._listener is not None:
            self._listener(reason)


def _progress(context: ToolContext) -> Listener:
    """Return a listener that tells the last line of each piece of output."""

    def tell(piece: str) -> None:
        lines = piece.strip().splitlines()
        if lines:
            context.progress(lines[-1][:200])

    return tell
