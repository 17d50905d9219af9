"""PID 1 of a sandbox: starts kernels, runs calls with a deadline, brings output and files out.

One thread, one loop. Its standard input and output are the channel to the host; when the input
ends, the host is gone and so is the sandbox.
"""

from __future__ import annotations

import importlib
import os
import select
import signal
import sys
import time
from contextlib import suppress
from types import FrameType
from typing import Any, Final, NoReturn

from agentkit_sandbox.protocol import Frame, FrameBuffer, ProtocolFault, encode
from agentkit_sandbox.runner import figures, files, kernel, processes, seccomp
from agentkit_sandbox.runner.call import Call
from agentkit_sandbox.runner.child import KernelProcess

GRACE: Final = 1.0  # seconds between the interrupt and the kill
REPEAT: Final = (
    0.3  # seconds between interrupts: the first is lost on os.system(), which ignores it
)
HELLO_WITHIN: Final = 60.0  # seconds; a host that died at once never says a word
UP_WITHIN: Final = 5.0  # seconds
PIECE: Final = 64 * 1024


class Supervisor:
    """The state of PID 1."""

    def __init__(self, control_in: int, control_out: int) -> None:
        self._in, self._out = control_in, control_out
        self._buffer = FrameBuffer()
        self._wake, wake = os.pipe()
        for descriptor in (self._wake, wake):
            os.set_blocking(descriptor, False)
        signal.signal(signal.SIGCHLD, _notice)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._poll = select.epoll()
        self._poll.register(self._in, select.EPOLLIN)
        self._poll.register(self._wake, select.EPOLLIN)
        self._folder = files.open_folder(kernel.WORKSPACE)
        self._caps = files.Caps(0, 0, 0)
        self._output_cap = 0
        self._idle = HELLO_WITHIN
        self._heard = time.monotonic()
        self._kernel: KernelProcess | None = None
        self._call: Call | None = None
        self._calls = 0
        self._lost = False  # the kernel died between two calls

    # the loop

    def run(self) -> NoReturn:
        """Serve the host until it goes away or stays silent for too long."""
        while True:
            for descriptor, _ in self._poll.poll(self._wait()):
                self._on_ready(descriptor)
            self._on_time()

    def _wait(self) -> float:
        now, call = time.monotonic(), self._call
        if call is None:
            return max(0.0, self._heard + self._idle - now)
        if call.over is None:
            return max(0.0, call.deadline - now)
        return max(0.0, min(call.kill_at, call.interrupt_at) - now)

    def _on_ready(self, descriptor: int) -> None:
        current = self._kernel
        if descriptor == self._in:
            self._on_host()
        elif descriptor == self._wake:
            with suppress(BlockingIOError):
                os.read(self._wake, 4096)
            self._on_death()
        elif current is not None and descriptor == current.channel:
            self._on_kernel(current)
        elif current is not None and descriptor in current.streams:
            self._on_output(current, descriptor)

    def _on_time(self) -> None:
        now, call = time.monotonic(), self._call
        if call is None:
            if now >= self._heard + self._idle:
                os._exit(0)
            return
        if call.over is None and now >= call.deadline:
            self._stop(call, "timeout")
        if call.over is not None and now >= call.kill_at:
            self._finish(call, call.over, lost=True)
        elif call.over is not None and now >= call.interrupt_at:
            call.interrupt_at = now + REPEAT
            if self._kernel is not None and self._kernel.alive:
                with suppress(OSError):  # the group, as a terminal's Ctrl-C
                    os.killpg(self._kernel.pid, signal.SIGINT)

    def _stop(self, call: Call, reason: str) -> None:
        now = time.monotonic()
        call.over, call.kill_at, call.interrupt_at = reason, now + GRACE, now

    # the host

    def _on_host(self) -> None:
        data = os.read(self._in, PIECE)
        if not data:
            os._exit(0)  # all processes of the sandbox end with PID 1
        self._heard = time.monotonic()
        for frame in self._buffer.feed(data):
            self._on_request(frame)

    def _on_request(self, frame: Frame) -> None:
        operation = frame.header.get("op")
        if operation == "hello":
            self._hello(frame.header)
        elif operation == "exec":
            self._begin(frame)
        elif operation == "cancel":
            if self._call is not None and self._call.nonce == frame.header.get("nonce"):
                self._stop(self._call, "cancelled")
        elif operation == "reset":
            self._renew()
            self._tell({"op": "reset", "nonce": frame.header.get("nonce")})
        elif operation == "ping":
            self._tell({"op": "pong", "nonce": frame.header.get("nonce")})
        else:
            raise ProtocolFault(f"Unknown operation {operation!r}.")

    def _hello(self, header: dict[str, Any]) -> None:
        self._caps = files.Caps(*(int(number) for number in header["artifacts"]))
        self._output_cap = int(header["output"])
        loaded = preload(header["preload"])
        seccomp.set_dumpable(dumpable=False)
        self._idle = float(header["idle"])
        self._renew()
        python = ".".join(str(part) for part in sys.version_info[:3])
        ready = {"op": "ready", "nonce": header["nonce"], "python": python, "preloaded": loaded}
        self._tell(ready | {"facts": processes.facts()})
        self._heard = time.monotonic()

    def _tell(self, header: dict[str, Any], body: bytes = b"") -> None:
        data = memoryview(encode(header, body))
        while data:
            data = data[os.write(self._out, data) :]

    # one call

    def _begin(self, frame: Frame) -> None:
        if self._call is not None:
            raise ProtocolFault("A call began while another was running.")
        if self._kernel is None or not self._kernel.alive:
            self._renew()
        assert self._kernel is not None
        self._calls += 1
        self._drain(self._kernel)  # what a thread printed after the last call belongs to no call
        call = self._call = Call(self._calls, frame.header, self._output_cap)
        call.before = files.snapshot(self._folder)
        call.kills_before = processes.out_of_memory_kills()
        request = {"op": "run", "call": call.number, "token": call.token}
        if not self._kernel.send(request, frame.body):
            self._finish(call, "crashed", lost=True)

    def _on_output(self, current: KernelProcess, descriptor: int) -> None:
        try:
            data = os.read(descriptor, PIECE)
        except BlockingIOError:
            return
        if not data:
            self._poll.unregister(descriptor)
        elif self._call is not None:
            name = current.streams[descriptor]
            if head := self._call.output[name].take(data):
                self._tell({"op": "output", "nonce": self._call.nonce, "stream": name}, head)

    def _drain(self, current: KernelProcess) -> None:
        """Read what is in the pipes now; at most what fits into them, so that none floods us."""
        for descriptor, name in current.streams.items():
            for _ in range(4):
                try:
                    data = os.read(descriptor, PIECE)
                except OSError:
                    break
                if not data:
                    break
                if self._call is not None and (head := self._call.output[name].take(data)):
                    self._tell({"op": "output", "nonce": self._call.nonce, "stream": name}, head)

    def _on_kernel(self, current: KernelProcess) -> None:
        call = self._call
        try:
            data = os.read(current.channel, PIECE)
            frames = list(current.buffer.feed(data)) if data else []
        except BlockingIOError:
            return
        except (OSError, ProtocolFault):
            data, frames = b"", []
        if not data:
            self._poll.unregister(current.channel)
            if call is not None:
                self._finish(call, call.over or "crashed", lost=True)
            else:
                self._lost, current.alive = True, False
            return
        for frame in frames:
            running, header = self._call, frame.header  # each frame may end the call
            if running is not None and header.get("token") == running.token:
                self._finish(running, _status(running, header), lost=False, result=header)

    def _on_death(self) -> None:
        dead = processes.reap()
        current = self._kernel
        if current is None or current.pid not in dead:
            return
        current.alive, current.status = False, dead[current.pid]
        if self._call is not None:
            self._on_kernel(current)  # its last words may be a result
        if self._kernel is not current:
            return
        call = self._call
        if call is None:
            self._lost = True
        else:
            self._finish(call, call.over or "crashed", lost=True)

    def _finish(
        self, call: Call, status: str, *, lost: bool, result: dict[str, Any] | None = None
    ) -> None:
        assert self._kernel is not None
        seconds = time.monotonic() - call.start
        detail = ""
        if lost:
            detail = self._cause(call, status)
            processes.kill_all()
            self._drain(self._kernel)
        else:
            calm = processes.kill_strays(self._kernel.pid)
            self._drain(self._kernel)
            if not calm:
                processes.kill_all()
                lost, detail = True, "its processes multiplied and all had to be killed"
        done: dict[str, Any] = {
            "op": "done",
            "nonce": call.nonce,
            "status": status,
            "seconds": seconds,
        }
        done |= {"detail": detail, "state_lost": lost or self._lost, "dropped": self._tails(call)}
        done |= {"value": _text(result, "value"), "error": _text(result, "error")}
        done["skipped"] = self._send_files(call)
        self._call, self._lost = None, False
        if lost:
            self._renew()
        self._heard = time.monotonic()
        self._tell(done)

    def _cause(self, call: Call, status: str) -> str:
        if status != "crashed":
            return "it ignored the interrupt and was killed"
        if processes.out_of_memory_kills() > call.kills_before:
            return "out of memory"
        current = self._kernel
        if current is None or not current.await_death():
            return "it closed the channel of its own process"
        if os.WIFSIGNALED(current.status):
            return f"killed by {signal.Signals(os.WTERMSIG(current.status)).name}"
        return f"the Python process ended itself with code {os.WEXITSTATUS(current.status)}"

    def _tails(self, call: Call) -> dict[str, int]:
        dropped: dict[str, int] = {}
        for name, output in call.output.items():
            tail, missing = output.tail(self._output_cap)
            if missing:
                dropped[name] = missing
            if tail:
                header = {"op": "output", "nonce": call.nonce, "stream": name, "missing": missing}
                self._tell(header, tail)
        return dropped

    def _send_files(self, call: Call) -> list[list[str]]:
        skipped: list[list[str]] = []
        for found in files.changed(self._folder, call.before, self._caps):
            name = found.name.encode("utf-8", "replace").decode()
            if found.data is not None:
                self._tell({"op": "artifact", "nonce": call.nonce, "name": name}, found.data)
            elif len(skipped) < 20:
                skipped.append([name, found.reason])
        return skipped

    # kernels

    def _renew(self) -> None:
        """Replace the kernel by a fresh one, forked from the preloaded libraries."""
        if self._kernel is not None:
            processes.kill_all()
            self._kernel.close()  # closing takes the descriptors out of the poll, too
        current = self._kernel = KernelProcess()
        select.select([current.channel], [], [], UP_WITHIN)
        hello = _rest(current.channel)
        if [frame.header.get("op") for frame in current.buffer.feed(hello)] != ["up"]:
            words = b"".join(_rest(descriptor) for descriptor in current.streams)
            fail(f"No kernel could be started: {words.decode('utf-8', 'replace')}")
        for descriptor in (current.channel, *current.streams):
            self._poll.register(descriptor, select.EPOLLIN)


def _rest(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""


def _notice(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: a handler must be there for the signal to reach the wake-up descriptor."""


def _status(call: Call, header: dict[str, Any]) -> str:
    """Say how a call ended whose kernel still answers; the kernel is not believed on the clock."""
    if call.over is not None:
        return call.over
    return "ok" if header.get("status") == "ok" else "error"


def _text(result: dict[str, Any] | None, key: str) -> str | None:
    value = (result or {}).get(key)
    return value[:40_000] if isinstance(value, str) else None


def preload(names: list[str]) -> list[str]:
    """Import libraries that every kernel then has at once; what is missing is left out."""
    figures.prepare()
    loaded: list[str] = []
    for name in names:
        with suppress(ImportError):
            importlib.import_module(name)
            loaded.append(name)
    figures.watch()
    return loaded


def fail(message: str) -> NoReturn:
    """End the sandbox and leave a sentence for the host on standard error."""
    with suppress(OSError):
        os.write(2, message.encode("utf-8", "replace")[:4000] + b"\n")
    os._exit(1)


def main() -> NoReturn:
    """Run as PID 1."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Python's own handler could be hit from inside
    os.umask(0o077)
    control_in, control_out = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    try:
        Supervisor(control_in, control_out).run()
    except BaseException as error:  # noqa: BLE001 (the last words of PID 1)
        fail(f"supervisor: {error!r}")
