"""The forked process that runs user code: one namespace, kept from call to call.

It is not trusted once user code has run in it: it holds no descriptor but its own pipes, and the
supervisor checks and caps whatever it says.
"""

from __future__ import annotations

import ast
import io
import linecache
import os
import random
import signal
import sys
import types
from contextlib import suppress
from types import CodeType, FrameType
from typing import Any, Final, Literal, NoReturn

from agentkit_sandbox.protocol import Frame, FrameBuffer, encode
from agentkit_sandbox.runner import confine, figures, trace

MAX_VALUE: Final = 20_000
CHANNEL, STDIN, STDOUT, STDERR = 3, 0, 1, 2
KEPT_STDOUT, KEPT_STDERR = 4, 5
FIRST_FOREIGN: Final = 6
WORKSPACE: Final = "/workspace"

Status = Literal["ok", "error", "interrupted"]


class Console(io.TextIOWrapper):
    """Standard output or error: written through by line, so that a kill loses no whole line."""

    def __init__(self, descriptor: int) -> None:
        raw = os.fdopen(descriptor, "wb", closefd=False)
        super().__init__(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)


def start(internet: bool, channel: int, stdout: int, stderr: int) -> NoReturn:  # noqa: FBT001 (by partial)
    """Become the kernel in a process that was just forked; never returns.

    Args:
        internet: whether it may have sockets of the internet's families.
        channel: socket to the supervisor.
        stdout: pipe for what the program prints.
        stderr: pipe for what it complains about.
    """
    try:
        _confine(channel, stdout, stderr, internet=internet)
        Kernel().serve()
    except BaseException as error:  # noqa: BLE001 (nothing may return into the supervisor's code)
        with suppress(BaseException):
            os.write(STDERR, f"kernel: {error!r}\n".encode())
    finally:
        os._exit(97)


def _confine(channel: int, stdout: int, stderr: int, *, internet: bool) -> None:
    # SIGXFSZ and SIGPIPE stay ignored, as Python sets them: a limit then raises OSError here.
    confine.leave_supervisor()
    high = [os.dup(fd) for fd in (channel, stdout, stderr)]  # out of the way of the targets
    high = [_above(fd) for fd in high]
    os.dup2(high[0], CHANNEL, inheritable=False)
    for source, target, kept in ((high[1], STDOUT, KEPT_STDOUT), (high[2], STDERR, KEPT_STDERR)):
        os.dup2(source, target)
        os.dup2(source, kept, inheritable=False)
    os.closerange(FIRST_FOREIGN, os.sysconf("SC_OPEN_MAX"))
    confine.lock(internet=internet)  # only now that the control descriptors are closed


def _above(descriptor: int) -> int:
    """Return a duplicate whose number is above all the fixed ones."""
    passed: list[int] = []
    while descriptor < FIRST_FOREIGN:
        passed.append(descriptor)
        descriptor = os.dup(descriptor)
    for number in passed:
        os.close(number)
    return descriptor


class Kernel:
    """Runs one program after the other in the same namespace."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._running = False
        self._interrupted = False
        self._files: dict[str, str] = {}
        self._stdout, self._stderr = Console(STDOUT), Console(STDERR)
        self._stdin = io.TextIOWrapper(os.fdopen(STDIN, "rb", closefd=False), encoding="utf-8")
        module = types.ModuleType("__main__")
        sys.modules["__main__"] = module
        self._names: dict[str, Any] = module.__dict__
        sys.argv = [""]
        sys.path.append(WORKSPACE)  # last, so that a file there shadows no library
        os.chdir(WORKSPACE)
        signal.signal(signal.SIGINT, self._on_interrupt)
        random.seed()
        if (numpy := sys.modules.get("numpy")) is not None:
            numpy.random.seed()  # else each fresh kernel would repeat the same numbers

    def _on_interrupt(self, _number: int, _frame: FrameType | None) -> None:
        # Only the first counts: a program that tidies up in `finally` is not hit again.
        if self._running and not self._interrupted:
            self._interrupted = True
            raise KeyboardInterrupt

    def serve(self) -> None:
        """Answer requests until the supervisor closes the channel."""
        buffer = FrameBuffer()
        self._send({"op": "up"})
        while data := os.read(CHANNEL, 1 << 16):
            for frame in buffer.feed(data):
                self._send(self._answer(frame))

    def _send(self, header: dict[str, Any]) -> None:
        data = memoryview(encode(header))
        while data:
            data = data[os.write(CHANNEL, data) :]

    def _answer(self, frame: Frame) -> dict[str, Any]:
        call = int(frame.header["call"])
        self._restore()
        status, value, error = self._run(frame.body, call)
        if os.getpid() != self._pid:
            os._exit(0)  # a child of fork() that came back out of the program is no second kernel
        self._restore()
        answer = {"op": "result", "token": frame.header["token"], "status": status}
        return answer | {"value": value, "error": error}

    def _restore(self) -> None:
        """Undo what a program did to the process's streams and settings."""
        for kept, target in ((KEPT_STDOUT, STDOUT), (KEPT_STDERR, STDERR)):
            with suppress(OSError):
                os.dup2(kept, target)
        sys.stdout, sys.stderr, sys.stdin = self._stdout, self._stderr, self._stdin
        trace.forget_recursion()
        signal.signal(signal.SIGINT, self._on_interrupt)
        with suppress(OSError):
            os.chdir(WORKSPACE)

    def _run(self, body: bytes, call: int) -> tuple[Status, str | None, str | None]:
        name = f"<call {call}>"
        value: str | None = None
        self._interrupted = False
        try:
            self._running = True
            source = body.decode("utf-8", "replace")
            self._files[name] = source
            linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
            value = self._execute(source, name)
            figures.save_open(call, keep=True)
        except BaseException as error:  # noqa: BLE001 (the program may raise anything at all)
            return self._explain(error, call, value)
        finally:
            self._running = False
            self._flush()
        return "ok", value, None

    def _explain(
        self, error: BaseException, call: int, value: str | None
    ) -> tuple[Status, str | None, str | None]:
        interrupted = self._interrupted and isinstance(error, KeyboardInterrupt)
        left = isinstance(error, SystemExit) and error.code in (None, 0)
        try:
            figures.save_open(call, keep=not interrupted)
            if left:
                return "ok", value, None
            text = trace.describe(error, self._files)
        except BaseException as second:  # noqa: BLE001 (describing runs the program's own code)
            text = f"{type(error).__name__} (and {type(second).__name__} while it was described)"
        return ("interrupted" if interrupted else "error"), value, text

    def _execute(self, source: str, name: str) -> str | None:
        tree = ast.parse(source, name)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        # dont_inherit: this file's own __future__ import must not leak into the program.
        exec(compile(tree, name, "exec", dont_inherit=True), self._names)  # noqa: S102 (its job)
        if last is None:
            return None
        assert isinstance(last, ast.Expr)
        code: CodeType = compile(ast.Expression(last.value), name, "eval", dont_inherit=True)
        value = eval(code, self._names)  # noqa: S307 (its job)
        if value is None:
            return None
        self._names["_"] = value
        return trace.show_value(value, MAX_VALUE)

    def _flush(self) -> None:
        for stream in (sys.stdout, sys.stderr, self._stdout, self._stderr):
            with suppress(BaseException):
                stream.flush()
