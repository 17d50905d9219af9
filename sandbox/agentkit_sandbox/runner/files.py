"""Files of the workspace, read and written as data of an enemy: no links followed, all capped."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from agentkit_sandbox.protocol import MAX_PIECE

MAX_ENTRIES = 4096
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

Stamp = tuple[int, int, int, int]  # inode, size, modified, changed (the last cannot be forged)


class Caps(NamedTuple):
    """How much may leave the sandbox after one call: bytes each, files, bytes in all."""

    each: int
    files: int
    total: int


class Unreadable(Exception):
    """A file cannot leave; the text says why."""


def open_folder(path: str) -> int:
    """Return a descriptor of the folder, so that nothing can take its place later."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def unlock(folder: int) -> None:
    """Open the folder to its owner again, whom a program may have locked out."""
    with suppress(OSError):
        os.fchmod(folder, 0o700)


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


def changed(folder: int, before: dict[str, Stamp]) -> list[tuple[str, int]]:
    """Return name and size of the files that are new or changed since `before`, oldest first."""
    after = snapshot(folder)
    names = [name for name, mark in after.items() if before.get(name) != mark]
    names.sort(key=lambda name: (after[name][2], name))
    return [(name, after[name][1]) for name in names]


def read(folder: int, name: str, most: int) -> Iterator[bytes]:
    """Yield the pieces of a regular file directly in the folder.

    Raises:
        OSError: it is gone, a link, or cannot be read.
        Unreadable: it is no regular file, has more than `most` bytes, or changes meanwhile.
    """
    descriptor = os.open(name, _READ, dir_fd=folder)
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise Unreadable("no regular file")
        if before.st_size > most:
            raise Unreadable(f"larger than {most} bytes")
        left = before.st_size
        while left and (piece := os.read(descriptor, min(left, MAX_PIECE))):
            left -= len(piece)
            yield piece
        if stamp(os.fstat(descriptor)) != stamp(before):
            raise Unreadable("it was changed while it was read")
    finally:
        os.close(descriptor)
