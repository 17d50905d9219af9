"""Verification: string tests that a summary must pass before it may replace what it sums up.

A summary in another script than the user's is refused, however sound: the run would go on in its
language. Code, paths and names in Latin letters are no other language, and a user who has said next
to nothing has none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet

_PATH = re.compile(
    r"(?<![\w/.:-])(?:[\w.~-]*/)+[\w.-]*\w|(?<![\w/.-])[\w-]{2,}\.[A-Za-z][A-Za-z0-9]{0,4}\b(?![\w(/])"
)
_URL = re.compile(r"https?://[^\s)\"'>\]]+")
_NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?![\w])")
_HANDLE = re.compile(r"\b[0-9a-f]{12,64}\b")
_SCRIPTS: Mapping[str, re.Pattern[str]] = {
    "Latin": re.compile(r"(?<![\w/.])[A-Za-z]{2,}(?![\w/.])"),
    "Cyrillic": re.compile(r"[А-Яа-яЁё]{2,}"),
    "Chinese": re.compile(r"[\u4e00-\u9fff]"),
}
_SMALL = 100
"""Whole numbers below this may be counts that the model made itself."""
_SHARE = 0.1
"""Share of a summary's words that the user's script has at least."""


def problems(
    items: Mapping[str, str],
    *,
    archive: str,
    handles: AbstractSet[str],
    said: Sequence[str],
    tokens: Callable[[str], int],
    budget: int,
    replaced: int,
) -> list[str]:
    """Return what is wrong with a summary, in words that the model can act on; [] when nothing is.

    Args:
        items: the summary after its patch.
        archive: everything that the model was shown; paths and figures must occur in it.
        handles: sha256 of the blobs that can be opened.
        said: the user's messages, whose language the summary keeps.
        tokens: estimates the tokens of a text.
        budget: tokens that the summary may have.
        replaced: tokens of what it stands in for.
    """
    text = "\n".join(items.values())
    if not text.strip():
        return ["it is empty"]
    found: list[str] = []
    size = tokens(text)
    if size > budget:
        found.append(f"it has about {size:,} tokens, more than the {budget:,} allowed; shorten it")
    if size >= replaced:
        found.append(f"it is longer than the {replaced:,} tokens that it stands in for")
    if invented := _invented_paths(text, archive):
        found.append(f"these paths or files occur nowhere above: {_some(invented)}")
    if invented := _invented_numbers(text, archive):
        found.append(f"these figures occur nowhere above: {_some(invented)}")
    if unknown := _unknown_handles(text, archive, handles):
        found.append(f"these handles cannot be opened: {_some(unknown)}")
    if script := _other_script(text, said):
        found.append(f"it is not in the language of the user; write it in {script} script")
    return found


def missing(pinned: Sequence[str], prompt: str) -> list[str]:
    """Return the pinned texts that a prompt does not hold verbatim."""
    return [text for text in pinned if text not in prompt]


def _invented_paths(text: str, archive: str) -> list[str]:
    bare = _URL.sub(" ", text)
    wanted = {match.rstrip(".") for match in _PATH.findall(bare)}
    wanted |= {url.rstrip(".,;:") for url in _URL.findall(text)}
    return sorted(one for one in wanted if len(one) > 2 and one != "/" and one not in archive)


def _invented_numbers(text: str, archive: str) -> list[str]:
    plain = archive.replace(",", "")
    return sorted(
        {
            number
            for number in _NUMBER.findall(text)
            if not _is_small(number) and number.replace(",", "") not in plain
        }
    )


def _is_small(number: str) -> bool:
    return "." not in number and int(number.replace(",", "") or 0) < _SMALL


def _unknown_handles(text: str, archive: str, handles: AbstractSet[str]) -> list[str]:
    return sorted(
        {
            one
            for one in _HANDLE.findall(text)
            if not one.isdigit()
            and one not in archive
            and not any(handle.startswith(one) for handle in handles)
        }
    )


def _other_script(text: str, said: Sequence[str]) -> str:
    """Return the user's script when the text has next to nothing of it, else ""."""
    users = _words("\n".join(said))
    theirs = max(users, key=lambda script: users[script])
    words = _words(_PATH.sub(" ", text))
    total = sum(words.values())
    if users[theirs] < 10 or total < 10:
        return ""
    return theirs if words[theirs] < _SHARE * total else ""


def _words(text: str) -> dict[str, int]:
    return {script: len(pattern.findall(text)) for script, pattern in _SCRIPTS.items()}


def _some(items: Sequence[str]) -> str:
    more = f" and {len(items) - 10} more" if len(items) > 10 else ""
    return ", ".join(items[:10]) + more
