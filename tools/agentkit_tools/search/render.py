"""Results as compact text for a model, in a form that a program can read too.

A search result is a list of blocks. Each is a header line, the passage, and a blank line:

    [1] prices.en.md:8-20 | GLM-5 prices > GLM family | score 15.67 | also in old/prices.md:8-20
    | Model | Input | Cached | Output |
    ...

The header matches HEADER below; the heading is "-" where there is none, and "also in" stands only
where other documents hold the same text. A line of a passage that looks like a header gets a
space in front, so that no document can forge a source.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from agentkit.tool.grep import Matches
from agentkit_tools.search.chunk import estimated_tokens
from agentkit_tools.search.policy import Policy
from agentkit_tools.search.ranking import Hit

_NEAREST = 5

HEADER = re.compile(
    r"^\[(?P<number>\d+)\] (?P<document>.+):(?P<start>\d+)-(?P<end>\d+) \| (?P<heading>.*?)"
    r" \| score (?P<score>\d+\.\d\d)(?: \| also in (?P<also_in>.+))?$",
    re.MULTILINE,
)
FORGED = re.compile(r"^(?=\[\d+\] .*\| score )", re.MULTILINE)
ALSO_SHOWN = 5


def hits_text(hits: Sequence[Hit], policy: Policy) -> str:
    """Write hits, best first; passages beyond the budget are named but not shown."""
    blocks: list[str] = []
    left = policy.answer_tokens
    for number, hit in enumerate(hits, start=1):
        cost = estimated_tokens(hit.text)
        if number == 1 or cost <= left:
            text = FORGED.sub(" ", hit.text)
            left -= cost
        else:
            text = (
                "(left out to keep the answer short; "
                f"read_document({hit.document!r}, {hit.start_line}, {hit.end_line}) shows it)"
            )
        blocks.append(f"{header(number, hit)}\n{text}\n")
    return "\n".join(blocks)


def header(number: int, hit: Hit) -> str:
    """Write the header line of a hit."""
    line = (
        f"[{number}] {hit.document}:{hit.start_line}-{hit.end_line}"
        f" | {hit.heading or '-'} | score {max(hit.score, 0.0):.2f}"
    )
    if hit.also_in:
        more = len(hit.also_in) - ALSO_SHOWN
        shown = ", ".join(hit.also_in[:ALSO_SHOWN])
        line += f" | also in {shown}" + (f" and {more} more" if more > 0 else "")
    return line


def no_hits_text(query: str, documents: int) -> str:
    """Say that nothing was found, and what to try."""
    if not documents:
        return "No documents: the folder holds no readable Markdown, text, HTML or PDF file."
    return (
        f"No passage in {documents} documents contains any word of {query!r}. Try other words, "
        "the language of the documents, a name or a number that must stand there, or "
        "grep_documents with a part of a word."
    )


def lines_text(document: str, lines: Sequence[str], start: int, end: int, policy: Policy) -> str:
    """Write lines `start` to `end` with their numbers, as many as the policy allows."""
    total = len(lines)
    shown: list[str] = []
    characters = 0
    for number in range(start, min(end, total, start + policy.read_lines - 1) + 1):
        line = lines[number - 1]
        room = policy.read_characters - characters
        if len(line) > room:
            if shown:
                break
            line = f"{line[:room]}… (line {number} has {len(line)} characters and is cut here)"
        shown.append(f"{number}: {line}")
        characters += len(line)
    last = start + len(shown) - 1
    text = f"{document} lines {start}-{last} of {total}\n" + "\n".join(shown)
    if last < min(end, total):
        text += f"\n(more: read_document({document!r}, {last + 1}) goes on)"
    return text


def matches_text(matches: Matches, pattern: str, documents: int, policy: Policy) -> str:
    """Write matching lines as `document:line: text`."""
    shown: list[str] = []
    characters = 0
    for match in matches.found[: policy.grep_matches]:
        line = f"{match.document}:{match.line}: {match.text.strip()}"
        characters += len(line)
        if characters > policy.read_characters:
            break
        shown.append(line)
    if matches.timed_out:
        shown.append(
            f"(stopped after {policy.grep_seconds:g} s, there may be more: the pattern is too "
            "slow; avoid repeats inside repeats such as (a+)+)"
        )
    elif len(matches.found) > len(shown):
        shown.append("(more lines match; make the pattern narrower)")
    elif not shown:
        return (
            f"No line in {documents} documents matches {pattern!r}. The pattern is a Python "
            "regular expression, matched against single lines; a pattern without capital "
            "letters ignores case."
        )
    return "\n".join(shown)


def nearest(document: str, known: Sequence[str]) -> list[str]:
    """Return the ids that a wrong id may have meant, likeliest first."""
    name = PurePosixPath(document).name.lower()
    same = [other for other in known if PurePosixPath(other).name.lower() == name]
    close = difflib.get_close_matches(document, known, _NEAREST, 0.5)
    return list(dict.fromkeys([*same, *close]))[:_NEAREST]
