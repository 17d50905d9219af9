"""How a call ended, in the words that the host and the model read."""

from __future__ import annotations

import os
import signal
from typing import Any, Final

from agentkit_sandbox.runner import processes
from agentkit_sandbox.runner.call import Call
from agentkit_sandbox.runner.child import Worker

CLOSED: Final = "it closed the channel of its own process"
STUBBORN: Final = "it ignored the interrupt and was killed"
NO_MEMORY: Final = "out of memory"
VICTIM: Final = "out of memory: one of its processes was killed"
MULTIPLIED: Final = "its processes multiplied and all had to be killed"
# Escaped as JSON a character takes up to 12 bytes, so that both fit into a frame's header.
MAX_TEXT: Final = 20_400


def death(worker: Worker) -> str:
    """Say how a process ended that was not told to."""
    if not worker.await_death():
        return CLOSED
    if os.WIFSIGNALED(worker.status):
        return f"killed by {_signal(os.WTERMSIG(worker.status))}"
    return f"the Python process ended itself with code {os.WEXITSTATUS(worker.status)}"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def of_program(call: Call, header: dict[str, Any]) -> str:
    """Return the status of a program whose kernel answered; it is not believed on the clock."""
    if call.over is not None:
        return call.over
    return "ok" if header.get("status") == "ok" else "error"


def of_command(call: Call, command: Worker) -> str:
    """Return the status of a command that ended."""
    if call.over is not None:
        return call.over
    if os.WIFSIGNALED(command.status):
        return "crashed"
    return "error" if command.status else "ok"


def cause(call: Call, status: str, worker: Worker, *, killed: bool) -> str:
    """Say why a call did not end by itself, or lost a process on its way; else ""."""
    if call.over is not None:
        return STUBBORN if killed else ""
    if processes.out_of_memory_kills() > call.kills_before:
        return NO_MEMORY if status == "crashed" else VICTIM
    return death(worker) if status == "crashed" else ""


def of_strays(count: int | None) -> str:
    """Say what happened to processes that a call left running."""
    if count is None:
        return MULTIPLIED
    if not count:
        return ""
    return f"{count} of its processes still ran and {'was' if count == 1 else 'were'} killed"


def answer(call: Call, result: dict[str, Any] | None, command: Worker | None) -> dict[str, Any]:
    """Return the parts of the last frame that come from the program or command itself."""
    found: dict[str, Any] = {"value": _text(result, "value"), "error": _text(result, "error")}
    if command is not None and not command.alive and call.over is None:
        code = os.waitstatus_to_exitcode(command.status)
        found["exit_code"] = code if code >= 0 else 128 - code  # as shells count signals
    return found


def _text(result: dict[str, Any] | None, key: str) -> str | None:
    value = (result or {}).get(key)
    return value[:MAX_TEXT] if isinstance(value, str) else None
