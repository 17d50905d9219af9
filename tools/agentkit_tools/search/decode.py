"""Bytes of a text file to text: Unicode first, then a guess that has to prove itself."""

from __future__ import annotations

import codecs
import re

SAMPLE = 128 * 1024
"""Bytes that the guess looks at; more makes it slow and no better."""

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
DECLARED = re.compile(rb"(?i)<(?:meta[^>]*charset|\?xml[^>]*encoding)\s*=\s*[\"']?([\w-]+)")
CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


class Unreadable(Exception):
    """A file cannot become a document; the message says why, in words that follow its name."""


def decode(data: bytes, *, declared: bool = False) -> str:
    """Turn the bytes of a file into text with line breaks written as a line feed.

    Args:
        data: the whole file.
        declared: look for an encoding that the text itself names, as HTML does.

    Raises:
        Unreadable: the file is empty, is not text, or is in no encoding that fits.
    """
    if not data.strip():
        raise Unreadable("is empty")
    text = _marked(data) or (_as_declared(data) if declared else None)
    if text is None and b"\0" in data:
        raise Unreadable("is binary, not text")
    if text is None:
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            text = _guessed(data)
    if len(CONTROLS.findall(text, 0, SAMPLE)) > min(len(text), SAMPLE) // 20:
        raise Unreadable("is binary, not text")
    if not text.strip():
        raise Unreadable("is empty")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _marked(data: bytes) -> str | None:
    for mark, encoding in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            try:
                return data.decode(encoding)
            except UnicodeDecodeError as error:
                raise Unreadable(f"starts as {encoding} but breaks off: {error.reason}") from None
    return None


def _as_declared(data: bytes) -> str | None:
    if found := DECLARED.search(data, 0, 2048):
        try:
            return data.decode(found[1].decode("ascii"))
        except (LookupError, UnicodeError):
            return None  # the page lies about itself; go on as if it had said nothing
    return None


def _guessed(data: bytes) -> str:
    from charset_normalizer import from_bytes  # noqa: PLC0415 - 30 ms that most folders never need

    guess = from_bytes(data[:SAMPLE]).best()
    if guess is None:
        raise Unreadable("is neither UTF-8 nor in an encoding that could be guessed")
    try:
        return data.decode(guess.encoding)
    except (LookupError, UnicodeError):
        raise Unreadable(
            f"looked like {guess.encoding} but is not; save it as UTF-8 to have it indexed"
        ) from None
