"""The loop: the only place that decides what happens next."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agentkit.agent.afford import answer_bound
from agentkit.context import PrefixBreak
from agentkit.errors import PrefixMoved, PromptTooLong
from agentkit.events import Noted, Replied
from agentkit.log import warn

if TYPE_CHECKING:
    from agentkit.agent.run import Run
    from agentkit.model import Reply

CUT_SHORT = {
    "length": "the reply was cut at its max_tokens",
    "repetition": "the reply repeated itself without end and was cut",
}
"""Finish reasons of replies that are not whole, and what the log notes of them."""

NEARLY_FULL = 0.85
"""Share of the window at which the log notes that it fills up."""


async def drive(run: Run) -> str:
    """Go on from wherever the log stands until the model answers without a tool call."""
    parts = run.parts
    while True:
        if calls := run.open_calls:
            await parts.dispatcher.dispatch(calls, run.record, keep=run.keep, emit=run.emit)
        await run.upkeep.settle(run.append, run.events, parts.limits.left_usd(run.spent))
        parts.limits.check(run.measure())
        try:
            reply = await _ask(run)
        except PromptTooLong as error:
            if not await run.upkeep.overflow(run.append, run.events, error):
                raise
            reply = await _ask(run)
        await _note_reply(run, reply)
        if not reply.message.tool_calls:
            return reply.message.content


async def _ask(run: Run) -> Reply:
    """Send what the context holds and log the answer."""
    parts = run.parts
    request, moved = run.context.request()
    if moved:
        await _note_prefix(run, moved)
    bound = answer_bound(
        parts.limits, run.spent, parts.model.price, run.context.tokens, run.last_usage
    )
    reply = await parts.model.ask(
        replace(request, max_tokens=bound), run.emit if run.is_watched else None
    )
    await run.append([_replied(reply, request.digest)])
    return reply


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


async def _note_prefix(run: Run, moved: PrefixBreak) -> None:
    """Log a prefix that moved without an edit: a bug, which costs money but need not end a run."""
    warn("agent", "context.prefix_moved", run_id=run.id, where=str(moved))
    data = {"index": moved.index, "role": moved.role, "lost_bytes": moved.lost_bytes}
    await run.append([Noted(topic="prefix_break", text=str(moved), data=data)])
    if run.parts.strict:
        raise PrefixMoved(f"In run {run.id}, {moved}. Only a logged edit may change what was sent.")


async def _note_reply(run: Run, reply: Reply) -> None:
    if run.context.notes:
        await run.append(run.context.notes)
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


async def _note_window(run: Run) -> None:
    window = run.parts.model.window
    if window is None or run.context.tokens < window * NEARLY_FULL:
        return
    noted = (event.body for event in run.events if isinstance(event.body, Noted))
    if any(body.topic == "window" for body in noted):
        return
    text = f"the next prompt has about {run.context.tokens} of the window's {window} tokens"
    warn("agent", "context.nearly_full", run_id=run.id, tokens=run.context.tokens, window=window)
    await run.append([Noted(topic="window", text=text)])
