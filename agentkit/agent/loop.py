"""The loop: the only place that decides what happens next."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agentkit.agent.afford import answer_bound
from agentkit.agent.guardrails import refusal
from agentkit.agent.output import UNFINISHED
from agentkit.context import PrefixBreak, way_out
from agentkit.errors import GuardrailTripped, PrefixMoved, PromptTooLong
from agentkit.events import Noted, Reminder, Replied, ToolFinished
from agentkit.log import mark, warn
from agentkit.tool import Past

if TYPE_CHECKING:
    from agentkit.agent.run import Run
    from agentkit.model import Asks, Reply, Request
    from agentkit.tool import Early

CUT_SHORT = {
    "length": "the reply was cut at its max_tokens",
    "repetition": "the reply repeated itself without end and was cut",
}
"""Finish reasons of replies that are not whole, and what the log notes of them."""

NEARLY_FULL = 0.85
"""Share of the window at which the log notes that it fills up."""

PAUSED = object()
"""Stands for the output of a run that waits for approval."""


async def drive(run: Run[Any]) -> Any:
    """Go on from wherever the log stands until the run has its output, or waits for somebody."""
    parts = run.parts
    early: Early | None = None
    while True:
        if run.standing.is_fresh:
            await _guard_reply(run)
        if run.standing.open_calls:
            await _act(run, early)
            if run.standing.open_calls:
                return PAUSED
        if (output := await parts.finish.check(run)) is not UNFINISHED:
            return output
        if reminders := run.watch.due():
            await run.append(reminders)
        run.check_limits()
        await run.upkeep.settle(run.append, run.events, run.left().cost_usd)
        try:
            early = await _ask(run)
        except PromptTooLong as error:
            early = await _ask_shorter(run, error)


async def _ask(run: Run[Any]) -> Early:
    """Send what the context holds, log the answer, return the calls that started meanwhile."""
    parts = run.parts
    mark(turn=run.spent.turns + 1)
    request, moved = run.context.request()
    if moved:
        await _note_prefix(run, moved)

    async def asks(place: int, name: str) -> Request:
        nonlocal request
        if await run.upkeep.asks(run.append, run.events, place, name):
            request = run.context.request()[0]
        return _bounded(run, request, asks)

    emit = parts.finish.partial(run.emit) if run.is_watched else None
    # Calls that only read may start while the model is still writing.
    early = parts.dispatcher.early(run.emit)
    reply = await parts.model.ask(_bounded(run, request, asks), emit, early)
    await run.append([_replied(reply, request.digest), *run.context.notes_on(reply.usage)])
    await _note_reply(run, reply)
    return early


async def _ask_shorter(run: Run[Any], error: PromptTooLong) -> Early:
    """Shorten the prompt and ask once more; what cannot be shortened ends the run, with advice."""
    try:
        if await run.upkeep.overflow(run.append, run.events, error):
            return await _ask(run)
    except PromptTooLong as again:
        error = again
    raise way_out(run.context, error) from error


def _bounded(run: Run[Any], request: Request, asks: Asks) -> Request:
    """Return the request with what it may cost, and the form that its answer has to have."""
    bound = answer_bound(
        run.left().cost_usd,
        run.parts.model.price,
        run.context.tokens,
        run.standing.last_usage,
    )
    return replace(request, max_tokens=bound, json_object=run.parts.finish.is_json, asks=asks)


async def _act(run: Run[Any], early: Early | None) -> None:
    standing = run.standing
    past = Past(
        asked=frozenset(standing.asked),
        answered=standing.answered,
        remembered=standing.remembered,
        attempts=standing.attempts,
    )
    await run.parts.dispatcher.dispatch(
        standing.open_calls, run.record, keep=run.keep, emit=run.emit, past=past, early=early
    )


async def _guard_reply(run: Run[Any]) -> None:
    """Let the guardrails see the last reply before any of its calls runs."""
    standing, guardrails = run.standing, run.parts.guardrails
    if standing.reply is None or not guardrails.reply:
        return
    reason = await refusal(guardrails.reply, standing.reply)
    if reason is None:
        return
    if standing.refusals >= guardrails.retries:
        raise GuardrailTripped(
            f"The reply was refused {standing.refusals + 1} times, last because: {reason}", "reply"
        )
    said = f"Refused by a guardrail, nothing was run: {reason}"
    if calls := standing.open_calls:
        denied = [
            ToolFinished(call_id=call.id, name=call.name, status="denied", content=said)
            for call in calls
        ]
        await run.append([Noted(topic="guardrail", text=reason), *denied])
    else:
        await run.append([Reminder(topic="guardrail", content=said)])


def _replied(reply: Reply, digest: str) -> Replied:
    return Replied(
        message=reply.message,
        usage=reply.usage,
        cost_usd=reply.cost_usd,
        finish_reason=reply.finish_reason,
        model=reply.model,
        request_digest=digest,
        seconds=reply.seconds,
        first_delta_seconds=reply.first_delta_seconds,
        attempts=reply.attempts,
        faults=reply.faults,
    )


async def _note_prefix(run: Run[Any], moved: PrefixBreak) -> None:
    """Log a prefix that moved without an edit: a bug, which costs money but need not end a run."""
    warn("agent", "context.prefix_moved", run_id=run.id, where=str(moved))
    data = {"index": moved.index, "role": moved.role, "lost_bytes": moved.lost_bytes}
    await run.append([Noted(topic="prefix_break", text=str(moved), data=data)])
    if run.parts.strict:
        raise PrefixMoved(f"In run {run.id}, {moved}. Only a logged edit may change what was sent.")


async def _note_reply(run: Run[Any], reply: Reply) -> None:
    if why := CUT_SHORT.get(reply.finish_reason):
        warn("agent", "reply.cut_short", run_id=run.id, finish_reason=reply.finish_reason)
        await run.append([Noted(topic=reply.finish_reason, text=why)])
    if reply.fell_back:
        text = f"{reply.model} answered for {reply.fell_back.wanted}: {reply.fell_back.error}"
        price = run.parts.model.price
        data = {
            "wanted": reply.fell_back.wanted,
            "model": reply.model,
            "uncached_tokens": reply.usage.uncached,
            # What those tokens would have saved as cached ones at the wanted model's price.
            "cache_loss_usd": (price.input - price.cached) * reply.usage.uncached / 1e6
            if price
            else None,
        }
        await run.append([Noted(topic="fallback", text=text, data=data)])
    await _note_window(run)


async def _note_window(run: Run[Any]) -> None:
    window = run.parts.model.window
    if window is None or run.context.tokens < window * NEARLY_FULL:
        return
    noted = (event.body for event in run.events if isinstance(event.body, Noted))
    if any(body.topic == "window" for body in noted):
        return
    text = f"the next prompt has about {run.context.tokens} of the window's {window} tokens"
    warn("agent", "context.nearly_full", run_id=run.id, tokens=run.context.tokens, window=window)
    await run.append([Noted(topic="window", text=text)])
