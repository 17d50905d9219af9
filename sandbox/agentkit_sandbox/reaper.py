"""Who owns a sandbox, written as labels; and which sandboxes have lost their owner."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

MARK: Final = "agentkit.sandbox"
MAX_AGE: Final = 24 * 3600.0  # seconds; for owners that cannot be looked up from here


def owner_labels(pid: int | None = None, lifetime: float = MAX_AGE) -> dict[str, str]:
    """Return the labels that name a process beyond doubt: host, boot, namespace, id, start.

    Args:
        pid: the owner; by default this process.
        lifetime: seconds after which a sandbox is removed even when its owner lives.
    """
    pid = os.getpid() if pid is None else pid
    return {
        MARK: "1",
        f"{MARK}.host": socket.gethostname(),
        f"{MARK}.boot": _boot(),
        f"{MARK}.namespace": _namespace(),
        f"{MARK}.pid": str(pid),
        f"{MARK}.started": started(pid) or "",
        f"{MARK}.created": f"{time.time():.0f}",
        f"{MARK}.uptime": f"{uptime():.0f}",
        f"{MARK}.lifetime": f"{lifetime:.0f}",
    }


def is_orphan(labels: Mapping[str, str]) -> bool:
    """Say whether a sandbox's owner is surely gone, or its lifetime over.

    An owner on another host, or in another process namespace of this boot, cannot be seen from
    here: its sandbox counts as orphaned only when its lifetime is over. On this machine that is
    read from a clock that nobody can set; elsewhere from the wall clock, with a day's grace: a
    clock that jumps must not end the sandboxes of the living.

    Args:
        labels: of the container or network.
    """
    if labels.get(MARK) != "1":
        return False
    boot = _boot()
    same_host = labels.get(f"{MARK}.host") == socket.gethostname()
    same_boot = bool(boot) and labels.get(f"{MARK}.boot") == boot
    if boot and same_host and not same_boot:
        return True
    lifetime = _number(labels, "lifetime") or MAX_AGE
    if same_boot:
        if labels.get(f"{MARK}.namespace") == _namespace():
            pid = labels.get(f"{MARK}.pid", "")
            if not pid.isdigit() or started(int(pid)) != labels.get(f"{MARK}.started"):
                return True
        return uptime() - _number(labels, "uptime") > lifetime
    age = time.time() - _number(labels, "created")
    return age > lifetime + MAX_AGE


def uptime() -> float:
    """Return seconds since boot, sleep included; setting the wall clock does not move it."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _number(labels: Mapping[str, str], key: str) -> float:
    text = labels.get(f"{MARK}.{key}", "")
    return float(text) if text.isdigit() else 0.0


def started(pid: int) -> str | None:
    """Return when a process was started, in clock ticks since boot, or None when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name in brackets may hold spaces and brackets
    return None if fields[0] in "ZX" else fields[19]


def _boot() -> str:
    """Return the id of this boot, or "" where there is no /proc: then owners cannot be seen."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
