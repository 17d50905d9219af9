"""PID 1 of a sandbox: starts kernels, runs calls with a deadline, brings output and files out.

One thread, one loop. Its standard input and output are the channel to the host; when the input
ends, the host is gone and so is the sandbox.
"""

from __future__ import annotations

import importlib
import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import Any, Final, NoReturn

from agentkit_sandbox.protocol import Frame, FrameBuffer, ProtocolFault, encode
from agentkit_sandbox.runner import figures, files, kernel, processes, seccomp

GRACE: Final = 1.0  # seconds between the interrupt and the kill
REPEAT: Final = 0.3  # seconds between interrupts: the first is lost on os.system(), which ignores it
HELLO_WITHIN: Final = 60.0  # seconds; a host that died at once never says a word
SEND_WITHIN: Final = 5.0  # seconds
TAIL: Final = 32 * 1024
PIECE: Final = 64 * 1024


class Output:
    """One stream of one call: the head goes out at once, the tail when the call is over."""

    def __init__(self, cap: int) -> None:
        self._left = cap
        self._tail = bytearray()
        self.seen = 0

    def take(self, data: bytes) -> bytes:
        """Return what goes out now; keep the end of the rest."""
        self.seen += len(data)
        head, rest = data[: self._left], data[self._left :]
        self._left -= len(head)
        self._tail += rest
        if len(self._tail) > 2 * TAIL:
            del self._tail[:-TAIL]
        return head

    def tail(self, cap: int) -> tuple[bytes, int]:
        """Return the kept end, and how many bytes between head and tail are lost."""
        kept = bytes(self._tail[-TAIL:])
        return kept, max(0, self.seen - cap - len(kept))


class Call:
    """A program that is running.

    Attributes:
        over: "timeout" or "cancelled" once it has been told to stop.
    """

    def __init__(self, number: int, header: dict[str, Any], cap: int) -> None:
        self.number = number
        self.nonce = str(header["nonce"])
        self.token = os.urandom(8).hex()
        self.start = time.monotonic()
        self.deadline = self.start + float(header["timeout"])
        self.over: str | None = None
        self.kill_at = 0.0
        self.interrupt_at = 0.0
        self.output = {"stdout": Output(cap), "stderr": Output(cap)}
        self.before: dict[str, files.Stamp] = {}
        self.kills_before = 0


class KernelProcess:
    """The supervisor's ends of one forked kernel."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        pipes = {"stdout": os.pipe(), "stderr": os.pipe()}
        pid = os.fork()
        if pid == 0:
            kernel.start(theirs.fileno(), pipes["stdout"][1], pipes["stderr"][1])
        self.pid = pid
        self.alive = True
        self.status = 0
        theirs.close()
        ours.setblocking(False)
        self.channel = ours.detach()
        self.buffer = FrameBuffer()
        self.streams: dict[int, str] = {}
        for name, (reading, writing) in pipes.items():
            os.close(writing)
            os.set_blocking(reading, False)
            self.streams[reading] = name

    def send(self, header: dict[str, Any], body: bytes) -> bool:
        """Send a request; False when the kernel closed its end or does not read."""
        data = memoryview(encode(header, body))
        until = time.monotonic() + SEND_WITHIN
        while data and time.monotonic() < until:
            try:
                data = data[os.write(self.channel, data) :]
            except BlockingIOError:
                select.select([], [self.channel], [], 0.1)
            except OSError:
                return False
        return not data

    def await_death(self) -> bool:
        """Wait a moment for a kernel that closed its channel to be gone; say whether it is."""
        until = time.monotonic() + 0.2
        while self.alive and time.monotonic() < until:
            if self.pid in (dead := processes.reap(only=[self.pid])):
                self.alive, self.status = False, dead[self.pid]
            else:
                time.sleep(0.002)
        return not self.alive

    def close(self) -> None:
        """Close the supervisor's ends."""
        for descriptor in (self.channel, *self.streams):
            with suppress(OSError):
                os.close(descriptor)


class Supervisor:
    """The state of PID 1."""

    def __init__(self, control_in: int, control_out: int) -> None:
        self._in, self._out = control_in, control_out
        self._buffer = FrameBuffer()
        self._wake, wake = os.pipe()
        for descriptor in (self._wake, wake):
            os.set_blocking(descriptor, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
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
            header = frame.header
            if call is self._call and call is not None and header.get("token") == call.token:
                self._finish(call, _status(call, header), lost=False, result=header)

    def _on_death(self) -> None:
        dead = processes.reap()
        current = self._kernel
        if current is None or current.pid not in dead:
            return
        current.alive, current.status = False, dead[current.pid]
        if self._call is None:
            self._lost = True
            return
        self._on_kernel(current)  # its last words may be a result
        if self._call is not None and self._kernel is current:
            self._finish(self._call, self._call.over or "crashed", lost=True)

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
        done = {"op": "done", "nonce": call.nonce, "status": status, "seconds": seconds}
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
        select.select([current.channel], [], [], SEND_WITHIN)
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
