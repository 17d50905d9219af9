"""Foreign text made fit to be shown: clipped, and with nothing in it that hides or reorders."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import orjson

# Bidi embeddings, overrides and isolates make a text read other than it is (CVE-2021-42574).
_SUSPECT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_COLOUR = re.compile("\x1b\\[[0-9;:]*m")
_MARKUP = re.compile(r"^\s*#{1,6}\s+|^\s*[-*>]\s+|\*\*|`+|^\s*\|.*$", re.MULTILINE)
_HEAD = 0.75  # share of a clipped text that is kept from its beginning

Shown = str | dict[str, Any]
"""A whole text, or `head`, `tail` and the number of characters `left` out between them."""


@dataclass(frozen=True, slots=True)
class Clip:
    """Shortens texts to at most `limit` characters."""

    limit: int

    def __call__(self, text: str) -> Shown:
        """Return the text as the page's script takes it."""
        if len(text) <= self.limit:
            return clean(text)
        head = int(self.limit * _HEAD)
        tail = self.limit - head
        return {
            "head": clean(text[:head]),
            "tail": clean(text[-tail:]),
            "left": len(text) - self.limit,
        }


def clean(text: str) -> str:
    """Return the text with control characters and bidi controls made visible.

    Line ends become newlines; a terminal's colours are left out.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\x1b" in text:
        text = _COLOUR.sub("", text)
    return _SUSPECT.sub(_visible, text)


def line(text: str, limit: int = 160) -> str:
    """Return the beginning of a text as one clean line of at most `limit` characters."""
    words = " ".join(text[: limit * 4].split())
    cut = words if len(words) <= limit and len(text) <= limit * 4 else f"{words[: limit - 1]}…"
    return clean(cut)


def gist(text: str) -> str:
    """Return the beginning of a Markdown text as one line without its marks."""
    return line(_MARKUP.sub("", text[:1000]))


def embedded(value: Any) -> bytes:
    """Return JSON that can stand in a script element: no `<` ends or begins anything in it."""
    return orjson.dumps(value).replace(b"<", b"\\u003c")


def pretty(value: Any) -> str:
    """Return a value as indented JSON."""
    return orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2).decode()


def _visible(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)  # its picture, such as ␀
    if code == 0x7F:
        return "\u2421"
    return f"⟨U+{code:04X}⟩"
