"""Files of the workspace, read and written as data of an enemy: no links followed, all capped."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

MAX_ENTRIES = 4096
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

Stamp = tuple[int, int, int, int]  # inode, size, modified, changed (the last cannot be forged)


class Caps(NamedTuple):
    """How much may leave the sandbox after one call: bytes each, files, bytes in all."""

    each: int
    files: int
    total: int


class Found(NamedTuple):
    """A changed file: its bytes, or the reason why it stays inside."""

    name: str
    size: int
    data: bytes | None
    reason: str = ""


def open_folder(path: str) -> int:
    """Return a descriptor of the folder, so that nothing can take its place later."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def snapshot(folder: int) -> dict[str, Stamp]:
    """Return the stamp of each regular, visible file directly in the folder."""
    stamps: dict[str, Stamp] = {}
    with os.scandir(folder) as entries:
        for seen, entry in enumerate(entries):
            if seen >= MAX_ENTRIES:
                break
            if entry.name.startswith("."):
                continue
            try:
                found = os.stat(entry.name, dir_fd=folder, follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISREG(found.st_mode):
                stamps[entry.name] = stamp(found)
    return stamps


def stamp(found: os.stat_result) -> Stamp:
    """Return what tells one state of a file from another."""
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def changed(folder: int, before: dict[str, Stamp], caps: Caps) -> Iterator[Found]:
    """Yield the files that are new or changed since `before`, within the caps, oldest first."""
    after = snapshot(folder)
    names = [name for name, mark in after.items() if before.get(name) != mark]
    names.sort(key=lambda name: (after[name][2], name))
    sent = total = 0
    for name in names:
        size = after[name][1]
        if size > caps.each:
            yield Found(name, size, None, f"larger than {caps.each} bytes")
        elif sent >= caps.files:
            yield Found(name, size, None, f"more than {caps.files} files in one call")
        elif total + size > caps.total:
            yield Found(name, size, None, f"more than {caps.total} bytes in one call")
        else:
            data = _read(folder, name, min(caps.each, caps.total - total))
            if data is None:
                yield Found(name, size, None, "no regular file that could be read")
            else:
                sent, total = sent + 1, total + len(data)
                yield Found(name, len(data), data)


def _read(folder: int, name: str, most: int) -> bytes | None:
    """Read a regular file, or return None: it may have become something else by now."""
    try:
        descriptor = os.open(name, _READ, dir_fd=folder)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            pieces: list[bytes] = []
            while most > 0 and (piece := file.read(min(most, 1 << 20))):
                pieces.append(piece)
                most -= len(piece)
        except OSError:
            return None
    return b"".join(pieces)
