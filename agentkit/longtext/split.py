"""Splitting a text along its structure: no character is lost, and a part is never over its limit.

A part ends, in this order of preference, before a heading (the higher its level the better), a
paragraph, a line, a sentence, a word; inside a word only when that alone is over the limit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from agentkit.errors import ConfigError

BYTES_PER_TOKEN = 3.6
"""UTF-8 bytes of one token, low enough for English, Chinese, Russian and code; the estimate of
`agentkit.context` starts from the same figure."""

_PARAGRAPH, _LINE, _SENTENCE, _WORD, _CHARACTER = 7, 8, 9, 10, 11  # 1 to 6 are headings
_LEAST_FILL = 0.5
_FINE = 16  # a line longer than this fraction of the limit is cut into sentences

_FENCE = re.compile(r" {0,3}(```+|~~~+)")
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.+?)[ \t#]*$")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_CHAPTER = re.compile(
    r"\s*((?:chapter|part|book|appendix|глава|часть|раздел|приложение)\s+[\divxlc]+\b|"
    r"第[〇零一二三四五六七八九十百千\d]{1,6}[章节節部篇卷回])[^\n]{0,100}$",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?…]+[\"'»”’)\]]*\s+|[。！？]+[”’」』）]*")
_WORD_END = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a document.

    Attributes:
        position: from 1.
        start: offset of its first character in the document.
        text: the characters, unchanged.
        headings: the headings that its first line stands under, outermost first.
        tokens: estimated from its bytes.
    """

    position: int
    start: int
    text: str
    headings: tuple[str, ...]
    tokens: int


class _Atom(NamedTuple):
    """A piece that is not cut any more; `rank` says how good it is to cut before it."""

    rank: int
    length: int
    size: int
    heading: str = ""


def tokens(text: str) -> int:
    """Return the estimated tokens of a text."""
    return math.ceil(len(text.encode()) / BYTES_PER_TOKEN)


def split(document: str, part_tokens: int) -> list[Part]:
    """Split a document into parts of at most `part_tokens` estimated tokens, as even as it goes.

    The parts' texts joined are the document. An empty document has no parts.

    Raises:
        ConfigError: `part_tokens` is below 16, or the document holds a lone surrogate, which no
            request can carry.
    """
    if part_tokens < 16:
        raise ConfigError(f"part_tokens={part_tokens!r}: expected at least 16.")
    try:
        document.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"The document holds half a character (a lone surrogate) at offset {error.start}. "
            'Read it with errors="replace".'
        ) from error
    limit = int(part_tokens * BYTES_PER_TOKEN)
    return list(_parts(document, list(_atoms(document, limit)), limit))


def _parts(document: str, atoms: list[_Atom], limit: int) -> Iterator[Part]:
    left = sum(atom.size for atom in atoms)
    at = start = position = 0
    path: list[tuple[int, str]] = []
    while at < len(atoms):
        end = _end(atoms, at, left, limit)
        piece = atoms[at:end]
        size = sum(atom.size for atom in piece)
        stop = start + sum(atom.length for atom in piece)
        first = piece[0]
        above = [title for rank, title in path if not first.heading or rank < first.rank]
        position += 1
        yield Part(position, start, document[start:stop], tuple(above), _tokens(size))
        for atom in piece:
            if atom.heading:
                path = [entry for entry in path if entry[0] < atom.rank]
                path.append((atom.rank, atom.heading))
        at, start, left = end, stop, left - size


def _tokens(size: int) -> int:
    return math.ceil(size / BYTES_PER_TOKEN)


def _end(atoms: list[_Atom], at: int, left: int, limit: int) -> int:
    """Return where the part that begins at atom `at` ends: before the best atom in reach."""
    if left <= limit:
        return len(atoms)
    target = left / math.ceil(left / limit)
    best, best_key = at + 1, (math.inf, math.inf)
    size = 0
    for index in range(at, len(atoms)):
        if index > at and size >= target * _LEAST_FILL:
            key = (atoms[index].rank, abs(size - target))
            if key < best_key:
                best, best_key = index, key
        size += atoms[index].size
        if size > limit:
            return best if best_key[0] < math.inf else max(index, at + 1)
    return best


def _atoms(document: str, limit: int) -> Iterator[_Atom]:
    """Yield the lines with their ranks, the long ones in pieces."""
    lines = document.splitlines(keepends=True)
    fence = ""
    blank = False
    for number, line in enumerate(lines):
        rank, heading = (_PARAGRAPH if blank else _LINE), ""
        mark = _FENCE.match(line)
        if fence:
            rank = _LINE
            if mark and mark[1].startswith(fence) and not line[mark.end() :].strip():
                fence = ""
        elif mark:
            fence = mark[1]
        else:
            below = lines[number + 1] if number + 1 < len(lines) else ""
            level, heading = _heading(line, below, after_blank=blank or not number)
            rank = level or rank
        blank = not line.strip()
        yield from _pieces(line, rank, heading, max(limit // _FINE, 8))


def _heading(line: str, below: str, *, after_blank: bool) -> tuple[int, str]:
    """Return level and title of a heading in Markdown or of a chapter, or (0, "")."""
    if found := _HEADING.match(line):
        return len(found[1]), found[2]
    if not after_blank or not line.strip():
        return 0, ""
    if found := _UNDERLINE.match(below):
        return (1 if found[1].startswith("=") else 2), line.strip()
    if _CHAPTER.match(line):
        return 1, line.strip()
    return 0, ""


def _pieces(line: str, rank: int, heading: str, most: int) -> Iterator[_Atom]:
    """Yield a line whole, or cut at sentences, words and at last characters."""
    size = len(line.encode())
    if size <= most:
        yield _Atom(rank, len(line), size, heading)
        return
    for sentence in _cut(line, _SENTENCE_END):
        words = [sentence] if len(sentence.encode()) <= most else _cut(sentence, _WORD_END)
        for word in words:
            step = len(word) if len(word.encode()) <= most else most // 4
            for at in range(0, len(word), step):
                piece = word[at : at + step]
                yield _Atom(rank, len(piece), len(piece.encode()), heading)
                rank, heading = _CHARACTER, ""
            rank = _WORD
        rank = _SENTENCE


def _cut(text: str, after: re.Pattern[str]) -> Iterator[str]:
    start = 0
    for found in after.finditer(text):
        yield text[start : found.end()]
        start = found.end()
    if start < len(text):
        yield text[start:]
