"""A sandbox of an image without Python: each program is a process, only files stay.

PID 1 is the image's shell. It ends with its input, as the supervisor does; each line that it gets
makes it kill all other processes, and is echoed when they are gone. Programs run by the daemon's
`exec`, under the same limits. What the supervisor gives beyond that is missing here: no variables
between calls, no second seccomp filter on top of Docker's, some 100 ms more for each call.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar

from agentkit_sandbox.attach import AttachedChannel, Demultiplexer
from agentkit_sandbox.base import (
    ExecResult,
    File,
    FileEntry,
    FileRefused,
    Listing,
    SandboxLost,
    SandboxPolicy,
)
from agentkit_sandbox.channel import MAX_CODE, SLACK, Ending, check_timeout
from agentkit_sandbox.daemon import hang_up, in_thread
from agentkit_sandbox.names import media_type, plain_path, safe_name, unique
from agentkit_sandbox.policy import MIB, Runner

if TYPE_CHECKING:
    from agentkit_sandbox.daemon import Engine

# `read` fails at the end of the input, and in some shells whenever a process that was left to PID 1
# dies, which the shell then collects: only the end fails a hundred thousand times in a row.
PID_1: Final = """\
n=0
while [ $n -lt 100000 ]; do
  if read -r word; then n=0; kill -9 -1 2>/dev/null; echo "$word"; else n=$((n+1)); fi
done"""
# All that was announced is read, also when it cannot be written: nobody then waits for the other.
_TAKE: Final = 'head -c "$2" | { cat > "$1"; code=$?; cat > /dev/null; (exit $code); }'
_STORE: Final = f"rm -f /tmp/program-*; {_TAKE}"
_RUN: Final = 'cd /workspace && : > /tmp/.before && exec "$@"'
# Prints for each changed file its size and name, and its bytes where it is not too large.
_FILES: Final = r"""
cd /workspace || exit
for f in *; do
  if [ -f "$f" ] && [ ! -L "$f" ] && ! [ /tmp/.before -nt "$f" ]; then
    s=$(wc -c < "$f") && s=$((s)) || continue
    if [ "$s" -gt "$1" ]; then printf '%s - %s\0' "$s" "$f"; continue; fi
    printf '%s + %s\0' "$s" "$f" && head -c "$s" < "$f"
  fi
done
"""


_PUT: Final = f"""
cd /workspace || exit; case $1 in */*) mkdir -p "${{1%/*}}" || exit;; esac
rm -f "$1" && {_TAKE} || {{ rm -f "$1"; exit 1; }}
"""
_GET: Final = """
cd /workspace || exit
[ -f "$1" ] && [ ! -L "$1" ] || { echo "there is no such regular file" >&2; exit 1; }
exec head -c "$2" < "$1"
"""
_LIST: Final = r"""
walk() {
  for f in "$1"* "$1".[!.]*; do
    if [ -L "$f" ]; then :; elif [ -d "$f" ]; then (walk "$f/"); elif [ -f "$f" ]; then
      s=$(wc -c < "$f") && printf '%s %s\0' $((s)) "$f"
    fi
  done
}
cd /workspace && walk ""
"""
MAX_LISTED: Final = 2 * MIB  # bytes of names

T = TypeVar("T")


class ScriptSession:
    """A live sandbox of an image without Python. See `agentkit_sandbox.base.Sandbox`.

    Attributes:
        name: name of the container.
    """

    def __init__(
        self, engine: Engine, channel: AttachedChannel, policy: SandboxPolicy, name: str
    ) -> None:
        self.name = name
        self._engine, self._channel, self._policy = engine, channel, policy
        self._lock = asyncio.Lock()
        self._ending = Ending(channel)

    @classmethod
    async def open(
        cls, engine: Engine, channel: AttachedChannel, policy: SandboxPolicy, name: str
    ) -> ScriptSession:
        """Wait for PID 1 to answer.

        Raises:
            SandboxLost: it does not.
        """
        session = cls(engine, channel, policy, name)
        if not await session.ping():
            raise SandboxLost("The sandbox's shell did not answer and was removed.")
        return session

    async def execute(
        self,
        code: str,
        timeout: float = 30.0,  # noqa: ASYNC109 (output survives it)
        *,
        on_output: Callable[[str], None] | None = None,
    ) -> ExecResult:
        """Run a program of the policy's language in a process of its own.

        Args:
            code: the program, at most 4 MiB, without a zero byte.
            timeout: seconds; then all its processes are killed.
            on_output: called with each piece of output as it arrives.

        Raises:
            SandboxLost: the session is of no more use.
            ValueError: the program is too long or has a zero byte.
        """
        return await self._run(self._policy.runner or Runner(), code, timeout, on_output)

    async def shell(
        self,
        command: str,
        timeout: float = 30.0,  # noqa: ASYNC109 (as above)
        *,
        on_output: Callable[[str], None] | None = None,
    ) -> ExecResult:
        """Run a shell command in the workspace by `sh`; else as `execute`."""
        return await self._run(Runner(), command, timeout, on_output)

    async def put(self, name: str, data: bytes) -> None:
        """Put a file into the workspace; one of the same name is replaced.

        Raises:
            FileRefused: it could not be written; the text says why.
            SandboxLost: the session is of no more use.
            ValueError: the name is no plain relative path.
        """
        kept = _Kept(4096)
        command = ["sh", "-c", _PUT, "sh", plain_path(name), str(len(data))]
        code = await self._guarded(4 * SLACK, self._process(command, kept, data))
        if code != 0:
            reason = kept.text(2).strip()[-200:] or "it could not be written"
            raise FileRefused(f"{name!r} could not be put into the sandbox: {reason}.")

    async def get(self, name: str) -> File:
        """Take a copy of a file out of the workspace.

        Raises:
            FileRefused: there is no such regular file, or it is larger than `artifact_mb`.
            SandboxLost: the session is of no more use.
            ValueError: the name is no plain relative path.
        """
        most = self._policy.artifact_mb * MIB
        kept = _Kept(most)
        command = ["sh", "-c", _GET, "sh", plain_path(name), str(most + 1)]
        code = await self._guarded(4 * SLACK, self._process(command, kept))
        reason = f"it is larger than {most} bytes" if kept.missing[1] else ""
        if code != 0:
            reason = kept.text(2).strip()[-200:] or "it could not be read"
        if reason:
            raise FileRefused(f"{name!r} could not be taken from the sandbox: {reason}.")
        data = bytes(kept.streams[1])
        own = safe_name(name)
        return File(own, media_type(own, data), data)

    async def list(self) -> Listing:
        """Return the regular files of the workspace, those in folders included.

        Raises:
            SandboxLost: the session is of no more use.
        """
        kept = _Kept(MAX_LISTED)
        await self._guarded(4 * SLACK, self._process(["sh", "-c", _LIST], kept))
        files: list[FileEntry] = []
        for entry in bytes(kept.streams[1]).split(b"\0")[:-1]:
            size, _, name = entry.decode("utf-8", "replace").partition(" ")
            if size.isdigit():
                files.append(FileEntry(name, int(size)))
        ordered = tuple(sorted(files, key=lambda file: file.name))
        return Listing(ordered, complete=not kept.missing[1])

    async def ping(self) -> bool:
        """Say whether the sandbox still answers; one that does not is removed."""
        async with self._lock:
            try:
                async with asyncio.timeout(SLACK):
                    await self._sweep()
            except (OSError, EOFError, TimeoutError):
                await self._ending.end()
                return False
            return True

    async def close(self) -> None:
        """End the session and remove its container. May be called twice."""
        await self._ending.end()

    async def _guarded(self, seconds: float, work: Coroutine[Any, Any, T]) -> T:
        """Do one thing at a time; whatever breaks it, cancellation included, ends the sandbox."""
        async with self._lock:
            try:
                if self._ending.has_begun:
                    raise EOFError  # noqa: TRY301 (one way to say it)
                async with asyncio.timeout(seconds):
                    return await work
            except (OSError, EOFError, TimeoutError) as error:
                why = str(error) or "it ended"
                raise SandboxLost(
                    f"The sandbox was lost: {why}. {await self._ending.end()}"
                ) from error
            except BaseException:
                await self._ending.end()
                raise
            finally:
                work.close()  # where it never began

    async def _run(
        self,
        runner: Runner,
        code: str,
        timeout: float,  # noqa: ASYNC109 (as above)
        on_output: Callable[[str], None] | None,
    ) -> ExecResult:
        data = code.encode("utf-8", "replace")
        if len(data) > MAX_CODE or b"\0" in data:
            raise ValueError(f"The program is above {MAX_CODE} bytes, or has a zero byte in it.")
        check_timeout(timeout)
        work = self._execute(runner, data, timeout, on_output)
        return await self._guarded(timeout + 4 * SLACK, work)

    async def _execute(
        self,
        runner: Runner,
        code: bytes,
        timeout: float,  # noqa: ASYNC109 (as above)
        on_output: Callable[[str], None] | None,
    ) -> ExecResult:
        path = f"/tmp/program-{secrets.token_hex(4)}{runner.suffix}"  # noqa: S108 (inside)
        store = ["sh", "-c", _STORE, "sh", path, str(len(code))]
        if await self._process(store, _Kept(0), code) != 0:
            return ExecResult("error", error="The program could not be stored: /tmp is full.")
        kept = _Kept(self._policy.output_kb * 1024, on_output)
        began, over = time.monotonic(), False
        process = asyncio.create_task(
            self._process(["sh", "-c", _RUN, "sh", *runner.command, path], kept)
        )
        try:
            done, _ = await asyncio.wait([process], timeout=timeout)
            over = not done
            await self._sweep()  # strays; after the timeout the program itself
            exit_code = await process
        finally:
            process.cancel()
        seconds = time.monotonic() - began
        artifacts, skipped = await self._changed()
        return ExecResult(
            "timeout" if over else "ok" if exit_code == 0 else "error",
            stdout=kept.text(1),
            stderr=kept.text(2),
            exit_code=None if over else exit_code,
            detail="it was killed at its timeout" if over else "",
            artifacts=artifacts,
            skipped=skipped,
            seconds=seconds,
        )

    async def _sweep(self) -> None:
        """Kill every process but PID 1, and wait until it says so."""
        word = secrets.token_hex(8).encode() + b"\n"
        await self._channel.send(word)
        heard = b""
        while not heard.endswith(word):
            data = await self._channel.receive()
            if not data:
                raise EOFError
            heard = (heard + data)[-4096:]

    async def _process(self, command: list[str], kept: _Kept, data: bytes = b"") -> int | None:
        """Run a process in the container and return its exit code.

        Its input is never closed by us, which TLS could not do for one direction alone: `data`
        goes to programs that know how much they want.
        """
        api: Any = self._engine.api
        made: dict[str, Any] = await in_thread(
            api.exec_create, self.name, command, stdin=bool(data)
        )
        path = f"/exec/{made['Id']}/start"
        body = json.dumps({"Detach": False, "Tty": False}).encode()
        reader, writer = await self._engine.hijack(path, body)
        try:
            source = Demultiplexer(reader)
            writer.write(data)
            await writer.drain()
            while (piece := await source.read())[0]:
                kept.take(*piece)
        finally:
            await hang_up(writer)
        found: dict[str, Any] = await in_thread(api.exec_inspect, made["Id"])
        code = found.get("ExitCode")
        return code if isinstance(code, int) else None

    async def _changed(self) -> tuple[tuple[File, ...], tuple[tuple[str, str], ...]]:
        """Return the files that the program made or changed, within the policy's caps."""
        policy = self._policy
        each, total = policy.artifact_mb * MIB, policy.artifacts_mb * MIB
        kept = _Kept(total + policy.workspace_inodes * 300)
        await self._process(["sh", "-c", _FILES, "sh", str(each)], kept)
        files: list[File] = []
        skipped: list[tuple[str, str]] = []
        data, sent = bytes(kept.streams[1]), 0
        while data:
            head, zero, data = data.partition(b"\0")
            fields = head.decode("utf-8", "replace").split(" ", 2)
            if not zero or len(fields) != 3 or not fields[0].isdigit():
                break  # cut at the cap: what came whole is kept
            size, name = int(fields[0]), safe_name(fields[2])
            if fields[1] != "+":
                skipped.append((name, f"larger than {each} bytes"))
                continue
            content, data = data[:size], data[size:]
            if len(files) >= policy.artifacts or sent + size > total or len(content) < size:
                skipped.append((name, "too many files, or too many bytes, in one call"))
                continue
            sent += size
            name = unique(name, {file.name for file in files})
            files.append(File(name, media_type(name, content), content))
        return tuple(files), tuple(skipped[:20])


class _Kept:
    """Output of a process: the first bytes of each stream, and how many are missing."""

    def __init__(self, cap: int, on_output: Callable[[str], None] | None = None) -> None:
        self.streams = {1: bytearray(), 2: bytearray()}
        self.missing = {1: 0, 2: 0}
        self._cap, self._on_output = cap, on_output

    def take(self, number: int, data: bytes) -> None:
        if number not in self.streams:
            return
        head = data[: self._cap - len(self.streams[number])]
        self.streams[number] += head
        self.missing[number] += len(data) - len(head)
        if head and self._on_output is not None:
            self._on_output(head.decode("utf-8", "replace"))

    def text(self, number: int) -> str:
        missing = self.missing[number]
        end = f"\n… {missing} bytes left out …\n" if missing else ""
        return self.streams[number].decode("utf-8", "replace") + end
