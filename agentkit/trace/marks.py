"""Events that are no turn and no user message, told in a line.

How runs begin, pause and end, approvals, reminders, edits of the context. A kind that is not known
here is told by its fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from agentkit.events import (
    ApprovalAnswered,
    ApprovalAsked,
    ArtifactRef,
    Body,
    Noted,
    Reminder,
    RunFailed,
    RunFinished,
    RunInterrupted,
    RunPaused,
    RunResumed,
    RunStarted,
    ToolStarted,
)
from agentkit.trace.content import pretty
from agentkit.trace.timeline import EDITS, PREFIX_BREAK
from agentkit.trace.words import duration, joined, money, plural

Fields = tuple[tuple[str, str], ...]

_TOPICS = {
    PREFIX_BREAK: "Prefix break",
    "fallback": "Another model answered",
    "failover": "Another model is asked",
    "window": "The window fills up",
    "length": "The reply was cut short",
    "repetition": "The reply repeated itself",
    "edit_cost": "What the edit cost",
    "reader_joined": "read_result joined the tools",
}
_TOLD = ("reason", "text", "message", "summary")  # fields that say it in words


@dataclass(frozen=True, slots=True)
class Row:
    """An event in a line.

    Attributes:
        title: what it is.
        text: what it says.
        tone: "good", "bad", "warn", "hold" (waits for a person), "edit" or "quiet".
        fields: further facts, by name.
        handles: blobs whose text belongs to it, by name.
        artifacts: files that belong to it.
    """

    title: str
    text: str = ""
    tone: str = "quiet"
    fields: Fields = ()
    handles: Mapping[str, str] = field(default_factory=dict[str, str])
    artifacts: tuple[ArtifactRef, ...] = ()


def row_of(body: Body) -> Row:  # noqa: C901, PLR0911 - one case a kind
    """Return an event as a row."""
    match body:
        case RunStarted():
            return _started(body)
        case RunFinished():
            return _finished(body)
        case RunFailed(error=error, message=message):
            return Row(f"Failed: {error}", message, "bad")
        case RunInterrupted(reason=reason):
            return Row("Interrupted", reason, "warn")
        case RunPaused(reason=reason, calls=calls):  # those of sub-agents with their run's id
            return Row("Paused", reason, "hold", (("calls", "\n".join(calls)),) if calls else ())
        case RunResumed():
            return _resumed(body)
        case ApprovalAsked(reason=reason):
            return Row("Approval asked", reason, "hold")
        case ApprovalAnswered():
            return _answered(body)
        case Reminder(topic=topic, content=content):
            return Row(f"Reminder: {topic}", content)
        case Noted(topic=topic, text=text, data=data):
            title = _TOPICS.get(topic, topic.replace("_", " ").capitalize())
            return Row(title, text, "warn", _named(data))
        case ToolStarted(name=name, repairs=repairs, attempt=attempt):
            return Row(f"Start {attempt} of {name}", "; ".join(repairs))
        case _:
            return _generic(body)


def _started(body: RunStarted) -> Row:
    limits = joined(
        (
            plural(body.limits.turns, "turn") if body.limits.turns else "",
            money(body.limits.cost_usd) if body.limits.cost_usd else "",
            duration(body.limits.seconds) if body.limits.seconds else "",
        )
    )
    facts = [
        ("model", f"{body.model} ({body.provider})"),
        ("limits", limits),
        ("parent run", body.parent_run or ""),
        ("parent call", body.parent_call or ""),
        ("fork of", f"{body.forked_from}, event {body.forked_at}" if body.forked_from else ""),
    ]
    return Row(
        "Started",
        f"{body.agent} on {body.model}",
        fields=tuple(fact for fact in facts if fact[1]),
        handles={"instructions": body.instructions, "tools": body.tools},
    )


def _finished(body: RunFinished) -> Row:
    told = joined((plural(body.turns, "turn"), duration(body.seconds), money(body.cost_usd)))
    output: tuple[tuple[str, str], ...] = ()
    if not isinstance(body.output, str):
        output = (("output", pretty(body.output)),)
    return Row("Finished", told, "good", output, artifacts=body.artifacts)


def _resumed(body: RunResumed) -> Row:
    if not body.changed:
        return Row("Resumed", f"on {body.model}", "quiet")
    return Row(
        "Resumed",
        f"on {body.model}; changed: {', '.join(body.changed)}, so the cached prefix is lost",
        "warn",
        handles={
            name: handle
            for name, handle in (("instructions", body.instructions), ("tools", body.tools))
            if name in body.changed
        },
    )


def _answered(body: ApprovalAnswered) -> Row:
    who = f"by the {body.by}" if body.by in ("callback", "caller") else f"by {body.by}"
    lasting = ", for the rest of the run" if body.remember else ""
    title = f"Allowed {who}{lasting}" if body.approved else f"Denied {who}{lasting}"
    return Row(title, body.reason, "good" if body.approved else "bad")


def _generic(body: Any) -> Row:
    """Return an event by its fields."""
    kind: str = body.kind
    values: dict[str, Any] = (
        {one.name: getattr(body, one.name) for one in fields(body)} if is_dataclass(body) else {}
    )
    title = kind.replace("_", " ").capitalize()
    if kind in EDITS:
        return Row(title, _edit(values), "edit", _named(values))
    text = next((values.pop(name) for name in _TOLD if isinstance(values.get(name), str)), "")
    text = text or joined(f"{name} {value}" for name, value in _named(values))
    return Row(title, text, "quiet", _named(values))


def _edit(values: dict[str, Any]) -> str:
    """Say why the context was edited, what left it and what that costs, as far as it is told."""
    tokens = {name: values.pop(name, None) for name in ("removed", "tokens", "rewritten")}
    turns = values.pop("pays_after", None)
    values.pop("call_id", None)
    return joined(
        (
            str(values.pop("reason", "") or "").replace("_", " "),
            f"{tokens['removed']:,} tokens left the prompt" if tokens["removed"] else "",
            f"{tokens['tokens']:,} tokens kept aside" if tokens["tokens"] else "",
            f"{tokens['rewritten']:,} lose their cache" if tokens["rewritten"] else "",
            f"pays after {turns:.1f} turns" if isinstance(turns, int | float) else "",
        )
    )


def _named(values: Mapping[str, Any]) -> Fields:
    return tuple(
        (name.replace("_", " "), value if isinstance(value, str) else pretty(value))
        for name, value in values.items()
        if value not in (None, "", (), [], {})
    )
