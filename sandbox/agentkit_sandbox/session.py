"""The host's side of one live sandbox: sends programs, collects results, trusts nothing.

It knows no Docker: any back end that offers a `Channel` to a supervisor can use it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol, cast, get_args

from agentkit_sandbox.base import (
    ExecResult,
    File,
    SandboxLost,
    SandboxPolicy,
    Status,
)
from agentkit_sandbox.names import media_type, safe_name, unique
from agentkit_sandbox.policy import MIB
from agentkit_sandbox.protocol import Frame, FrameBuffer, ProtocolFault, encode

MAX_CODE: Final = 4 * MIB
MAX_TIMEOUT: Final = 3600.0
SLACK: Final = 15.0  # seconds beyond a call's own deadline and grace; then the sandbox is removed
TAIL: Final = 64 * 1024


class Channel(Protocol):
    """A two-way stream of bytes to a supervisor."""

    async def send(self, data: bytes) -> None:
        """Send bytes; raises OSError when the other side is gone."""
        ...

    async def receive(self) -> bytes:
        """Return some bytes, or b"" when the other side is gone."""
        ...

    async def close(self) -> str:
        """Remove the sandbox, within bounded time; return the supervisor's last words."""
        ...


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
        self._closing: asyncio.Task[str] | None = None
        self._nonce = ""

    @property
    def closed(self) -> bool:
        """Whether the session has ended."""
        return self._closing is not None

    async def greet(self) -> None:
        """Wait for the supervisor to be ready.

        Raises:
            SandboxLost: it ended, or was not ready in time.
        """
        policy = self._policy
        caps = [policy.artifact_mb * MIB, policy.artifacts, policy.artifacts_mb * MIB]
        header = {"op": "hello", "artifacts": caps, "output": policy.output_kb * 1024}
        header |= {"preload": list(policy.preload), "idle": policy.idle_seconds}
        async with self._conversation(policy.start_seconds, "did not start"):
            await self._request(header)
            async for frame in self._frames():
                _expect(frame, "ready")
                facts = frame.header.get("facts")
                if not isinstance(facts, dict):
                    raise ProtocolFault("it sent a ready frame without facts")
                self.facts = cast("dict[str, Any]", facts)
                self.python = _string(frame.header, "python") or ""
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
            raise ValueError(f"The program has {len(body)} bytes; at most {MAX_CODE} are allowed.")
        if not 0 < timeout <= MAX_TIMEOUT:
            raise ValueError(
                f"timeout is {timeout!r}; give seconds above 0, up to {MAX_TIMEOUT:g}."
            )
        collected = _Collected(self._policy, on_output)
        async with self._lock, self._conversation(timeout + SLACK, "did not answer in time"):
            await self._request({"op": "exec", "timeout": timeout}, body)
            async for frame in self._frames():
                if (result := collected.take(frame)) is not None:
                    return result
        raise AssertionError("frames end by a result or an error")

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
                _expect(frame, "reset")
                return

    async def ping(self) -> bool:
        """Say whether the sandbox still answers; one that does not is removed."""
        try:
            async with self._lock, self._conversation(SLACK, "did not answer in time"):
                await self._request({"op": "ping"})
                async for frame in self._frames():
                    _expect(frame, "pong")
                    return True
        except SandboxLost:
            pass
        return False

    async def close(self) -> None:
        """End the session and remove its container. May be called twice."""
        await self._end()

    async def _end(self) -> str:
        if self._closing is None:
            self._closing = asyncio.create_task(self._channel.close())
        # Shielded: whoever is cancelled while it waits, the removal goes on, and it is bounded.
        try:
            return await asyncio.shield(self._closing)
        except asyncio.CancelledError:
            await asyncio.wait([self._closing])
            raise

    async def _request(self, header: dict[str, Any], body: bytes = b"") -> None:
        self._nonce = secrets.token_hex(8)
        await self._channel.send(encode(header | {"nonce": self._nonce}, body))

    async def _frames(self) -> AsyncIterator[Frame]:
        while data := await self._channel.receive():
            for frame in self._buffer.feed(data):
                _require(frame.header.get("nonce") == self._nonce, "a frame of another call")
                yield frame
        raise EOFError

    @asynccontextmanager
    async def _conversation(self, seconds: float, missed: str) -> AsyncGenerator[None]:
        """Hold one exchange; whatever breaks it, cancellation included, ends the sandbox."""
        if self.closed:
            raise SandboxLost(f"The sandbox {self.name} has ended.")
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            await self._end()
            raise SandboxLost(f"The sandbox {missed} ({seconds:g} s) and was removed.") from None
        except (ProtocolFault, EOFError, OSError) as error:
            words = await self._end()
            reason = str(error) if isinstance(error, ProtocolFault) else "it ended"
            raise SandboxLost(f"The sandbox was lost: {reason}. {words}".strip()) from error
        except BaseException:
            await self._end()
            raise
        finally:
            self._nonce = ""


class _Collected:
    """Puts the frames of one call together, with the host's own caps."""

    def __init__(self, policy: SandboxPolicy, on_output: Callable[[str], None] | None) -> None:
        self._policy = policy
        self._on_output = on_output
        self._cap = policy.output_kb * 1024 + TAIL
        self._streams = {"stdout": bytearray(), "stderr": bytearray()}
        self._files: list[File] = []
        self._bytes = 0

    def take(self, frame: Frame) -> ExecResult | None:
        """Add one frame; return the result when it was the last."""
        match frame.header.get("op"):
            case "output":
                self._output(frame)
            case "artifact":
                self._artifact(frame)
            case "done":
                return self._result(frame.header)
            case other:
                raise ProtocolFault(f"an unknown frame {other!r:.40}")
        return None

    def _output(self, frame: Frame) -> None:
        stream = self._streams.get(_string(frame.header, "stream") or "")
        if stream is None:
            raise ProtocolFault("output of an unknown stream")
        missing = frame.header.get("missing", 0)
        if isinstance(missing, int) and missing > 0:
            stream += f"\n… {missing} bytes left out …\n".encode()
        stream += frame.body
        _require(len(stream) <= self._cap + 200, "more output than its cap")
        if self._on_output is not None:
            self._on_output(frame.body.decode("utf-8", "replace"))

    def _artifact(self, frame: Frame) -> None:
        policy = self._policy
        self._bytes += len(frame.body)
        _require(len(frame.body) <= policy.artifact_mb * MIB, "a file above the cap of its size")
        _require(len(self._files) < policy.artifacts, "more files than their cap")
        _require(self._bytes <= policy.artifacts_mb * MIB, "files above the cap of their sum")
        name = safe_name(_string(frame.header, "name") or "")
        name = unique(name, {file.name for file in self._files})
        self._files.append(File(name, media_type(name, frame.body), frame.body))

    def _result(self, header: Mapping[str, Any]) -> ExecResult:
        status: Any = header.get("status")
        _require(status in get_args(Status), "an unknown status")
        seconds = header.get("seconds")
        return ExecResult(
            status=status,
            stdout=self._streams["stdout"].decode("utf-8", "replace"),
            stderr=self._streams["stderr"].decode("utf-8", "replace"),
            value=_string(header, "value"),
            error=_string(header, "error"),
            detail=_string(header, "detail") or "",
            state_lost=header.get("state_lost") is True,
            artifacts=tuple(self._files),
            skipped=_pairs(header.get("skipped")),
            seconds=float(seconds) if isinstance(seconds, (int, float)) else 0.0,
        )


def _require(condition: bool, what: str) -> None:  # noqa: FBT001 (reads like assert)
    if not condition:
        raise ProtocolFault(f"it sent {what}")


def _expect(frame: Frame, operation: str) -> None:
    _require(frame.header.get("op") == operation, f"no {operation} frame")


def _string(header: Mapping[str, Any], key: str) -> str | None:
    value = header.get(key)
    return value if isinstance(value, str) else None


def _pairs(value: Any) -> tuple[tuple[str, str], ...]:
    pairs: list[tuple[str, str]] = []
    listed = cast("list[Any]", value) if isinstance(value, list) else []
    for pair in listed[:50]:
        match pair:
            case [str(name), str(reason)]:
                pairs.append((safe_name(name), reason[:200]))
            case _:
                raise ProtocolFault("a skipped file without name and reason")
    return tuple(pairs)
