"""PID 1 of a sandbox: runs programs and commands with a deadline, brings output and files out.

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
from agentkit_sandbox.runner import figures, files, kernel, processes, seccomp, verdict
from agentkit_sandbox.runner.call import Call
from agentkit_sandbox.runner.child import KernelProcess, ShellProcess, Worker
from agentkit_sandbox.runner.streams import Streams
from agentkit_sandbox.runner.transfer import Transfers

GRACE: Final = 1.0  # seconds between the interrupt and the kill
REPEAT: Final = (
    0.3  # seconds between interrupts: the first is lost on os.system(), which ignores it
)
HELLO_WITHIN: Final = 60.0  # seconds; a host that died at once never says a word
UP_WITHIN: Final = 5.0  # seconds
PIECE: Final = 256 * 1024
MAX_DETAIL: Final = 1000


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
        self._internet = False
        self._idle = HELLO_WITHIN
        self._heard = time.monotonic()
        self._transfers = Transfers(self._folder, self._tell)
        self._streams = Streams(self._poll, self._tell)
        self._kernel: KernelProcess | None = None
        self._shell: ShellProcess | None = None
        self._call: Call | None = None
        self._calls = 0
        self._lost = ""  # how the kernel died while no program ran in it

    # the loop

    def run(self) -> NoReturn:
        """Serve the host until it goes away or stays silent for too long."""
        while True:
            for descriptor, _ in self._poll.poll(self._wait()):
                self._on_ready(descriptor)
            self._on_time()

    def _wait(self) -> float:
        call = self._call
        if call is None:
            until = self._heard + self._idle
        elif call.over is None:
            until = call.deadline
        else:
            until = min(call.kill_at, call.interrupt_at)
        return max(0.0, min(until, self._streams.resume_at) - time.monotonic())

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
        elif descriptor in self._streams:
            self._streams.read(descriptor, self._call)

    def _on_time(self) -> None:
        self._streams.resume()
        now, call = time.monotonic(), self._call
        if call is None:
            if now >= self._heard + self._idle:
                os._exit(0)
            return
        if call.over is None and now >= call.deadline:
            self._stop(call, "timeout")
        if call.over is not None and now >= call.kill_at:
            self._finish(call, call.over, lost=not call.shell)
        elif call.over is not None and now >= call.interrupt_at:
            call.interrupt_at = now + REPEAT
            self._interrupt(call)

    def _interrupt(self, call: Call) -> None:
        worker = self._shell if call.shell else self._kernel
        if worker is None or not worker.alive:
            return
        call.interrupts += 1
        if call.interrupts == 2 and not call.shell:
            processes.kill_strays(worker.pid)  # a bomb leaves its parent no time to see the first
        with suppress(OSError):  # the group, as a terminal's Ctrl-C
            os.killpg(worker.pid, signal.SIGINT)

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
        operation, nonce = frame.header.get("op"), frame.header.get("nonce")
        if operation == "cancel":  # one that comes too late is for a call that is over
            if self._call is not None and self._call.nonce == nonce and self._call.over is None:
                self._stop(self._call, "cancelled")
            return
        if self._call is not None:
            raise ProtocolFault(f"A request {operation!r} came while a call was running.")
        match operation:
            case "hello":
                self._hello(frame.header)
            case "exec" | "shell":
                self._begin(frame)
            case "put" | "get" | "list":
                self._transfers.answer(frame)
            case "reset":
                self._renew()
                self._tell({"op": "reset", "nonce": nonce})
            case "ping":
                self._tell({"op": "pong", "nonce": nonce})
            case _:
                raise ProtocolFault(f"Unknown operation {operation!r}.")

    def _hello(self, header: dict[str, Any]) -> None:
        self._caps = files.Caps(*(int(number) for number in header["artifacts"]))
        self._output_cap = int(header["output"])
        loaded = preload(header["preload"])
        seccomp.set_dumpable(dumpable=False)
        self._idle = float(header["idle"])
        found = processes.facts()
        # Sockets whose buffers nobody counts could take the host's memory, even to oneself.
        counted = 0 < (found["socket_memory"] or 0) <= (found["memory"] or 0)
        self._internet = bool(header["network"]) or counted
        if not self._internet:
            found["socket_memory"] = 0
        self._renew()
        python = ".".join(str(part) for part in sys.version_info[:3])
        ready = {"op": "ready", "nonce": header["nonce"], "python": python, "preloaded": loaded}
        self._tell(ready | {"facts": found})
        self._heard = time.monotonic()

    def _tell(self, header: dict[str, Any], body: bytes = b"") -> None:
        data = memoryview(encode(header, body))
        while data:
            data = data[os.write(self._out, data) :]

    # one call

    def _begin(self, frame: Frame) -> None:
        self._on_death()
        fresh, self._lost = self._lost, ""
        if self._kernel is None or not self._kernel.alive:
            self._renew()
        assert self._kernel is not None
        self._streams.drain(self._kernel, None)  # a thread printed it after the last call
        self._calls += 1
        call = self._call = Call(self._calls, frame.header, self._output_cap, fresh)
        files.unlock(self._folder)
        call.before = files.snapshot(self._folder)
        call.kills_before = processes.out_of_memory_kills()
        if call.shell:
            self._begin_shell(call, frame.body)
            return
        request = {"op": "run", "call": call.number, "token": call.token}
        if not self._kernel.send(request, frame.body):
            self._finish(call, "crashed", lost=True)

    def _begin_shell(self, call: Call, command: bytes) -> None:
        try:
            self._shell = ShellProcess(command, internet=self._internet)
        except OSError as error:  # threads of the kernel may hold all that the limit allows
            why = f"no process could be started: {os.strerror(error.errno or 0).lower()}"
            self._finish(call, "error", lost=False, detail=why)
            return
        self._streams.add(self._shell)

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
            if call is not None and not call.shell:
                self._finish(call, call.over or "crashed", lost=True)
            else:
                self._lost, current.alive = verdict.death(current), False
            return
        for frame in frames:
            running, header = self._call, frame.header  # each frame may end the call
            if running is not None and header.get("token") == running.token:
                status = verdict.of_program(running, header)
                self._finish(running, status, lost=False, result=header)

    def _on_death(self) -> None:
        dead = processes.reap()
        current, command = self._kernel, self._shell
        if current is not None and current.pid in dead:
            current.alive, current.status = False, dead[current.pid]
            call = self._call
            if call is None or call.shell:
                self._lost = verdict.death(current)
            else:
                self._on_kernel(current)  # its last words may be a result
                if self._call is call:
                    self._finish(call, call.over or "crashed", lost=True)
        if command is not None and command.pid in dead and self._call is not None:
            command.alive, command.status = False, dead[command.pid]
            self._finish(self._call, verdict.of_command(self._call, command), lost=False)

    def _finish(
        self,
        call: Call,
        status: str,
        *,
        lost: bool,
        result: dict[str, Any] | None = None,
        detail: str = "",
    ) -> None:
        """End a call: kill what it left, send what it made, say how it went.

        Args:
            call: the call that is running.
            status: how it ended.
            lost: whether its kernel is dead, or has to die.
            result: the kernel's answer, as far as there is one.
            detail: why it ended, where the supervisor knows better than the processes do.
        """
        current, command = self._kernel, self._shell
        assert current is not None
        seconds = time.monotonic() - call.start
        worker: Worker = command or current
        killed = worker.alive if command is not None else lost
        details = [detail or verdict.cause(call, status, worker, killed=killed)]
        strays = None if lost else processes.kill_strays(current.pid)
        if strays is None:
            processes.kill_all()
        if not lost and call.over is None:
            details.append(verdict.of_strays(strays))
        if command is not None and current.alive and current.has_ended():
            self._lost = verdict.death(current)
        if not current.alive and not lost:
            details.append(f"the session's Python had ended: {self._lost}")
        if call.fresh:
            details.append(f"it ran in a fresh Python, the one before had ended: {call.fresh}")
        lost = lost or strays is None or not current.alive
        done: dict[str, Any] = {"op": "done", "nonce": call.nonce, "status": status}
        done |= {"seconds": seconds}
        done |= {"state_lost": lost or bool(call.fresh)}
        done |= {"detail": "; ".join(filter(None, details))[:MAX_DETAIL]}
        done |= verdict.answer(call, result, command)
        for each in (current, command):
            if each is not None:
                self._streams.drain(each, call)
        self._streams.finish(call, self._output_cap)
        files.unlock(self._folder)
        done["skipped"] = self._transfers.send_changed(call.nonce, call.before, self._caps)
        self._call, self._lost = None, ""
        if command is not None:
            self._streams.remove(command)
            command.close()
            self._shell = None
        if lost:
            self._renew()
        self._heard = time.monotonic()
        self._tell(done)

    # kernels

    def _renew(self) -> None:
        """Replace the kernel by a fresh one, forked from the preloaded libraries."""
        if self._kernel is not None:
            processes.kill_all()
            self._streams.remove(self._kernel)
            self._kernel.close()  # closing takes the descriptors out of the poll, too
        current = self._kernel = KernelProcess(internet=self._internet)
        select.select([current.channel], [], [], UP_WITHIN)
        hello = _rest(current.channel)
        if [frame.header.get("op") for frame in current.buffer.feed(hello)] != ["up"]:
            words = b"".join(_rest(descriptor) for descriptor in current.streams)
            fail(f"No kernel could be started: {words.decode('utf-8', 'replace')}")
        self._poll.register(current.channel, select.EPOLLIN)
        self._streams.add(current)


def _rest(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""


def _notice(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: a handler must be there for the signal to reach the wake-up descriptor."""


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
