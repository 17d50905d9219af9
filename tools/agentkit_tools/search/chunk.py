"""Lines to passages of about 200 tokens, cut along headings, paragraphs and tables.

A passage is a run of whole lines with its true line range, with two exceptions. A line too long
for one passage is cut into several that carry the same range. A table too long for one passage is
cut between rows, and each later part repeats the two header lines in front of its own rows: the
range counts the rows only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agentkit_tools.search.headings import FENCE, TABLE_ROW, find_headings
from agentkit_tools.search.parse import Parsed
from agentkit_tools.search.policy import Policy
from agentkit_tools.search.tokens import unspaced_length

TABLE_RULE = re.compile(r"^\s*\|?[\s|:-]*-[\s|:-]*$")
ASCII_RUN = re.compile(r"[\x00-\x7f]+")
BREAKS = re.compile(r"(?<=[.!?;])\s|(?<=[。！？；])|(?<=\s)")
"""Where a long line may be cut: after sentences, after words."""


@dataclass(frozen=True, slots=True)
class Passage:
    """What one search hit shows.

    Attributes:
        start: first line, from 1.
        end: last line, included.
        heading: titles from the outermost to the nearest, joined by " > "; may be empty.
        text: the lines, joined by line feeds, without blank lines at either end.
    """

    start: int
    end: int
    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class _Piece:
    """Lines that are not cut any further.

    Attributes:
        first: index of the first line.
        end: index after the last line.
        tokens: estimated size.
        kind: "text", "table" or "code".
        text: set where the piece is not just its lines; such a piece is a passage of its own.
    """

    first: int
    end: int
    tokens: int
    kind: str = "text"
    text: str | None = None


def estimated_tokens(text: str) -> int:
    """Estimate how many tokens a model sees: good to about a fifth, and quick."""
    bars = 2 * text.count("|")  # cells of a table are short, and short words cost more
    if text.isascii():
        return (len(text) + bars) // 4 + 1
    unspaced = unspaced_length(text)
    other = len(ASCII_RUN.sub("", text)) - unspaced
    return (len(text) - unspaced + other // 2 + bars) // 4 + unspaced * 2 // 3 + 1


def passages(parsed: Parsed, policy: Policy) -> list[Passage]:
    """Cut a document into passages, in order; every line with text is in at least one."""
    lines = parsed.lines
    headings = find_headings(parsed)
    found: list[Passage] = []
    start = 0  # of the section, titles above it that have no text of their own included
    for heading, following in zip(headings, [*headings[1:], None], strict=True):
        end = following.line if following else len(lines)
        body = lines[heading.line + heading.height : end]
        if following and not any(line.strip() for line in body):
            continue
        pieces = _pieces(lines, start, end, policy)
        found.extend(_passage(lines, group, heading.path) for group in _groups(pieces, policy))
        start = end
    return found


def _passage(lines: Sequence[str], group: Sequence[_Piece], heading: str) -> Passage:
    first, end = group[0].first, group[-1].end
    text = group[0].text
    if text is None:
        text = "\n".join(lines[first:end])
    return Passage(first + 1, end, heading, text)


def _groups(pieces: Iterator[_Piece], policy: Policy) -> Iterator[list[_Piece]]:
    """Pack neighbours until a passage has its size; a table stays with a short introduction."""
    group: list[_Piece] = []
    size = 0
    for piece in pieces:
        room = policy.passage_tokens * 5 // 4
        if piece.kind == "table" and size <= policy.passage_tokens // 2:
            room = policy.table_max_tokens
        alone = piece.text is not None
        if group and (alone or size + piece.tokens > room):
            yield group
            group, size = [], 0
        if alone:
            yield [piece]
        else:
            group.append(piece)
            size += piece.tokens
    if group:
        yield group


def _pieces(lines: Sequence[str], start: int, end: int, policy: Policy) -> Iterator[_Piece]:
    for first, last, kind in _blocks(lines, start, end):
        tokens = estimated_tokens("\n".join(lines[first:last]))
        limit = policy.table_max_tokens if kind == "table" else policy.passage_max_tokens
        if tokens <= limit:
            yield _Piece(first, last, tokens, kind)
        elif kind == "table":
            yield from _cut_table(lines, first, last, policy)
        else:
            for at in range(first, last):
                yield from _cut_line(lines[at], at, policy)


def _blocks(lines: Sequence[str], start: int, end: int) -> Iterator[tuple[int, int, str]]:
    """Yield runs of lines that belong together: first, end and kind."""
    at = start
    while at < end:
        first = at
        if not lines[at].strip():
            at += 1
            continue
        if opened := FENCE.match(lines[at]):
            at += 1
            while at < end and lines[at].strip() != opened[1]:
                at += 1
            at = min(at + 1, end)
            yield first, at, "code"
            continue
        in_table = TABLE_ROW.match(lines[at]) is not None
        while at < end and lines[at].strip() and (at == first or not FENCE.match(lines[at])):
            if (TABLE_ROW.match(lines[at]) is not None) != in_table:
                break
            at += 1
        yield first, at, "table" if in_table else "text"


def _cut_table(lines: Sequence[str], first: int, end: int, policy: Policy) -> Iterator[_Piece]:
    has_header = end - first > 2 and TABLE_RULE.match(lines[first + 1]) is not None
    head: Sequence[str] = lines[first : first + 2] if has_header else ()
    head_tokens = estimated_tokens("\n".join(head))
    begin, size = first, 0
    for at in range(first, end):
        tokens = estimated_tokens(lines[at])
        if tokens > policy.table_max_tokens:
            if begin < at:
                yield _table_part(lines, begin, at, size, head if begin > first else ())
            yield from _cut_line(lines[at], at, policy)
            begin, size = at + 1, head_tokens
            continue
        if size + tokens > policy.table_max_tokens and at > begin and at >= first + len(head):
            yield _table_part(lines, begin, at, size, head if begin > first else ())
            begin, size = at, head_tokens
        size += tokens
    if begin < end:
        yield _table_part(lines, begin, end, size, head if begin > first else ())


def _table_part(
    lines: Sequence[str], first: int, end: int, tokens: int, head: Sequence[str]
) -> _Piece:
    text = "\n".join([*head, *lines[first:end]]) if head else None
    return _Piece(first, end, tokens, "table", text)


def _cut_line(line: str, at: int, policy: Policy) -> Iterator[_Piece]:
    tokens = estimated_tokens(line)
    if not line.strip():
        return
    if tokens <= policy.passage_max_tokens:
        yield _Piece(at, at + 1, tokens)
        return
    part: list[str] = []
    size = 0.0
    for word in _short_parts(line, policy.passage_tokens):
        cost = estimated_tokens(word) - 0.5  # the estimate rounds up, and words are many
        if part and size + cost > policy.passage_tokens:
            yield _Piece(at, at + 1, int(size), "text", "".join(part).strip())
            part, size = [], 0.0
        part.append(word)
        size += cost
    if "".join(part).strip():
        yield _Piece(at, at + 1, int(size), "text", "".join(part).strip())


def _short_parts(line: str, tokens: int) -> Iterator[str]:
    """Split a line after sentences and words, and by length where it has neither."""
    begin = 0
    for found in BREAKS.finditer(line):
        if found.end() > begin:
            yield from _slices(line[begin : found.end()], tokens)
            begin = found.end()
    yield from _slices(line[begin:], tokens)


def _slices(text: str, width: int) -> Iterator[str]:
    for at in range(0, len(text), width):
        yield text[at : at + width]
