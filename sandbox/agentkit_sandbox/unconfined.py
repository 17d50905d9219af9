"""The supervisor as a plain process: no sandbox at all, for `unsafe_local=True` alone.

It runs as `python -m agentkit_sandbox.unconfined FOLDER`, with the packages of that Python. As PID
1 of a container the supervisor may kill everybody else; here everybody else is the user's
machine, so what it kills are its own descendants, and nothing else can be asked of it.
"""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

from agentkit_sandbox.runner import confine, kernel, processes, supervisor

PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36
PR_SET_NO_NEW_PRIVS: Final = 38

_kill, _exit = os.kill, os._exit


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


def descendants() -> list[int]:
    """Return the ids of all processes below this one; orphans among them are its children."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 (each call)
        with suppress(OSError, ValueError, IndexError):
            fields = Path(f"/proc/{int(name)}/stat").read_bytes().rpartition(b")")[2].split()
            if fields[0] not in (b"Z", b"X"):
                parents[int(name)] = int(fields[1])
    found, fresh = set[int](), {os.getpid()}
    while fresh:
        fresh = {pid for pid, parent in parents.items() if parent in fresh} - found
        found |= fresh
    return sorted(found)


def kill_strays(keep: int) -> int | None:
    """Kill all descendants but the kernel `keep`; see `processes.kill_strays`."""
    seen: set[int] = set()
    until = time.monotonic() + 1
    while time.monotonic() < until:
        strays = [pid for pid in descendants() if pid != keep]
        if not strays:
            return len(seen)
        seen.update(strays)
        for pid in strays:
            with suppress(ProcessLookupError):
                _kill(pid, signal.SIGKILL)
        processes.reap(only=strays)
        time.sleep(0.002)
    return None


def kill_all() -> None:
    """Kill and collect all descendants; see `processes.kill_all`."""
    kill_strays(0)
    processes.reap()


def main(folder: str) -> NoReturn:
    """Serve on standard input and output, in a folder that is the workspace."""
    own = os.getpid()

    def kill(pid: int, number: int) -> None:
        if pid <= 1 and os.getpid() == own:
            raise PermissionError("The supervisor kills its own descendants only.")
        _kill(pid, number)

    def leave(code: int) -> NoReturn:
        if os.getpid() == own:
            kill_all()
            shutil.rmtree(folder, ignore_errors=True)  # the owner may be gone
        _exit(code)

    leave_supervisor = confine.leave_supervisor

    def leave_and_follow() -> None:
        leave_supervisor()
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    _prctl(PR_SET_NO_NEW_PRIVS, 1)  # what the kernel's filter needs
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    kernel.WORKSPACE = folder  # pyright: ignore[reportConstantRedefinition, reportAttributeAccessIssue]
    os.kill, os._exit = kill, leave
    confine.leave_supervisor = leave_and_follow
    processes.kill_strays, processes.kill_all = kill_strays, kill_all
    processes._size = lambda _: 0  # noqa: SLF001 (no file systems of its own)  # pyright: ignore[reportPrivateUsage]
    supervisor.main()


if __name__ == "__main__":
    main(sys.argv[1])
