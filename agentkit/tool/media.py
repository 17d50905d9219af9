"""Files that a tool returns without a name: what they are, by their first bytes."""

from __future__ import annotations

import hashlib
import io
from typing import Any, Final, cast

from agentkit.tool.base import Artifact

_SIGNATURES: Final = (
    (b"\x89PNG\r\n\x1a\n", "png", "image/png"),
    (b"\xff\xd8\xff", "jpg", "image/jpeg"),
    (b"GIF87a", "gif", "image/gif"),
    (b"GIF89a", "gif", "image/gif"),
    (b"%PDF-", "pdf", "application/pdf"),
    (b"PK\x03\x04", "zip", "application/zip"),
    (b"\x1f\x8b", "gz", "application/gzip"),
    (b"ID3", "mp3", "audio/mpeg"),
    (b"OggS", "ogg", "audio/ogg"),
    (b"II*\x00", "tiff", "image/tiff"),
    (b"MM\x00*", "tiff", "image/tiff"),
    (b"SQLite format 3\x00", "sqlite", "application/vnd.sqlite3"),
    (b"PAR1", "parquet", "application/vnd.apache.parquet"),
)
_RIFF: Final = {b"WEBP": ("webp", "image/webp"), b"WAVE": ("wav", "audio/wav")}


def artifact_of(data: bytes) -> Artifact:
    """Return bytes as a file; the same bytes have the same name, different ones another."""
    suffix, media_type = _kind(data)
    digest = hashlib.sha256(data).hexdigest()[:8]
    return Artifact(f"result-{digest}.{suffix}", media_type, data)


def is_data(value: object) -> bool:
    """Whether a value is bytes, or can draw itself: a PIL image, a matplotlib figure."""
    return isinstance(value, bytes | bytearray | memoryview) or _draws(value) or _is_figure(value)


def data_of(value: object) -> bytes | None:
    """Return the bytes that a value is, or its picture as PNG; None for other values.

    A picture is asked for as a notebook would ask: `_repr_png_`, or matplotlib's `savefig`.
    """
    kind: Any = type(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(cast("bytes", value))
    if _draws(value) and isinstance(data := kind._repr_png_(value), bytes):
        return data
    if _is_figure(value):
        buffer = io.BytesIO()
        kind.savefig(value, buffer, format="png", bbox_inches="tight")
        return buffer.getvalue()
    return None


def _draws(value: object) -> bool:
    return callable(getattr(type(value), "_repr_png_", None))


def _is_figure(value: object) -> bool:
    kind = type(value)
    return kind.__module__.startswith("matplotlib.") and hasattr(kind, "savefig")


def text_of(data: bytes) -> str | None:
    """Return the text that bytes are, or None."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return text if "\0" not in text else None


def _kind(data: bytes) -> tuple[str, str]:
    for start, suffix, media_type in _SIGNATURES:
        if data.startswith(start):
            return suffix, media_type
    if data[:4] == b"RIFF" and data[8:12] in _RIFF:
        return _RIFF[data[8:12]]
    if data[4:8] == b"ftyp":
        return "mp4", "video/mp4"
    if text_of(data) is not None:
        return "txt", "text/plain"
    return "bin", "application/octet-stream"
