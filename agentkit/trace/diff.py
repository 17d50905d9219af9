"""The difference of two runs: their turns side by side."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import orjson

from agentkit.events import Event, Replied, ToolFinished, ToolStarted
from agentkit.usage import Usage

Change = Literal["same", "result", "calls", "left", "right"]


@dataclass(frozen=True, slots=True)
class CallMade:
    """One call of a turn.

    Attributes:
        name: of the tool.
        arguments: canonical JSON, as used if it began, else as the model wrote it.
        status: how it ended; "" where it has no result.
        content: its result.
    """

    name: str
    arguments: str
    status: str = ""
    content: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """One reply of a run with what came of its calls.

    Attributes:
        seq: of the reply's event.
        text: of the reply.
        calls: in call order.
        usage: tokens of the reply.
        cost_usd: dollars of the reply, or None when unknown.
    """

    seq: int
    text: str
    calls: tuple[CallMade, ...]
    usage: Usage
    cost_usd: float | None

    @property
    def key(self) -> tuple[object, ...]:
        """What two turns have to share to be the same step: their calls, or else their text."""
        return tuple((call.name, call.arguments) for call in self.calls) or (self.text,)


@dataclass(frozen=True, slots=True)
class Pair:
    """A turn of each run, or of one alone.

    `change` is "same"; "result" where the same calls had other results; "calls" where the model did
    something else; "left" or "right" where only one run has the turn.
    """

    change: Change
    left: Turn | None
    right: Turn | None


def compare(left: Iterable[Event], right: Iterable[Event]) -> list[Pair]:
    """Return the turns of two runs side by side, aligned by what the model did."""
    mine, theirs = turns(left), turns(right)
    matcher = difflib.SequenceMatcher(
        None, [turn.key for turn in mine], [turn.key for turn in theirs], autojunk=False
    )
    pairs: list[Pair] = []
    for tag, i, i_end, j, j_end in matcher.get_opcodes():
        if tag == "equal":
            pairs += map(_same, mine[i:i_end], theirs[j:j_end])
            continue
        both = min(i_end - i, j_end - j)
        for one, other in zip(mine[i : i + both], theirs[j : j + both], strict=True):
            pairs.append(Pair("calls", one, other))
        pairs += [Pair("left", turn, None) for turn in mine[i + both : i_end]]
        pairs += [Pair("right", None, turn) for turn in theirs[j + both : j_end]]
    return pairs


def turns(events: Iterable[Event]) -> list[Turn]:
    """Return the turns of a log."""
    found: list[tuple[int, Replied]] = []
    started: dict[str, str] = {}
    results: dict[str, ToolFinished] = {}
    for event in events:
        match event.body:
            case Replied() as body:
                found.append((event.seq, body))
            case ToolStarted(call_id=call_id, arguments=arguments):
                started[call_id] = _canonical(arguments)
            case ToolFinished() as body:
                results[body.call_id] = body
            case _:
                pass
    return [_turn(seq, body, started, results) for seq, body in found]


def _turn(
    seq: int, body: Replied, started: dict[str, str], results: dict[str, ToolFinished]
) -> Turn:
    calls: list[CallMade] = []
    for call in body.message.tool_calls:
        arguments = started.get(call.id, call.arguments)
        result = results.get(call.id)
        if result is None:
            calls.append(CallMade(call.name, arguments))
        else:
            calls.append(CallMade(call.name, arguments, result.status, result.content))
    return Turn(seq, body.message.content, tuple(calls), body.usage, body.cost_usd)


def _same(left: Turn, right: Turn) -> Pair:
    results: Sequence[list[tuple[str, str]]] = [
        [(call.status, call.content) for call in turn.calls] for turn in (left, right)
    ]
    return Pair("same" if results[0] == results[1] else "result", left, right)


def _canonical(arguments: object) -> str:
    option = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
    return orjson.dumps(arguments, default=str, option=option).decode()
