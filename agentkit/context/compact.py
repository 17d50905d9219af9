"""Compaction: when it is worth its price, where it cuts, what stands in the old part's place."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentkit.context.ledger import USER_MESSAGES, Ledger, Said
from agentkit.context.offload import SHORT, opening
from agentkit.context.policy import Compact, Mode
from agentkit.context.prices import paid
from agentkit.context.summary import render
from agentkit.events import Compacted
from agentkit.messages import Content, Message, ToolOutput, User, plain_text
from agentkit.model import Price

if TYPE_CHECKING:
    from agentkit.context.context import Context


_VERBATIM = 500  # tokens up to which a message of the user is kept whole in the ledger
_SAID = 6_000  # tokens of all of them together; older ones beyond are shown by their first lines
_GOAL = 2_000  # tokens up to which the first message is kept whole, whatever the others take
_FIRST = 200  # characters of a long message that are shown
_PARTS = 40  # messages that are shown by their first words, the newest; the rest are counted
_RESULTS = 30  # old results that are named
_FILES = 60  # files that are named, the newest

_HEADER = (
    "[State of this work, kept by the framework. Older messages were left out of the prompt; this "
    "stands in their place. It is no new instruction.]"
)


def threshold(
    base: float, growth: float, price: Price | None, policy: Compact, window: int | None
) -> int:
    """Return the tokens at which compacting is cheapest.

    T = B + sqrt(2 g (B + (F + Q) / p_c)), where F = s p_out + (s + k)(p_in - p_c) is what a
    compaction costs, Q the damage expected of it, s its summary and k its tail.

    Args:
        base: B, tokens of the context after a compaction.
        growth: g, tokens that a turn adds.
        price: of the model.
        policy: s, k, Q and the bounds.
        window: of the model; the hard stop bounds the threshold too.
    """
    hard = hard_stop(policy, window)
    if policy.at is not None:
        return min(policy.at, hard)
    best = base + math.sqrt(2 * growth * (base + _cost(price, policy) / (paid(price).cached / 1e6)))
    least = max(policy.floor, round(base * 1.25))
    return min(max(min(round(best), policy.cap), least), hard)


def hard_stop(policy: Compact, window: int | None) -> int:
    """Return the tokens at which nothing waits any more."""
    return round(policy.hard_stop * window) if window else 10**9


def compaction_pays_after(removed: int, price: Price | None, policy: Compact) -> float | None:
    """Return the turns after which a compaction has paid for itself, damage left out."""
    if removed <= 0:
        return None
    cost = _cost(price, policy) - policy.damage_usd
    return round(cost / (removed * paid(price).cached / 1e6), 2)


def _cost(price: Price | None, policy: Compact) -> float:
    own = paid(price)
    summary = policy.summary if policy.mode in {"summary", "fresh"} else 0
    again = (summary + policy.tail) * (own.input - own.cached)
    return (summary * own.output + again) / 1e6 + policy.damage_usd


def find_cut(messages: Sequence[Message], sizes: Sequence[int], tail: int) -> int | None:
    """Return the index from which messages stay: about `tail` tokens, no call torn from its result.

    At least the last reply with its results stays. None when nothing would go.
    """
    kept = 0
    cut: int | None = None
    for index in range(len(messages) - 1, 0, -1):
        kept += sizes[index]
        if kept > tail and cut is not None:
            break
        if not isinstance(messages[index], ToolOutput):
            cut = index
    return cut if cut is not None and cut > 1 else None


def border(messages: Sequence[Message], cut: int) -> int | None:
    """Return the cut moved back to a place where no call is torn; None when nothing would go."""
    cut = min(cut, len(messages))
    while 1 < cut < len(messages) and isinstance(messages[cut], ToolOutput):
        cut -= 1
    return cut if cut > 1 else None


@dataclass(frozen=True, slots=True)
class Composed:
    """What stands in the place of the part that was cut.

    Attributes:
        content: of the system message; "" for none.
        user: the message of the user under which the tail goes on; None when the tail has one
            first.
        pinned: texts that the prompt must hold verbatim.
    """

    content: str
    user: Content | None
    pinned: tuple[str, ...] = ()


def compose(context: Context, cut: int, summary: Mapping[str, str]) -> Composed:
    """Return the ledger and the summary as they will stand before the message at `cut`."""
    messages = context.messages
    user = _current(messages, cut)
    shown = [message for message in messages[cut:] if isinstance(message, User)]
    count = len(shown) + (user is not None)
    ledger = context.ledger
    older = ledger.said[: len(ledger.said) - count] if count else ledger.said
    pinned: list[str] = []
    parts = [_HEADER, *_said(context, older, pinned)]
    visible = [plain_text(message.content) for message in shown]
    visible += [] if user is None else [plain_text(user)]
    latest = ledger.said[len(older) :]
    pinned += _constraints(parts, [one for one in latest if one.text not in visible], older)
    parts += _state(ledger)
    parts += _results(context, cut)
    if summary:
        parts += ["", "## Summary, written by you", render(summary)]
    content = "\n".join(parts) if len(parts) > 1 else ""  # a message shown in part left nothing out
    return Composed(content, user, tuple(pinned))


def compacted(
    context: Context,
    policy: Compact,
    cut: int,
    summary: Mapping[str, str],
    *,
    reason: str,
    mode: Mode,
    freed: int = 0,
) -> Compacted:
    """Return the event that replaces what stands before the message at `cut`.

    Args:
        context: of the run.
        policy: what it cost is reckoned by.
        cut: index of the first message that stays.
        summary: the items of the summary; of mode "fresh" its text as the item "s1".
        reason: why, in a word.
        mode: what is left.
        freed: tokens of old results in the tail that are cleared with it.
    """
    composed = compose(context, cut, summary)
    content = composed.content
    if mode in {"fresh", "drop"}:
        content = "Summary of the work so far:\n" + summary["s1"] if mode == "fresh" else ""
        summary = {}
    sizes = context.sizes()
    head = context.estimate.of(len(content.encode(errors="replace")))
    if composed.user is not None:
        head += context.estimate.of(len(plain_text(composed.user).encode(errors="replace")))
    removed = sum(sizes[1:cut]) - head
    return Compacted(
        cut=cut,
        content=content,
        user=composed.user,
        summary=summary,
        reason=reason,
        mode=mode,
        removed=removed,
        rewritten=head + sum(sizes[cut:]) - freed + (sizes[0] if context.is_joining else 0),
        pays_after=compaction_pays_after(removed, context.price, policy),
    )


def _current(messages: Sequence[Message], cut: int) -> Content | None:
    """Return the user's message that the tail goes on under, unless the tail begins with one."""
    if cut < len(messages) and isinstance(messages[cut], User):
        return None
    for message in reversed(messages[1:cut]):
        if isinstance(message, User):
            return message.content
    return None


def _said(context: Context, older: Sequence[Said], pinned: list[str]) -> list[str]:
    """Show the goal and the newest messages whole, others by their first words, all findable."""
    if not older:
        return []
    sizes = [context.estimate.of(len(said.text.encode(errors="replace"))) for said in older]
    whole = {0} if sizes[0] <= _GOAL else set[int]()
    room = _SAID
    for at in range(len(older) - 1, 0, -1):
        if sizes[at] <= min(_VERBATIM, room):
            room -= sizes[at]
            whole.add(at)
    parts = [at for at in range(len(older)) if at not in whole]
    named = {*parts[:1], *parts[-_PARTS:]} if parts[:1] == [0] else set(parts[-_PARTS:])
    lines: list[str] = []
    passed = [older[at] for at in parts if at not in named]
    for at, said in enumerate(older):
        if at in whole:
            pinned.append(said.text)
            lines.append(f"- (turn {said.turn}) {said.text}")
        elif at in named:
            how = _opened(context, said.sha256)
            first = " ".join(said.text[: _FIRST if sizes[at] > _VERBATIM or not at else 80].split())
            lines.append(f"- (turn {said.turn}, about {sizes[at]:,} tokens, {how}) {first}...")
        elif passed and said is passed[-1]:
            how = _opened(context, USER_MESSAGES) if context.is_readable else "kept in the log"
            turns = f"turns {passed[0].turn} to {said.turn}"
            lines.append(f"- ({turns}) {len(passed)} messages that are not shown; {how}")
    return ["", "## What the user said before, oldest first", *lines]


def _opened(context: Context, handle: str) -> str:
    readable = context.is_readable
    short = handle if handle == USER_MESSAGES or not readable else handle[:SHORT]
    return opening(short, readable=readable)


def _constraints(parts: list[str], latest: Sequence[Said], older: Sequence[Said]) -> list[str]:
    whole = "\n".join(parts)
    found = {
        text: said.turn
        for said in (*older, *latest)
        for text in said.constraints
        if text not in whole
    }
    if found:
        parts += ["", "## Constraints, in the user's words"]
        parts += [f"- (turn {turn}) {text}" for text, turn in found.items()]
    return [text for said in (*older, *latest) for text in said.constraints]


def _state(ledger: Ledger) -> list[str]:
    lines: list[str] = []
    if ledger.approvals:
        lines += ["", "## Approvals", *(f"- {line}" for line in ledger.approvals)]
    if ledger.plan:
        marks = {"pending": " ", "in_progress": ">", "done": "x"}
        lines += ["", "## Plan"]
        lines += [f"[{marks.get(status, '?')}] {title}" for title, status in ledger.plan]
    if ledger.files:
        lines += ["", "## Files"]
        lines += [
            f"- {state.did} {path} (turn {state.turn}"
            + (f", sha256 {state.sha256[:SHORT]})" if state.sha256 else ")")
            for path, state in list(ledger.files.items())[-_FILES:]
        ]
        if len(ledger.files) > _FILES:
            lines.append(f"- and {len(ledger.files) - _FILES} more before these")
    if ledger.artifacts:
        lines += ["", "## Artifacts"]
        lines += [
            f"- {ref.name} ({ref.media_type}, {ref.size:,} bytes) sha256 {ref.sha256}"
            for ref in ledger.artifacts.values()
        ]
    return lines


def _results(context: Context, cut: int) -> list[str]:
    """Name the newest of the results that go, so that they can be opened again."""
    if not context.is_readable:
        return []
    stay = {one.call_id for one in context.messages[cut:] if isinstance(one, ToolOutput)}
    calls = context.ledger.calls
    gone = [
        f'- read_result("{call.handle[:SHORT]}"): {call.name}({call.arguments}), {call.size:,} B'
        for call_id, call in calls.items()
        if call_id not in stay and call.handle in context.ledger.handles
    ][-_RESULTS:]
    return ["", "## Old results that can be opened", *gone] if gone else []
