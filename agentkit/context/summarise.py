"""Asking for a summary: on the run's cached prefix, twice at most, verified before it is taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from agentkit.context.compact import Composed, compose
from agentkit.context.context import SUMMARY, Context, Snapshot
from agentkit.context.policy import Compact
from agentkit.context.summary import instruction, parse, patched, render
from agentkit.errors import EmptyReply, ModelError, PromptTooLong
from agentkit.events import Noted
from agentkit.messages import Assistant, Message, System, User, plain_text
from agentkit.model import Model, Reply
from agentkit.usage import Usage

ATTEMPTS = 2
_THINKING = 3  # times the summary's own size that a reply may have, thinking included

FRESH = (
    "You summarise the history of an agent's work so that it can go on from your summary alone. "
    "Keep the goal, what the user said, decisions, findings, files and the next step."
)


@dataclass(frozen=True, slots=True)
class Summary:
    """What came of asking for a summary.

    Attributes:
        items: the summary by item id; None when no attempt passed.
        notes: what each attempt cost and what was wrong with it, to be logged.
    """

    items: Mapping[str, str] | None
    notes: tuple[Noted, ...]


async def summarise(
    context: Context, model: Model, policy: Compact, cut: int, snapshot: Snapshot
) -> Summary:
    """Ask for the summary of what stands before `cut`, as a patch to the one that stands.

    The request has the run's tools and bytes, so the provider serves it from its cache. It is
    asked a second time with what was wrong; a summary that fails twice is given up.

    Args:
        context: of the run, which may go on meanwhile.
        model: that is asked.
        policy: what the summary may hold.
        cut: index of the first message that stays.
        snapshot: the prompt at a moment when no call was open.
    """
    before = dict(context.ledger.summary)
    standing = context.estimate.of(len(render(before).encode(errors="replace")))
    replaced = sum(context.sizes()[1:cut]) - _kept(context, cut)
    archive = "\n".join(map(_text, snapshot.messages))
    notes: list[Noted] = []
    wrong: list[str] = []
    for _ in range(ATTEMPTS):
        asked = instruction(before, policy.summary, standing, wrong)
        request = context.aside(snapshot, asked)
        bound = policy.summary * (1 + _THINKING)
        try:
            reply = await model.ask(replace(request, max_tokens=bound))
        except ModelError as error:
            notes.append(_failed(error))
            if isinstance(error, PromptTooLong):
                break
            wrong = ["it was empty"] if isinstance(error, EmptyReply) else wrong
            continue
        said = context.masked(reply.message.content)
        items = patched(before, parse(said))
        wrong = _wrong(reply, items, context, policy, archive, replaced)
        if not wrong:
            composed = compose(context, cut, items)
            wrong = _lost(composed, snapshot, cut)
        notes.append(_note(reply, wrong))
        if not wrong:
            return Summary(items, tuple(notes))
    return Summary(None, tuple(notes))


async def summarise_fresh(
    context: Context, model: Model, cut: int
) -> tuple[str, tuple[Noted, ...]]:
    """Ask for a summary with a prompt of its own, unverified, as most frameworks do.

    It is here to be measured against, and for providers without a cache.
    """
    messages = context.messages[1:cut]
    text = "\n\n".join(f"{type(one).__name__}: {_text(one)}" for one in messages)
    if context.window:
        text = text[-round(context.window * 0.8 * context.estimate.ratio) :]
    request = context.fresh([System(FRESH), User(text)])
    try:
        reply = await model.ask(request)
    except ModelError as error:
        return "", (_failed(error),)
    return context.masked(reply.message.content), (_note(reply, []),)


def spent_on_summary(body: object) -> tuple[Usage, float | None] | None:
    """Return what a logged request for a summary cost, or None for any other event."""
    if not isinstance(body, Noted) or body.topic != SUMMARY or "input" not in body.data:
        return None
    data = body.data
    usage = Usage(data["input"], data["cached"], data["output"], data["thinking"])
    return usage, data["cost_usd"]


def _wrong(
    reply: Reply,
    items: Mapping[str, str],
    context: Context,
    policy: Compact,
    archive: str,
    replaced: int,
) -> list[str]:
    from agentkit.context.verify import problems  # noqa: PLC0415 - most runs never summarise

    if reply.message.tool_calls:
        return ["it was a tool call; answer with text only"]
    if reply.finish_reason == "length":
        return ["it was cut because it was too long; write less"]
    patch = parse(reply.message.content)
    if patch.is_empty:
        return ['it holds no line of the form "+ SECTION | text"']
    return problems(
        items,
        archive=archive,
        handles=context.ledger.handles.keys(),
        said=[said.text for said in context.ledger.said],
        tokens=lambda text: context.estimate.of(len(text.encode(errors="replace"))),
        budget=policy.summary,
        replaced=replaced,
    )


def _kept(context: Context, cut: int) -> int:
    """Return the tokens of what stands in the cut part's place whatever the summary says."""
    bare = compose(context, cut, {})
    text = bare.content if bare.user is None else bare.content + plain_text(bare.user)
    return context.estimate.of(len(text.encode(errors="replace")))


def _lost(composed: Composed, snapshot: Snapshot, cut: int) -> list[str]:
    """Return what the new prompt would have lost although it is pinned; a bug if ever."""
    from agentkit.context.verify import missing  # noqa: PLC0415 - as above

    user = "" if composed.user is None else plain_text(composed.user)
    tail = "\n".join(map(_text, snapshot.messages[cut:]))
    return [
        f"the prompt would lose {text[:80]!r}"
        for text in missing(composed.pinned, f"{composed.content}\n{user}\n{tail}")
    ]


def _note(reply: Reply, wrong: list[str]) -> Noted:
    usage = reply.usage
    text = "a summary was written" if not wrong else "a summary was refused: " + "; ".join(wrong)
    data: dict[str, Any] = {
        "input": usage.input,
        "cached": usage.cached,
        "output": usage.output,
        "thinking": usage.thinking,
        "cost_usd": reply.cost_usd,
        "seconds": reply.seconds,
        "problems": list(wrong),
    }
    return Noted(topic=SUMMARY, text=text, data=data)


def _failed(error: ModelError) -> Noted:
    data = {"problems": [type(error).__name__]}
    return Noted(topic=SUMMARY, text=f"no summary could be had: {error}", data=data)


def _text(message: Message) -> str:
    match message:
        case Assistant(content, thinking, calls):
            written = (f"{call.name} {call.arguments}" for call in calls)
            return "\n".join((content, thinking, *written))
        case User(content):
            return plain_text(content)
        case _:
            return message.content
