"""The head of the page: what was asked and answered, what it took, and what is worth a look."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from agentkit.events import (
    ApprovalAsked,
    ArtifactRef,
    Noted,
    RunFailed,
    RunFinished,
    RunInterrupted,
    RunPaused,
    UserMessage,
)
from agentkit.messages import plain_text
from agentkit.trace.content import Clip, Shown, line, pretty
from agentkit.trace.marks import row_of
from agentkit.trace.timeline import EDITS, PREFIX_BREAK
from agentkit.trace.turns import Call, Moment, RunTrace, Step, Turn, covered
from agentkit.trace.words import (
    count,
    duration,
    joined,
    money,
    percent,
    plural,
    short,
)

STATES = {
    "running": "No end in the log",
    "paused": "Waiting",
    "interrupted": "Interrupted",
    "failed": "Failed",
    "finished": "Finished",
}


_FAILURES = {
    "error": "failed call",
    "timeout": "timed-out call",
    "cancelled": "cancelled call",
    "denied": "denied call",
    "unknown": "unknown outcome",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """A figure with its name and what stands behind it."""

    name: str
    value: str
    detail: str


@dataclass(frozen=True, slots=True)
class Said:
    """A text of the user or the model, or how the run ended.

    Attributes:
        title: such as "Asked".
        href: anchor of its event.
        text: clipped.
        tone: "", "bad", "warn" or "hold".
    """

    title: str
    href: str
    text: Shown
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Glance:
    """What a person sees first.

    Attributes:
        agent: name of the agent.
        model: name of the model and its provider.
        began: UTC time.
        state: for the colour of `state_word`.
        state_word: how the run stands.
        facts: cost, time, turns, tokens, cache.
        asked: the first and the last thing that the user said.
        answered: the answer, or why there is none.
        worth: what is worth a look: words, anchor, tone.
        artifacts: files of the run, the newest of each name.
    """

    agent: str
    model: str
    began: str
    state: str
    state_word: str
    facts: tuple[Fact, ...]
    asked: tuple[Said, ...]
    answered: Said | None
    worth: tuple[tuple[str, str, str], ...]
    artifacts: tuple[ArtifactRef, ...]


def glance(trace: RunTrace, clip: Clip) -> Glance:
    """Return the head of a run's page."""
    started = trace.started
    return Glance(
        agent=line(started.agent, 60) if started else "Run",
        model=line(f"{started.model} ({started.provider})", 80) if started else "",
        began=f"{trace.began:%-d %B %Y, %H:%M:%S} UTC",
        state=trace.state,
        state_word=STATES[trace.state],
        facts=tuple(_facts(trace)),
        asked=tuple(_asked(trace, clip)),
        answered=_answered(trace, clip),
        worth=tuple(_worth(trace)),
        artifacts=tuple(_artifacts(trace).values()),
    )


def _facts(trace: RunTrace) -> Iterable[Fact]:
    usage, calls = trace.usage, trace.calls
    limits = trace.started.limits if trace.started else None
    sub = trace.sub_cost_usd
    yield Fact(
        "Cost",
        money(trace.cost_usd),
        joined(
            (
                f"limit {_limit(limits.cost_usd)}" if limits and limits.cost_usd else "",
                f"sub-agents {money(sub)}" if sub else "",
            )
        ),
    )
    model = sum(turn.span.seconds for turn in trace.turns)
    attempts = [span for call in calls for span in call.attempts]
    busy = covered([*attempts, *trace.lost, *(turn.span for turn in trace.turns)])
    idle = trace.seconds - busy
    yield Fact(
        "Time",
        duration(trace.seconds),
        joined(
            (
                f"model {duration(model)}",
                f"tools {duration(covered(attempts))}" if attempts else "",
                f"idle {duration(idle)}" if idle > max(busy * 0.2, 1.0) else "",
            )
        ),
    )
    failed = sum(call.failed for call in calls)
    yield Fact(
        "Turns",
        count(len(trace.turns)),
        joined((plural(len(calls), "tool call"), f"{count(failed)} failed" if failed else "")),
    )
    yield Fact(
        "Tokens",
        short(usage.input + usage.output),
        joined(
            (
                f"{short(usage.input)} in",
                f"{short(usage.output)} out",
                f"{short(usage.thinking)} thinking" if usage.thinking else "",
            )
        ),
    )
    yield Fact(
        "From cache",
        percent(usage.cached_share) if usage.input else "–",
        f"{short(usage.cached)} of {short(usage.input)} prompt tokens",
    )


def _limit(dollars: float) -> str:
    return f"${dollars:,.2f}" if dollars >= 0.01 else f"${dollars:g}"


def _asked(trace: RunTrace, clip: Clip) -> Iterable[Said]:
    said = [m for m in _moments(trace) if isinstance(m.body, UserMessage)]
    titles = ["Asked"] if len(said) == 1 else ["Asked first", f"Asked last, of {len(said)}"]
    for title, moment in zip(
        titles, dict.fromkeys((said[0], said[-1])) if said else (), strict=False
    ):
        assert isinstance(moment.body, UserMessage)
        yield Said(title, f"e{moment.event.seq}", clip(plain_text(moment.body.content)))


def _answered(trace: RunTrace, clip: Clip) -> Said | None:
    ends = [
        m
        for m in _moments(trace)
        if isinstance(m.body, RunFinished | RunFailed | RunInterrupted | RunPaused)
    ]
    if trace.state == "running" or not ends:
        return Said(
            "No answer yet",
            f"e{trace.last.event.seq}",
            "The log ends here: the run goes on elsewhere, or its process died. "
            f"`agentkit resume {trace.run_id}` goes on from this point.",
            "warn",
        )
    href = f"e{ends[-1].event.seq}"
    match ends[-1].body:
        case RunFinished(output=output):
            return Said(
                "Answered", href, clip(output if isinstance(output, str) else pretty(output))
            )
        case RunFailed(error=error, message=message):
            return Said("Failed", href, clip(f"**{line(error, 80)}.** {message}"), "bad")
        case RunInterrupted(reason=reason):
            return Said(
                "Interrupted",
                href,
                clip(
                    f"Stopped from outside ({reason}). `agentkit resume {trace.run_id}` goes on "
                    "from this point."
                ),
                "warn",
            )
        case RunPaused(reason=reason):
            return Said("Waiting", href, clip(joined((reason, *_held(trace)))), "hold")
        case _:
            return None


def _held(trace: RunTrace) -> list[str]:
    """Calls that wait for an approval."""
    return [f"`{line(call.name, 80)}`" for call in trace.calls if call.held]


def _worth(trace: RunTrace) -> Iterable[tuple[str, str, str]]:
    """What is worth a look: how many of a thing there are, and where the first one is."""
    found: dict[tuple[str, str, bool], list[int]] = {}

    def add(noun: str, tone: str, seq: int, times: int = 1, *, title: bool = False) -> None:
        found.setdefault((noun, tone, title), []).extend([seq] * times)

    for item in trace.items:
        if isinstance(item, Turn):
            _worth_of_turn(item, add)
        elif isinstance(item, Step):
            _worth_of_call(item.call, item.moment.event.seq, add)
        elif item.event.kind in EDITS:
            add("context edit", "edit", item.event.seq)
        elif isinstance(item.body, Noted) and item.body.topic == PREFIX_BREAK:
            add("prefix break", "warn", item.event.seq)
    for (noun, tone, title), seqs in found.items():
        told = plural(len(seqs), noun)
        if title:
            told = line(noun, 60) if len(seqs) == 1 else f"{line(noun, 60)} ×{len(seqs)}"
        yield told, f"e{seqs[0]}", tone


def _worth_of_turn(turn: Turn, add: Callable[..., None]) -> None:
    seq = turn.moment.event.seq
    if turn.reply.attempts > 1:
        add("retry", "warn", seq, turn.reply.attempts - 1)
    if turn.reply.faults:
        add("repair", "warn", seq, len(turn.reply.faults))
    for call in turn.calls:
        _worth_of_call(call, seq, add)
    for note in turn.notes:
        if isinstance(note.body, Noted):
            add(row_of(note.body).title, "warn", note.event.seq, title=True)


def _worth_of_call(call: Call, seq: int, add: Callable[..., None]) -> None:
    at = call.moments[-1].event.seq if call.moments else seq
    if call.failed:
        add(_FAILURES.get(call.status, f"{call.status} call"), "bad", at)
    elif call.status == "open" and not call.held:
        add("call without result", "warn", at)
    if call.started and call.started.repairs:
        add("repair", "warn", at)
    for moment in call.moments:
        if isinstance(moment.body, ApprovalAsked):
            add("approval", "hold", moment.event.seq)


def _artifacts(trace: RunTrace) -> Mapping[str, ArtifactRef]:
    results = (call.finished for call in trace.calls)
    return {ref.name: ref for done in results if done for ref in done.artifacts}


def _moments(trace: RunTrace) -> list[Moment]:
    return [item for item in trace.items if isinstance(item, Moment)]
