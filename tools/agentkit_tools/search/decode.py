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
LATIN = ("cp1252", "cp1250")
OTHERS = (
    *("gb18030", "big5", "shift_jis", "euc_jp", "euc_kr"),
    *("cp1251", "koi8_r", "cp1253"),
)
HIGH_BYTES = re.compile(rb"[\x80-\xff]+")
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
    """Choose the encoding that reads best; among equals, the commonest for such bytes.

    Left to itself the guess takes French for cp1250 and short Chinese for Korean.
    """
    from charset_normalizer import from_bytes  # noqa: PLC0415 - 30 ms that most folders never need

    sample = data[:SAMPLE]
    runs = HIGH_BYTES.findall(sample)
    accents = 2 * sum(len(run) == 1 for run in runs) > len(runs)  # single ones inside ASCII words
    likely, others = (LATIN, OTHERS) if accents else (OTHERS, LATIN)
    order = (*likely, *others)
    matches = list(from_bytes(sample, cp_isolation=[*order]))
    if not matches:
        raise Unreadable("is neither UTF-8 nor in an encoding that could be guessed")
    chaos = min(match.chaos for match in matches)
    clean = [match for match in matches if match.chaos <= chaos + 0.02]
    clean = [match for match in clean if match.encoding in likely] or clean
    coherence = max(match.coherence for match in clean)
    best = [match.encoding for match in clean if match.coherence >= coherence - 0.05]
    encoding = min(best, key=lambda name: order.index(name) if name in order else len(order))
    try:
        return data.decode(encoding)
    except UnicodeError:
        raise Unreadable(
            f"looked like {encoding} but is not; save it as UTF-8 to have it indexed"
        ) from None
