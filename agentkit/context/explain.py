"""Explaining a run: what its prompt held at each turn, what was cached, what edits cost.

A fold over the log; the same numbers go to the table, to JSON and to the plot.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from agentkit.context.context import Context
from agentkit.context.summarise import spent_on_summary
from agentkit.events import Body, Cleared, Compacted, Event, Noted, Replied
from agentkit.messages import Message, System, ToolOutput, User
from agentkit.usage import Usage

_LEDGER, _SUMMARY = "[State of this work", "## Summary, written by you"


@dataclass(frozen=True, slots=True)
class Kinds:
    """Tokens of a prompt by what they are; together the prompt as the provider counted it.

    Attributes:
        prefix: tools and instructions.
        ledger: what the framework keeps after a compaction.
        summary: what the model wrote at the last compaction.
        user: messages of the user.
        replies: text, thinking and calls of the model.
        results: tool results that stand whole or in part.
        cleared: placeholders of results.
    """

    prefix: int = 0
    ledger: int = 0
    summary: int = 0
    user: int = 0
    replies: int = 0
    results: int = 0
    cleared: int = 0


@dataclass(frozen=True, slots=True)
class EditRow:
    """One edit of the prompt, beside what it really cost.

    Attributes:
        kind: "cleared" or "compacted".
        reason: why, in a word.
        removed: tokens that left the prompt.
        rewritten: tokens that were to lose their cache.
        predicted: turns after which it would have paid for itself.
        realised: the same from what the next call cost; None as long as there is none.
        cost_usd: what the next call paid for the edit, and the request for a summary.
    """

    kind: str
    reason: str
    removed: int
    rewritten: int
    predicted: float | None
    realised: float | None = None
    cost_usd: float | None = None


@dataclass(slots=True)
class Turn:
    """One reply and what led to it.

    Attributes:
        turn: its number, from 1.
        seq: of its event.
        usage: as the provider counted it.
        cost_usd: dollars of this reply, and of requests for a summary before it.
        kinds: what its prompt held.
        edits: that were made since the reply before.
        breaks: prefixes that moved without an edit, in words.
        cold: why this call found its cache cold; "" when it did not.
        overflows: prompts before it that were too long.
        offloaded: texts that were offloaded since the reply before.
    """

    turn: int
    seq: int
    usage: Usage = Usage()
    cost_usd: float | None = 0.0
    kinds: Kinds = Kinds()
    edits: list[EditRow] = field(default_factory=list[EditRow])
    breaks: list[str] = field(default_factory=list[str])
    cold: str = ""
    overflows: int = 0
    offloaded: int = 0


def explain(events: Iterable[Event], context: Context) -> list[Turn]:
    """Return what happened to the context, turn by turn.

    Args:
        events: of the run.
        context: a fresh one with the run's instructions, tools and encoding.
    """
    turns: list[Turn] = []
    pending = Turn(1, 0)
    aside = 0.0
    for event in events:
        body = event.body
        if isinstance(body, Replied):
            pending.seq, pending.usage = event.seq, body.usage
            pending.cost_usd = None if body.cost_usd is None else body.cost_usd + aside
            pending.kinds = kinds(context, body.usage.input)
            turns.append(pending)
            pending, aside = Turn(pending.turn + 1, 0), 0.0
        else:
            aside += _gather(body, pending, turns)
        context.apply(body)
    return turns


def totals(turns: Iterable[Turn]) -> dict[str, Any]:
    """Return the sums of a run: what the README calls the measures of a context."""
    rows = list(turns)
    usage = sum((row.usage for row in rows), Usage())
    costs = [row.cost_usd for row in rows]
    return {
        "turns": len(rows),
        "input": usage.input,
        "cached": usage.cached,
        "output": usage.output,
        "cached_share": round(usage.cached_share, 4),
        "cost_usd": None if None in costs else round(sum(cost or 0.0 for cost in costs), 6),
        "mean_context": round(usage.input / len(rows)) if rows else 0,
        "largest_context": max((row.usage.input for row in rows), default=0),
        "edits": sum(len(row.edits) for row in rows),
        "compactions": sum(edit.kind == "compacted" for row in rows for edit in row.edits),
        "offloaded": sum(row.offloaded for row in rows),
        "prefix_breaks": sum(len(row.breaks) for row in rows),
        "cold_calls": sum(bool(row.cold) for row in rows),
        "overflows": sum(row.overflows for row in rows),
    }


def kinds(context: Context, tokens: int) -> Kinds:
    """Return what the prompt holds, scaled so that all of it is `tokens`."""
    sizes: dict[str, float] = dict.fromkeys(Kinds.__slots__, 0.0)
    sizes["prefix"] = len(context.tools)
    cleared = context.ledger.cleared
    for index, (message, data) in enumerate(zip(context.messages, context.encoded, strict=True)):
        for kind, share in _shares(message, index, cleared):
            sizes[kind] += share * len(data)
    whole = sum(sizes.values()) or 1.0
    return Kinds(**{kind: round(size * tokens / whole) for kind, size in sizes.items()})


def _shares(message: Message, index: int, cleared: set[str]) -> list[tuple[str, float]]:
    match message:
        case System() if index == 0:
            return [("prefix", 1.0)]
        case System(content) if content.startswith(_LEDGER):
            written = content.partition(_SUMMARY)[2]
            share = len(written) / len(content)
            return [("ledger", 1 - share), ("summary", share)]
        case System():
            return [("ledger", 1.0)]
        case User():
            return [("user", 1.0)]
        case ToolOutput(call_id):
            return [("cleared" if call_id in cleared else "results", 1.0)]
        case _:
            return [("replies", 1.0)]


def _gather(body: Body, pending: Turn, turns: list[Turn]) -> float:
    """Take an event between two replies; return the dollars that it cost."""
    if isinstance(body, Cleared | Compacted):
        pending.edits.append(
            EditRow(body.kind, body.reason, body.removed, body.rewritten, body.pays_after)
        )
    elif isinstance(body, Noted):
        _gather_note(body, pending, turns)
        spent = spent_on_summary(body)
        return (spent[1] or 0.0) if spent else 0.0
    elif body.kind == "offloaded":
        pending.offloaded += 1
    return 0.0


def _gather_note(body: Noted, pending: Turn, turns: list[Turn]) -> None:
    match body.topic:
        case "prefix_break":
            pending.breaks.append(body.text)
        case "overflow":
            pending.overflows += 1
        case "cold_cache" | "reader_joined" if turns:
            turns[-1].cold = body.text
        case "failover" if turns:
            pending.cold = f"failover: {body.text}" if body.data["cold"] else ""
        case "edit_cost" if turns and turns[-1].edits:
            last = turns[-1].edits[-1]
            turns[-1].edits[-1] = EditRow(
                last.kind,
                last.reason,
                last.removed,
                last.rewritten,
                last.predicted,
                body.data.get("realised"),
                body.data.get("cost_usd"),
            )
        case _:
            pass
