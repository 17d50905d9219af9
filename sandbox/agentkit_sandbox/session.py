"""The host's side of one live sandbox: sends programs, collects results, trusts nothing.

It knows no Docker: any back end that offers a `Channel` to a supervisor can use it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, cast

from agentkit_sandbox.base import (
    ExecResult,
    File,
    FileRefused,
    Listing,
    SandboxLost,
    SandboxPolicy,
)
from agentkit_sandbox.channel import MAX_CODE, SLACK, Channel, Ending, check_timeout
from agentkit_sandbox.collect import Artifacts, Collected, expect, listing, require, string
from agentkit_sandbox.names import plain_path
from agentkit_sandbox.policy import MIB
from agentkit_sandbox.protocol import MAX_PIECE, Frame, FrameBuffer, ProtocolFault, encode

MAX_COMMAND: Final = 100_000  # bytes; Linux takes at most 128 KiB as one argument
SLOWEST: Final = 1.0 * MIB  # bytes a second that a file needs at least on its way


class Session:
    """A live sandbox over a channel. See `agentkit_sandbox.base.Sandbox`.

    Attributes:
        name: name of the sandbox, for logs and `agentkit sandbox status`.
        facts: limits as the supervisor found them in force.
        python: version of the Python inside.
    """

    def __init__(self, channel: Channel, policy: SandboxPolicy, name: str) -> None:
        self.name = name
        self.facts: Mapping[str, Any] = {}
        self.python = ""
        self._channel = channel
        self._policy = policy
        self._buffer = FrameBuffer()
        self._lock = asyncio.Lock()
        self._ending = Ending(channel)
        self._nonce = ""

    @property
    def closed(self) -> bool:
        """Whether the session has ended."""
        return self._ending.has_begun

    async def greet(self) -> None:
        """Wait for the supervisor to be ready.

        Raises:
            SandboxLost: it ended, or was not ready in time.
        """
        policy = self._policy
        caps = [policy.artifact_mb * MIB, policy.artifacts, policy.artifacts_mb * MIB]
        header = {"op": "hello", "artifacts": caps, "output": policy.output_kb * 1024}
        header |= {"preload": list(policy.preload), "idle": policy.idle_seconds}
        header |= {"network": bool(policy.allowlist) or policy.network == "open"}
        async with self._conversation(policy.start_seconds, "did not start"):
            await self._request(header)
            async for frame in self._frames():
                expect(frame, "ready")
                facts = frame.header.get("facts")
                if not isinstance(facts, dict):
                    raise ProtocolFault("it sent a ready frame without facts")
                self.facts = cast("dict[str, Any]", facts)
                self.python = string(frame.header, "python") or ""
                return

    async def execute(
        self,
        code: str,
        timeout: float = 30.0,  # noqa: ASYNC109 (enforced inside, where output and state survive)
        *,
        on_output: Callable[[str], None] | None = None,
    ) -> ExecResult:
        """Run a Python program; variables stay from call to call.

        Args:
            code: the program, at most 4 MiB.
            timeout: seconds, at most 3600; then it is interrupted, and killed a second later.
            on_output: called with each piece of output as it arrives.

        Raises:
            SandboxLost: the session is of no more use.
            ValueError: the program is too long, or the timeout is out of range.
        """
        body = code.encode("utf-8", "replace")
        if len(body) > MAX_CODE:
            raise ValueError(
                f"The program has {len(body)} bytes; at most {MAX_CODE} are allowed. Put data "
                "into a file instead."
            )
        return await self._call("exec", body, timeout, on_output)

    async def shell(
        self,
        command: str,
        timeout: float = 30.0,  # noqa: ASYNC109 (as above)
        *,
        on_output: Callable[[str], None] | None = None,
    ) -> ExecResult:
        """Run a shell command in the workspace; files stay from call to call, nothing else does.

        Args:
            command: text for `bash -c`, or `sh -c` where there is no bash; at most 100,000 bytes.
            timeout: seconds, at most 3600; then it is interrupted, and killed a second later.
            on_output: called with each piece of output as it arrives.

        Raises:
            SandboxLost: the session is of no more use.
            ValueError: the command is too long or holds a zero byte, or the timeout is out of
                range.
        """
        body = command.encode("utf-8", "replace")
        if len(body) > MAX_COMMAND:
            raise ValueError(
                f"The command has {len(body)} bytes; at most {MAX_COMMAND} are allowed. Put it "
                "into a file and run that."
            )
        if b"\0" in body:
            raise ValueError("The command holds a zero byte, which no shell can read.")
        return await self._call("shell", body, timeout, on_output)

    async def _call(
        self,
        operation: str,
        body: bytes,
        timeout: float,  # noqa: ASYNC109 (as above)
        on_output: Callable[[str], None] | None,
    ) -> ExecResult:
        check_timeout(timeout)
        collected = Collected(self._policy, on_output)
        async with self._lock, self._conversation(timeout + SLACK, "did not answer in time"):
            await self._request({"op": operation, "timeout": timeout}, body)
            async for frame in self._frames():
                if (result := collected.take(frame)) is not None:
                    return result
        raise AssertionError("frames end by a result or an error")

    async def put(self, name: str, data: bytes) -> None:
        """Put a file into the workspace; one of the same name is replaced.

        Args:
            name: path below the workspace, such as "data/sales.csv"; folders are made.
            data: the bytes, at most `workspace_mb` of the policy.

        Raises:
            FileRefused: it could not be written; the text says why.
            SandboxLost: the session is of no more use.
            ValueError: the name is no plain relative path, or there is too much data.
        """
        header = {"op": "put", "name": plain_path(name)}
        if len(data) > self._policy.workspace_mb * MIB:
            raise ValueError(
                f"{name!r} has {len(data)} bytes; the workspace has room for "
                f"{self._policy.workspace_mb} MiB (SandboxPolicy.workspace_mb)."
            )
        seconds = SLACK + len(data) / SLOWEST
        async with self._lock, self._conversation(seconds, "did not take a file in time"):
            pieces = range(0, max(1, len(data)), MAX_PIECE)
            with memoryview(data) as view:
                for start in pieces:
                    piece = bytes(view[start : start + MAX_PIECE])
                    more = start != pieces[-1]
                    await self._request(header | {"more": more}, piece, fresh=start == 0)
            reason = await self._reason("put")
        if reason:
            raise FileRefused(f"{name!r} could not be put into the sandbox: {reason:.200}.")

    async def get(self, name: str) -> File:
        """Take a copy of a file out of the workspace.

        Args:
            name: path below the workspace, such as "out/chart.png".

        Raises:
            FileRefused: there is no such regular file, or it is larger than `artifact_mb`.
            SandboxLost: the session is of no more use.
            ValueError: the name is no plain relative path.
        """
        most = self._policy.artifact_mb * MIB
        header = {"op": "get", "name": plain_path(name), "most": most}
        artifacts = Artifacts(self._policy)
        seconds = SLACK + most / SLOWEST
        async with self._lock, self._conversation(seconds, "did not send a file in time"):
            await self._request(header)
            reason = await self._reason("get", artifacts)
            require(bool(reason) or len(artifacts.files) == 1, "no file and no reason")
        if reason:
            raise FileRefused(f"{name!r} could not be taken from the sandbox: {reason:.200}.")
        return artifacts.files[0]

    async def list(self) -> Listing:
        """Return the regular files of the workspace, those in folders included.

        Raises:
            SandboxLost: the session is of no more use.
        """
        async with self._lock, self._conversation(SLACK, "did not answer in time"):
            await self._request({"op": "list"})
            async for frame in self._frames():
                expect(frame, "list")
                return listing(frame)
        raise AssertionError("frames end by an answer or an error")

    async def interrupt(self) -> None:
        """Stop the program that is running, as its timeout would; `execute` then returns."""
        if self._nonce and not self.closed:
            await self._channel.send(encode({"op": "cancel", "nonce": self._nonce}))

    async def reset(self) -> None:
        """Replace the kernel by a fresh one: variables are gone, files stay.

        Raises:
            SandboxLost: the session is of no more use.
        """
        async with self._lock, self._conversation(SLACK, "did not answer in time"):
            await self._request({"op": "reset"})
            async for frame in self._frames():
                expect(frame, "reset")
                return

    async def ping(self) -> bool:
        """Say whether the sandbox still answers; one that does not is removed."""
        try:
            async with self._lock, self._conversation(SLACK, "did not answer in time"):
                await self._request({"op": "ping"})
                async for frame in self._frames():
                    expect(frame, "pong")
                    return True
        except SandboxLost:
            pass
        return False

    async def close(self) -> None:
        """End the session and remove its container. May be called twice."""
        await self._ending.end()

    async def _request(
        self, header: dict[str, Any], body: bytes = b"", *, fresh: bool = True
    ) -> None:
        if fresh:
            self._nonce = secrets.token_hex(8)
        await self._channel.send(encode(header | {"nonce": self._nonce}, body))

    async def _frames(self) -> AsyncIterator[Frame]:
        while data := await self._channel.receive():
            for frame in self._buffer.feed(data):
                require(frame.header.get("nonce") == self._nonce, "a frame of another call")
                yield frame
        raise EOFError

    async def _reason(self, operation: str, artifacts: Artifacts | None = None) -> str:
        """Return why the supervisor could not do it, or "", and collect files on the way."""
        async for frame in self._frames():
            if artifacts is not None and frame.header.get("op") == "artifact":
                artifacts.take(frame)
                continue
            expect(frame, operation)
            return string(frame.header, "reason") or ""
        raise AssertionError("frames end by an answer or an error")

    @asynccontextmanager
    async def _conversation(self, seconds: float, missed: str) -> AsyncGenerator[None]:
        """Hold one exchange; whatever breaks it, cancellation included, ends the sandbox."""
        if self.closed:
            raise SandboxLost(f"The sandbox {self.name} has ended.")
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            await self._ending.end()
            raise SandboxLost(f"The sandbox {missed} ({seconds:g} s) and was removed.") from None
        except (ProtocolFault, EOFError, OSError) as error:
            words = await self._ending.end()
            reason = str(error) if isinstance(error, ProtocolFault) else "it ended"
            raise SandboxLost(f"The sandbox was lost: {reason}. {words}".strip()) from error
        except BaseException:
            await self._ending.end()
            raise
        finally:
            self._nonce = ""
