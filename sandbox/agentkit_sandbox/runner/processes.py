"""Processes of the sandbox as PID 1 sees them, and what limits are really in force."""

from __future__ import annotations

import os
import resource
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

_PASSES = 5
_WITHIN = 1.0  # seconds


def others(keep: int) -> list[int]:
    """Return the ids of the processes that run beside PID 1 and `keep`."""
    return [pid for pid in _listed() if pid not in (1, keep) and not _is_dead(pid)]


def _listed() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 (each call)


def _is_dead(pid: int) -> bool:
    """Say whether a process only waits to be collected by its parent."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return True
    # One whose first thread has ended looks dead as well, while its other threads run on.
    return fields[0] in (b"Z", b"X") and int(fields[17]) <= 1


def kill_strays(keep: int) -> int | None:
    """Kill all processes but PID 1 and the kernel `keep`.

    Returns:
        How many there were, or None where the kernel itself starts new ones without end: then
        `kill_all` is the way.
    """
    seen: set[int] = set()
    for _ in range(_PASSES):
        if not (strays := others(keep)):
            return len(seen)
        with suppress(ProcessLookupError):
            os.kill(-1, signal.SIGSTOP)  # one sweep that no fork can outrun
        until = time.monotonic() + _WITHIN
        while strays and time.monotonic() < until:
            seen.update(strays)
            for pid in strays:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            reap(only=strays)
            time.sleep(0.001)
            strays = others(keep)
        with suppress(ProcessLookupError):
            os.kill(keep, signal.SIGCONT)
    return None


def kill_all() -> None:
    """Kill every process but PID 1, in one sweep that no fork can outrun, and reap them."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        with suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        reap()
        if _listed() == [1]:  # the dead that nobody collected count against the limit as well
            return
        time.sleep(0.002)


def reap(only: list[int] | None = None) -> dict[int, int]:
    """Collect dead children without waiting.

    Args:
        only: collect these alone; by default all.

    Returns:
        The wait status of each.
    """
    dead: dict[int, int] = {}
    for target in only or [-1]:
        while True:
            try:
                pid, status = os.waitpid(target, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            dead[pid] = status
    return dead


def out_of_memory_kills() -> int:
    """Return how often the memory limit has killed a process (cgroup v1 and v2), else 0."""
    for name in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        try:
            text = Path(name).read_text("ascii")
        except OSError:
            continue
        for line in text.splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def facts() -> dict[str, Any]:
    """Return what is in force, read from the system and not from the wish."""
    status = dict(
        line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines()
    )
    devices = Path("/proc/net/dev").read_text().splitlines()[2:]
    return {
        "pid": os.getpid(),
        "uid": os.getuid(),
        "gid": os.getgid(),
        "groups": sorted(set(os.getgroups()) - {os.getgid()}),
        "capabilities": int(status["CapEff"], 16) | int(status["CapBnd"], 16),
        "no_new_privileges": status["NoNewPrivs"].strip() == "1",
        "seccomp": status["Seccomp"].strip() == "2",
        "interfaces": sorted(line.split(":")[0].strip() for line in devices),
        "read_only": bool(os.statvfs("/").f_flag & os.ST_RDONLY),
        "memory": memory(),
        "socket_memory": socket_memory(),
        "terminals": Path("/dev/pts/ptmx").exists(),
        "pids": _limit("pids.max", "pids/pids.max"),
        "files": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        "file_bytes": resource.getrlimit(resource.RLIMIT_FSIZE)[1],
        "core_bytes": resource.getrlimit(resource.RLIMIT_CORE)[1],
        "workspace_bytes": _size("/workspace"),
        "tmp_bytes": _size("/tmp"),  # noqa: S108 (a tmpfs of this container alone)
    }


def socket_memory() -> int | None:
    """Return how much the buffers of TCP and UDP sockets may take, bytes; None is unknown."""
    # Version 2 counts them as memory, version 1 by themselves.
    return _limit("memory.max", "memory/memory.kmem.tcp.limit_in_bytes")


def memory() -> int | None:
    """Return how much memory all processes may take, bytes; None is unlimited or unknown."""
    return _limit("memory.max", "memory/memory.limit_in_bytes")


def _limit(*names: str) -> int | None:
    for name in names:
        try:
            text = Path("/sys/fs/cgroup", name).read_text("ascii").strip()
        except OSError:
            continue
        return int(text) if text.isdigit() else None
    return None


def _size(folder: str) -> int:
    found = os.statvfs(folder)
    return found.f_blocks * found.f_frsize
