"""Who works on a run of a local log, by a file lock and a clock that nobody can set.

A lease of a local log is measured in seconds since the machine booted, suspend included
(CLOCK_BOOTTIME): a jump of the wall clock moves no lease, and no lease outlives a boot. Beside it
every owner holds a lock on a file of its own, which the kernel lets go of when the process dies,
so that a run that was killed can go on at once instead of when its lease ends.
"""

from __future__ import annotations

import fcntl
import os
import time
import uuid
from functools import cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_seconds() -> float:
    """Return the seconds since boot, which all processes of this machine share."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@cache
def boot_id() -> str:
    """Return what tells this boot of the machine from every other one."""
    return _BOOT_ID.read_text("ascii").strip() if _BOOT_ID.exists() else ""


class Owner:
    """One store object as the owner of claims: a uuid, and the lock that shows that it lives."""

    def __init__(self, folder: Path) -> None:
        self.id = uuid.uuid4().hex
        self._folder = folder
        self._lock: int | None = None

    def appear(self) -> None:
        """Take the lock, before the first claim names this owner.

        Raises:
            OSError: the folder cannot be written.
        """
        if self._lock is not None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._folder / self.id, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(lock)
            raise
        self._lock = lock

    def lives(self, owner: str) -> bool:
        """Return whether an owner's process still holds its lock; True where nobody can tell."""
        path = self._folder / owner
        try:
            lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
        except OSError:
            return True
        finally:
            os.close(lock)
        return False

    def vanish(self) -> None:
        """Let the lock go; may be called twice."""
        lock, self._lock = self._lock, None
        if lock is not None:
            (self._folder / self.id).unlink(missing_ok=True)
            os.close(lock)
