"""The summary: what the model writes about what leaves the prompt, asked for as a patch.

A patch names items to add, change and remove, so that what an earlier summary said is not told
again and again until it is lost. Code applies it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SECTIONS: Mapping[str, str] = {
    "decisions": "what was decided, each with its reason",
    "facts": "what was found out, with file paths, exact figures and handles",
    "attempts": "what was tried and did not work, and why",
    "state": "what is done and what is half done",
    "next": "the next step",
}
"""The sections of a summary, in order."""

_LINE = re.compile(
    r"^\s*(?:[-*]\s+)?(?P<sign>[+~-])\s*(?P<key>[A-Za-z]+\d*)\s*[|:]\s*(?P<text>.*)$"
)
_DROP = re.compile(r"^\s*(?:[-*]\s+)?-\s*(?P<key>[a-z]\d+)\s*(?:[|:].*)?$")

_INSTRUCTION = """\
[Upkeep of the context, by the framework. In this one reply do not go on with the task and call no
tool: answer with text only.]
The oldest messages above are about to leave the prompt. The framework itself keeps the user's
messages, constraints, the plan, the list of files and all handles; do not repeat them. Write down
what else the rest of the work needs, as a patch to the summary that stands above{none}, one item a
line:
+ SECTION | text       adds an item
~ ID | text            changes an item that stands
- ID                   removes an item that is wrong or of no more use
Sections:
{sections}
State only what stands above; copy paths, names, figures and handles exactly. Write in the language
of the user. All items together have at most about {budget:,} tokens{standing}."""


@dataclass(frozen=True, slots=True)
class Patch:
    """What a reply asks to change in a summary.

    Attributes:
        add: section and text of new items.
        change: by id, the new text.
        remove: ids.
        ignored: lines that are no part of a patch.
    """

    add: tuple[tuple[str, str], ...] = ()
    change: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()
    ignored: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether it changes nothing."""
        return not (self.add or self.change or self.remove)


def parse(text: str) -> Patch:
    """Return the patch that a reply holds; lines of other shapes are ignored and counted.

    An item may go on over further lines, up to the next sign or heading.
    """
    add: list[tuple[str, str]] = []
    change: list[tuple[str, str]] = []
    remove: list[str] = []
    ignored = 0
    open_list: list[tuple[str, str]] | None = None
    for line in text.splitlines():
        stripped = line.strip()
        found = _LINE.match(line)
        if found and found["sign"] == "+" and found["key"].lower() in SECTIONS:
            add.append((found["key"].lower(), found["text"].strip()))
            open_list = add
        elif found and found["sign"] == "~" and found["key"][-1].isdigit():
            change.append((found["key"].lower(), found["text"].strip()))
            open_list = change
        elif dropped := _DROP.match(line):
            remove.append(dropped["key"])
            open_list = None
        elif not stripped or stripped.startswith(("#", "```")):
            open_list = None
        elif open_list:
            key, said = open_list[-1]
            open_list[-1] = key, f"{said} {stripped}"
        else:
            ignored += 1
    return Patch(_texts(add), _texts(change), tuple(remove), ignored)


def patched(summary: Mapping[str, str], patch: Patch) -> dict[str, str]:
    """Return the summary after a patch, by item id in the order of the sections.

    Ids are the section's first letter and a number; an id once given is not given again as long
    as a higher one stands.
    """
    items = {key: text for key, text in summary.items() if key not in patch.remove}
    items.update({key: text for key, text in patch.change if key in items})
    for section, text in patch.add:
        letter = section[0]
        numbers = [int(key[1:]) for key in {*items, *summary} if key[0] == letter]
        items[f"{letter}{max(numbers, default=0) + 1}"] = text
    order = [section[0] for section in SECTIONS]
    return dict(sorted(items.items(), key=lambda one: (order.index(one[0][0]), int(one[0][1:]))))


def render(summary: Mapping[str, str]) -> str:
    """Return a summary as the prompt shows it."""
    lines: list[str] = []
    for section in SECTIONS:
        items = [f"- {key}: {text}" for key, text in summary.items() if key[0] == section[0]]
        if items:
            lines += [f"### {section.capitalize()}", *items]
    return "\n".join(lines)


def instruction(
    summary: Mapping[str, str], budget: int, standing: int, problems: Sequence[str] = ()
) -> str:
    """Return what the model is told to write.

    Args:
        summary: what stands now.
        budget: tokens that the summary may hold.
        standing: tokens that it has now.
        problems: what was wrong with the last attempt.
    """
    sections = "\n".join(f"- {name}: {what}" for name, what in SECTIONS.items())
    text = _INSTRUCTION.format(
        none="" if summary else " (there is none yet)",
        sections=sections,
        budget=budget,
        standing=f"; those that stand have about {standing:,}" if summary else "",
    )
    if problems:
        wrong = "\n".join(f"- {problem}" for problem in problems)
        text += f"\nYour last patch was not taken:\n{wrong}\nWrite the whole patch again."
    return text


def _texts(items: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((key, " ".join(text.split())) for key, text in items if text)
