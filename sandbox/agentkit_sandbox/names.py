"""Names and media types of files that come out of a sandbox, decided by the host."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath
from typing import Final

MAX_NAME: Final = 100
MAX_PART: Final = 255  # bytes of UTF-8
MAX_PARTS: Final = 16
_KEPT: Final = frozenset("._- ()+,=@")
_SIGNATURES: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
)
# Believed by the suffix only for text; a browser is never told that it is HTML or a script.
_TEXT: Final = {
    ".csv": "text/csv",
    ".json": "application/json",
    ".md": "text/markdown",
    ".tsv": "text/tab-separated-values",
    ".txt": "text/plain",
}


def safe_name(name: str) -> str:
    """Return a name without folder, leading dot or control character; never empty."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(
        letter if letter in _KEPT or unicodedata.category(letter)[0] in "LNM" else "_"
        for letter in last
    )
    kept = kept.lstrip(". -").rstrip(". ") or "file"
    path = PurePosixPath(kept)
    suffix = path.suffix[:16]
    return path.stem[: MAX_NAME - len(suffix)] + suffix


def plain_path(path: str) -> str:
    """Return a path below a workspace unchanged, after it was checked.

    Raises:
        ValueError: it is absolute, has "." or ".." or nothing between two "/", is longer than
            a file system takes, or has characters that UTF-8 has not.
    """
    parts = path.split("/")
    try:
        longest = max(len(part.encode()) for part in parts)
    except UnicodeEncodeError:
        longest = 0
    plain = all(part not in ("", ".", "..") and "\0" not in part for part in parts)
    if not plain or not 0 < longest <= MAX_PART or len(parts) > MAX_PARTS:
        raise ValueError(
            f"{path!r:.200} names no file of a sandbox; give a relative path such as "
            f"'data/sales.csv', without '..', at most {MAX_PARTS} parts of {MAX_PART} bytes."
        )
    return path


def unique(name: str, taken: set[str]) -> str:
    """Return the name, with a number before its suffix where it is taken already."""
    path, number, candidate = PurePosixPath(name), 1, name
    while candidate in taken:
        number += 1
        candidate = f"{path.stem}-{number}{path.suffix}"
    return candidate


def media_type(name: str, data: bytes) -> str:
    """Return the media type by content; by suffix only for plain text formats."""
    for signature, found in _SIGNATURES:
        if data.startswith(signature):
            return found
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    suffix = PurePosixPath(name).suffix.lower()
    if suffix == ".svg" and b"<svg" in data[:2000]:
        return "image/svg+xml"
    return _TEXT.get(suffix, "application/octet-stream")
