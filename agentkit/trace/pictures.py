"""Pictures by their first bytes: what a media type or a file name claims is not believed."""

from __future__ import annotations

import base64
import binascii
import struct
from dataclasses import dataclass

MOST_PIXELS = 40_000_000
"""A browser needs four bytes for each when it shows the picture."""

_JPEG_SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of frames, which tell the size


@dataclass(frozen=True, slots=True)
class Picture:
    """A raster picture that a browser can show.

    Attributes:
        media_type: by its bytes.
        width: pixels.
        height: pixels.
    """

    media_type: str
    width: int
    height: int


def recognize(data: bytes) -> Picture | None:
    """Return what picture the bytes are; None for no PNG, JPEG, GIF or WebP, or for a huge one."""
    try:
        found = _by_magic(data)
    except (struct.error, IndexError):
        return None
    if found is None or not 0 < found.width * found.height <= MOST_PIXELS:
        return None
    return found


def data_uri(picture: Picture, data: bytes) -> str:
    """Return the picture as a `data:` address."""
    return f"data:{picture.media_type};base64,{base64.b64encode(data).decode()}"


def from_data_uri(url: str) -> bytes | None:
    """Return the bytes of a base64 `data:` address; None for any other address."""
    head, comma, body = url.partition(",")
    if not comma or not head.lower().startswith("data:") or not head.lower().endswith(";base64"):
        return None
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        return None


def _by_magic(data: bytes) -> Picture | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR":
        return Picture("image/png", *struct.unpack_from(">II", data, 16))
    if data.startswith((b"GIF87a", b"GIF89a")):
        return Picture("image/gif", *struct.unpack_from("<HH", data, 6))
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp(data)
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg(data)
    return None


def _webp(data: bytes) -> Picture | None:
    match data[12:16]:
        case b"VP8 ":
            width, height = struct.unpack_from("<HH", data, 26)
            size = width & 0x3FFF, height & 0x3FFF
        case b"VP8L":
            (bits,) = struct.unpack_from("<I", data, 21)
            size = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            size = (
                int.from_bytes(data[24:27], "little") + 1,
                int.from_bytes(data[27:30], "little") + 1,
            )
        case _:
            return None
    return Picture("image/webp", *size)


def _jpeg(data: bytes) -> Picture | None:
    at = 2
    while data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _JPEG_SIZES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return Picture("image/jpeg", width, height)
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None
