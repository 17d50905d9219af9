"""From the pieces that a server sent to a message that can be used and sent back.

What is mended, and what each of the reply's faults means, is decided here; the kinds of damage are
listed in the project's protocol notes and rehearsed by `agentkit.testing.FAILURES`.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Final

from agentkit.messages import Assistant, ToolCall
from agentkit.model import leaked, repair
from agentkit.model.calls import Calls
from agentkit.model.declared import Declared

CUT_SHORT: Final = frozenset({"length", "repetition"})
"""Finish reasons after which the last thing written may be half of what was meant."""

_FENCE: Final = "```"


@dataclass(slots=True)
class Gathered:
    """All that a server sent of one answer, and in words what was mended of it."""

    calls: Calls
    text: list[str] = field(default_factory=list[str])
    thinking: list[str] = field(default_factory=list[str])
    finish_reason: str = ""
    faults: list[str] = field(default_factory=list[str])


def assemble(gathered: Gathered, declared: Declared) -> Assistant:
    """Return the message; it may be empty, which is for the caller to judge."""
    faults = gathered.faults
    whole = gathered.finish_reason not in CUT_SHORT
    calls = _calls(gathered, declared, whole=whole)
    text = _rejoined(gathered, calls, declared)
    text, thinking = _parted(text, "".join(gathered.thinking), faults)
    text = _cleaned(text, "content", faults)
    thinking = _cleaned(thinking, "thinking", faults)
    text = _recovered(text, "content", calls, declared, faults, whole=whole)
    if not calls and not text.strip():
        thinking = _recovered(thinking, "thinking", calls, declared, faults, whole=whole)
    if calls:
        text = _beside_calls(text, faults)
    elif not text.strip() and thinking.strip() and whole and not _lost(gathered, declared):
        faults.append("the answer was in the thinking")
        text, thinking = thinking.strip(), ""
    return Assistant(text, thinking, tuple(_with_ids(calls, faults)))


def _lost(gathered: Gathered, declared: Declared) -> bool:
    return gathered.finish_reason == "tool_calls" and bool(declared)


def _calls(gathered: Gathered, declared: Declared, *, whole: bool) -> list[ToolCall]:
    calls: list[ToolCall] = []
    for call in sorted(gathered.calls, key=lambda call: call.index):
        mended, said = repair.mend(call.name, call.arguments, declared, whole=whole)
        gathered.faults += (f"a call of {mended[0][0]!r}: {words}" for words in said)
        for number, (name, arguments) in enumerate(mended):
            calls.append(ToolCall(_new_id() if number else call.id, name, arguments))
    return calls


def _rejoined(gathered: Gathered, calls: list[ToolCall], declared: Declared) -> str:
    """Return the text, after a value that was cut at a closing tag of its own got its rest back.

    A server that ends a call at the first `</arg_value>` sends what follows as text, up to the
    call's real end (local-inference-lab/vllm#639). Text after a call that ends in the end of a
    call can be nothing else.
    """
    text = "".join(gathered.text)
    if not calls or "</tool_call>" not in text or "<tool_call>" in text:
        return text
    last = max(gathered.calls, key=lambda call: call.after)
    rest = "".join(gathered.text[last.after :])
    found = [at for at, call in enumerate(calls) if call.id == last.id and call.name == last.name]
    if len(found) != 1 or not rest.rstrip().endswith("</tool_call>"):
        return text
    if "</arg_value>" in rest and (joined := repair.rejoin(calls[found[0]], rest, declared)):
        calls[found[0]] = joined
        gathered.faults.append(
            f"a call of {joined.name!r}: a value was cut at a closing tag of its own; it is whole"
        )
        return "".join(gathered.text[: last.after])
    return text


def _parted(text: str, thinking: str, faults: list[str]) -> tuple[str, str]:
    """Return content and thinking, where the server's reasoning parser left both in one."""
    opened = text.lstrip().startswith("<think>")
    if "</think>" not in text:
        if not opened or thinking:
            return text, thinking
        before, after = text, ""
    else:
        before, after = text.split("</think>", 1)
        if thinking:
            return (after.lstrip() if not before.strip() else text), thinking
        quoted = before.endswith("`") or before.count(_FENCE) % 2
        if not opened and ("<think>" in before or quoted):
            return text, thinking
    faults.append(
        "the thinking stood in the content; a server of your own wants its reasoning parser: "
        "--reasoning-parser glm45"
    )
    return after.lstrip("\n"), before.lstrip().removeprefix("<think>").strip("\n")


def _cleaned(text: str, where: str, faults: list[str]) -> str:
    clean = leaked.without_stops(text)
    if clean != text:
        faults.append(f"stop tokens or damaged characters were cut off the end of the {where}")
    if "\ufffd" in clean:
        faults.append(f"the {where} has {clean.count(chr(0xFFFD))} damaged characters (U+FFFD)")
    return clean


def _recovered(
    text: str,
    where: str,
    calls: list[ToolCall],
    declared: Declared,
    faults: list[str],
    *,
    whole: bool,
) -> str:
    """Return the text without the calls in it, which join `calls`."""
    if not declared or ("<tool_call>" not in text and "<arg_key>" not in text):
        return text
    found = leaked.find(text, declared, whole=whole)
    if not found:
        return text
    known = {(call.name, call.arguments) for call in calls}
    calls += (
        ToolCall(_new_id(), one.name, one.json())
        for one in found
        if (one.name, one.json()) not in known
    )
    faults.append(
        f"{len(found)} tool call{'s' if len(found) > 1 else ''} stood as text in the {where}; "
        "a server of your own wants its tool parser: --tool-call-parser glm47"
    )
    return leaked.without(text, found)


def _beside_calls(text: str, faults: list[str]) -> str:
    """Return the text beside calls without what a template or a parser left of itself there."""
    if text.strip() == "None":
        faults.append("the word None before the calls was dropped (a template's null content)")
        return ""
    if "</tool_call>" in text and "<tool_call>" not in text:
        faults.append(
            "the text beside the calls held the end of a call; a value may have been cut short"
        )
        return leaked.TAGS.sub("", text).strip()
    return text


def _new_id() -> str:
    return f"call_{uuid.uuid4().hex[:24]}"


def _with_ids(calls: list[ToolCall], faults: list[str]) -> list[ToolCall]:
    seen: set[str] = set()
    done: list[ToolCall] = []
    for call in calls:
        call_id = call.id
        if not call_id or call_id in seen:
            call_id = _new_id()
            why = "no id" if not call.id else "an id that another call has"
            faults.append(f"a call of {call.name!r} had {why}; it got {call_id}")
        seen.add(call_id)
        done.append(ToolCall(call_id, call.name, call.arguments))
    return done
