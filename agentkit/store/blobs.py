"""Blobs in a folder, each named by the sha256 of its bytes."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Container
from contextlib import suppress
from pathlib import Path

from agentkit.errors import StoreError

_SHA256 = re.compile(r"[0-9a-f]{64}")


class BlobFolder:
    """Files under `<folder>/ab/abcdef...`; writing is atomic and happens once per content."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, sha256: str) -> Path:
        """Return where a blob lies, or would lie.

        Raises:
            StoreError: the handle is no sha256 in hex, so it could name a path elsewhere.
        """
        if not _SHA256.fullmatch(sha256):
            raise StoreError(f"{sha256!r} is no blob handle; expected 64 hex digits.")
        return self._folder / sha256[:2] / sha256

    def put(self, data: bytes) -> str:
        """Write the bytes unless they are there, on disk before it returns, and return the handle.

        Raises:
            StoreError: the folder cannot be written.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        path = self.path(sha256)
        with suppress(OSError):
            os.utime(path)  # young again: `sweep` leaves it to the event that will name it
            return sha256
        draft = path.with_name(f".{sha256}.{os.urandom(4).hex()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise StoreError(f"A blob of {len(data)} bytes could not be kept: {error}.") from error
        return sha256

    def get(self, sha256: str) -> bytes:
        """Return the bytes of a handle.

        Raises:
            StoreError: the blob is missing, or its bytes no longer fit its name.
        """
        path = self.path(sha256)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise StoreError(f"The blob {sha256} is missing: {error}.") from error
        if hashlib.sha256(data).hexdigest() != sha256:
            raise StoreError(f"The blob {sha256} is damaged: its bytes do not fit its name.")
        return data

    def sweep(self, named: Container[str], grace: float) -> int:
        """Delete the blobs that are not named and older than `grace` seconds; return their bytes.

        The age is the file's, by the wall clock: a clock that jumps ahead by more than the grace
        can cost a blob whose event is not written yet.

        Raises:
            StoreError: the folder cannot be written.
        """
        freed = 0
        limit = time.time() - grace
        try:
            for path in self._folder.glob("*/*"):
                sha256 = path.name.removeprefix(".").partition(".")[0]  # or a draft left by a crash
                is_draft = path.name != sha256
                if is_draft or sha256 not in named:
                    found = path.stat()
                    if found.st_mtime <= limit:
                        path.unlink()
                        freed += found.st_size
        except OSError as error:
            raise StoreError(f"Blobs in {self._folder} cannot be deleted: {error}.") from error
        return freed
