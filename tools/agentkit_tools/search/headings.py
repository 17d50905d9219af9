"""Where the headings of a document are: Markdown marks, page numbers, or the look of a line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agentkit_tools.search.parse import Parsed
from agentkit_tools.search.tokens import unspaced_length

ATX = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*$")
UNDERLINE = re.compile(r"^ {0,3}(=+|-{2,})[ \t]*$")
FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
TABLE_ROW = re.compile(r"^\s*\|.*\|\s*$")
LIST_ITEM = re.compile(r"^\s*(?:[-*+•]|\d+[.)])\s")
LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")

TITLE_LEVEL, PLAIN_LEVEL = 0, 7
LONGEST_PLAIN = 80
LONGEST_SHOWN = 120
SENTENCE_ENDS = '.!?;:。！？；：…)）"»”'
NEVER_LAST = ".,;:!。，；：！、…\\"
CODE = frozenset("={}[]<>|;`\\\t$@")


@dataclass(frozen=True, slots=True)
class Heading:
    """A place where a section starts.

    Attributes:
        line: index of its first line, from 0.
        height: lines that the title itself takes; 0 where nothing in the text shows it.
        path: titles from the outermost to this one, joined by " > ".
    """

    line: int
    height: int
    path: str


def find_headings(parsed: Parsed) -> list[Heading]:
    """Return the headings in order, the first at line 0 whether a title stands there or not."""
    if parsed.style == "pages":
        return [
            Heading(line, 0, f"page {number}") for number, line in enumerate(parsed.pages, start=1)
        ]
    marks = _markdown(parsed.lines) if parsed.style == "markdown" else _plain(parsed.lines)
    found: list[Heading] = []
    above: list[tuple[int, str]] = []
    for line, height, level, title in marks:
        while above and above[-1][0] >= level:
            above.pop()
        if shown := _shown(title):
            above.append((level, shown))
        found.append(Heading(line, height, " > ".join(name for _, name in above)))
    if not found or found[0].line > 0:
        found.insert(0, Heading(0, 0, ""))
    return found


def _markdown(lines: Sequence[str]) -> Iterator[tuple[int, int, int, str]]:
    """Yield line, height, level and title of ATX and underlined headings outside code."""
    at = _after_front_matter(lines)
    fence = ""
    while at < len(lines):
        line = lines[at]
        if fence:
            if line.strip().startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
        elif opened := FENCE.match(line):
            fence = opened[1]
        elif found := ATX.match(line):
            yield at, 1, len(found[1]), found[2]
        elif under := _underlined(lines, at):
            yield at, 2, 1 if under == "=" else 2, line
            at += 1
        at += 1


def _after_front_matter(lines: Sequence[str]) -> int:
    if lines and lines[0].strip() == "---":
        for at in range(1, min(len(lines), 100)):
            if lines[at].strip() == "---":
                return at + 1
    return 0


def _underlined(lines: Sequence[str], at: int) -> str:
    """Return "=" or "-" when a one-line paragraph at `at` is underlined with it, else ""."""
    line = lines[at]
    if not line.strip() or line.startswith("    ") or at + 1 >= len(lines):
        return ""
    if at > 0 and lines[at - 1].strip():
        return ""
    if TABLE_ROW.match(line) or LIST_ITEM.match(line) or line.lstrip().startswith((">", "<")):
        return ""
    found = UNDERLINE.match(lines[at + 1])
    return found[1][0] if found else ""


def _plain(lines: Sequence[str]) -> Iterator[tuple[int, int, int, str]]:
    """Yield the headings of plain text: Markdown marks that stand alone, and title-like lines."""
    first = next((at for at, line in enumerate(lines) if line.strip()), 0)
    fence = ""
    for at, line in enumerate(lines):
        if fence:
            fence = "" if line.strip() == fence else fence
            continue
        if opened := FENCE.match(line):
            fence = opened[1]
            continue
        before = lines[at - 1].strip() if at else ""
        after = lines[at + 1].strip() if at + 1 < len(lines) else ""
        if found := ATX.match(line):
            # Without blank lines around it, "# ..." is more likely a comment in code.
            if not before and not after:
                yield at, 1, len(found[1]), found[2]
        elif _looks_like_title(line) and _stands_like_title(line, before, after):
            yield at, 1, TITLE_LEVEL if at == first and not after else PLAIN_LEVEL, line


def _looks_like_title(line: str) -> bool:
    text = line.strip()
    if not text or line[0].isspace() or _width(text) > LONGEST_PLAIN or text[-1] in NEVER_LAST:
        return False
    first = text[0]
    if not first.isalnum() or first.islower() or CODE.intersection(text):
        return False
    return any(character.isalpha() for character in text)


def _stands_like_title(line: str, before: str, after: str) -> bool:
    if not after:
        return not before
    if TABLE_ROW.match(after):
        return True
    if LIST_ITEM.match(line) and LIST_ITEM.match(after):
        return False
    if not before:
        return _width(after) > _width(line.strip()) or bool(LIST_ITEM.match(after))
    ended = before[-1] in SENTENCE_ENDS or bool(TABLE_ROW.match(before))
    return ended and (_width(after) > LONGEST_PLAIN or bool(LIST_ITEM.match(after)))


def _width(text: str) -> int:
    """Count characters, those of scripts without spaces twice: they say about twice as much."""
    return len(text) + unspaced_length(text)


def _shown(title: str) -> str:
    """Strip Markdown from a title, and the signs that separate parts of a result line."""
    text = LINK.sub(r"\1", title.strip()).replace("|", "/").replace(">", "›")
    text = " ".join(text.replace("**", "").replace("`", "").split())
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"
