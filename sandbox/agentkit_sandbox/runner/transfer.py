"""Files that go into the workspace and come out of it by name, and its listing.

Names are relative paths with "/" between their parts. Each part is opened from the folder above
it and no link is followed, so no name leads out of the workspace.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

from agentkit_sandbox.protocol import Frame
from agentkit_sandbox.runner import files

MAX_DEPTH: Final = 16
MAX_SKIPPED: Final = 20
MAX_LISTED: Final = 10_000
MAX_LISTING: Final = 4 * 1024 * 1024  # bytes of names
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Refused(Exception):
    """A file cannot go in or out; the text says why."""


def _parts(name: str) -> list[str]:
    parts = name.split("/")
    if len(parts) > MAX_DEPTH or any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise Refused("no relative path of plain names")
    return parts


def _parent(folder: int, parts: Sequence[str], *, make: bool) -> int:
    """Return a descriptor of the folder that holds the last part."""
    descriptor = os.dup(folder)
    for part in parts[:-1]:
        try:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(part, 0o700, dir_fd=descriptor)
            inner = os.open(part, _FOLDER, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor


class Upload:
    """A file that is coming in: written beside its place, then moved there at once.

    Attributes:
        reason: why it failed, or "".
    """

    def __init__(self, folder: int, name: str) -> None:
        self.reason = ""
        self._parent = self._file = -1
        self._temporary = f".{os.urandom(8).hex()}.part"
        try:
            parts = _parts(name)
            self._name = parts[-1]
            self._parent = _parent(folder, parts, make=True)
            self._file = os.open(self._temporary, _NEW, 0o600, dir_fd=self._parent)
        except (OSError, Refused) as error:
            self._fail(error)

    def write(self, data: bytes) -> None:
        """Add a piece; after a failure it is thrown away."""
        rest = memoryview(data)
        try:
            while rest and not self.reason:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            self._fail(error)

    def finish(self) -> None:
        """Put the file in its place; what stood there before is replaced, a link as well."""
        if self.reason:
            return
        try:
            os.rename(self._temporary, self._name, src_dir_fd=self._parent, dst_dir_fd=self._parent)
        except OSError as error:
            self._fail(error)
        else:
            self._close()

    def _fail(self, error: Exception) -> None:
        self.reason = _why(error)
        if self._file >= 0:
            with suppress(OSError):
                os.unlink(self._temporary, dir_fd=self._parent)
        self._close()

    def _close(self) -> None:
        for descriptor in (self._file, self._parent):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._parent = -1


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return (os.strerror(error.errno) if error.errno else str(error)).lower()
    return str(error)


class Transfers:
    """Answers the host's requests for files, and hands out what a call has changed.

    Args:
        folder: descriptor of the workspace.
        tell: sends a frame to the host.
    """

    def __init__(self, folder: int, tell: Callable[[dict[str, Any], bytes], None]) -> None:
        self._folder = folder
        self._tell = tell
        self._upload: Upload | None = None

    def answer(self, frame: Frame) -> None:
        """Answer one request of the host."""
        match frame.header.get("op"):
            case "put":
                self._put(frame)
            case "get":
                self._get(frame)
            case _:
                self._list(frame)

    def _put(self, frame: Frame) -> None:
        if self._upload is None:
            self._upload = Upload(self._folder, str(frame.header["name"]))
        self._upload.write(frame.body)
        if frame.header.get("more"):
            return
        self._upload.finish()
        reason, self._upload = self._upload.reason, None
        self._tell({"op": "put", "nonce": frame.header["nonce"], "reason": reason}, b"")

    def _get(self, frame: Frame) -> None:
        name, most = str(frame.header["name"]), int(frame.header["most"])
        parent, reason = -1, ""
        try:
            parts = _parts(name)
            parent = _parent(self._folder, parts, make=False)
            self._send(frame.header["nonce"], parent, parts[-1], most)
        except (OSError, Refused, files.Unreadable) as error:
            reason = _why(error)
        finally:
            if parent >= 0:
                os.close(parent)
        self._tell({"op": "get", "nonce": frame.header["nonce"], "reason": reason}, b"")

    def _list(self, frame: Frame) -> None:
        body, complete = listing(self._folder)
        self._tell({"op": "list", "nonce": frame.header["nonce"], "complete": complete}, body)

    def send_changed(
        self, nonce: str, before: dict[str, files.Stamp], caps: files.Caps
    ) -> Sequence[tuple[str, str]]:
        """Send the files that a call has made or changed, within the caps.

        Returns:
            Name and reason of those that stay inside, at most MAX_SKIPPED.
        """
        skipped: list[tuple[str, str]] = []
        sent = total = 0
        for name, size in files.changed(self._folder, before):
            if sent >= caps.files:
                reason = f"more than {caps.files} files in one call"
            elif size <= caps.each and total + size > caps.total:
                reason = f"more than {caps.total} bytes in one call"
            else:
                try:
                    total += self._send(nonce, self._folder, name, caps.each)
                    sent += 1
                    continue
                except (OSError, files.Unreadable) as error:
                    reason = _why(error)
            if len(skipped) < MAX_SKIPPED:
                skipped.append((_text(name), reason))
        return skipped

    def _send(self, nonce: str, folder: int, name: str, most: int) -> int:
        header = {"op": "artifact", "nonce": nonce, "name": _text(name)}
        size, held = 0, b""
        try:
            for piece in files.read(folder, name, most):
                if held:
                    self._tell(header | {"more": True}, held)
                held = piece
                size += len(piece)
        except (OSError, files.Unreadable):
            if held:
                self._tell(header | {"drop": True}, b"")  # what came of it so far is void
            raise
        self._tell(header, held)
        return size


def _text(name: str) -> str:
    return name.encode("utf-8", "replace").decode()


def listing(folder: int) -> tuple[bytes, bool]:
    """Return the regular files below the folder as JSON pairs of name and size.

    Returns:
        The JSON, sorted by name; and whether all of it is there: not where it is deeper or
        longer than the caps.
    """
    found: list[tuple[str, int]] = []
    room, complete = MAX_LISTING, True
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        path = waiting.pop()
        try:
            names = _entries(folder, path)
        except OSError:
            complete = False
            continue
        for name, kind in names:
            full = _text("/".join((*path, name)))
            room -= len(full.encode()) + 24
            if room < 0 or len(found) >= MAX_LISTED:
                return _pack(found), False
            if kind is None:
                if len(path) + 2 > MAX_DEPTH:
                    complete = False
                else:
                    waiting.append((*path, name))
            else:
                found.append((full, kind))
    return _pack(found), complete


def _pack(found: list[tuple[str, int]]) -> bytes:
    return json.dumps(sorted(found), ensure_ascii=False, separators=(",", ":")).encode()


def _entries(folder: int, path: tuple[str, ...]) -> Iterator[tuple[str, int | None]]:
    """Yield name and size of each regular file, name and None of each folder."""
    parent = _parent(folder, [*path, "."], make=False)
    try:
        with os.scandir(parent) as entries:
            for entry in entries:
                try:
                    mark = os.stat(entry.name, dir_fd=parent, follow_symlinks=False)
                except OSError:
                    continue
                if stat.S_ISREG(mark.st_mode):
                    yield entry.name, mark.st_size
                elif stat.S_ISDIR(mark.st_mode):
                    yield entry.name, None
    finally:
        os.close(parent)
