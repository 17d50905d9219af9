"""Overflow: what else can go when a prompt is too long, and what a person can do when nothing can.

The provider said so, or the window is not known beforehand: then a single message may be larger
than all of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agentkit.context.clear import cleared
from agentkit.context.offload import Shown
from agentkit.context.view import ClearResults
from agentkit.errors import PromptTooLong
from agentkit.events import Cleared, Compacted
from agentkit.messages import ToolOutput, User

if TYPE_CHECKING:
    from agentkit.context.context import Context

_PREVIEW = 2_000
"""Tokens of a message of the user that are shown where its policy does not say."""


def clipped(context: Context) -> Cleared | None:
    """Return the event that clears all results but the last reply's, and clips large ones there."""
    offload = context.policy.offload
    results = [one for one in context.results() if not one.cleared]
    last = max((one.turn for one in results), default=0)
    size = round((offload.preview if offload else 500) * context.estimate.ratio)
    texts = {one.call_id: one.content for one in context.messages if isinstance(one, ToolOutput)}
    shown: dict[str, str] = {}
    for one in results:
        if one.turn == last and one.tokens > size:
            handle = context.ledger.calls[one.call_id].handle
            shown[one.call_id] = Shown(texts[one.call_id], handle, one.tokens).preview(size)
    chosen = [one.call_id for one in results if one.turn < last or one.call_id in shown]
    return cleared(context, ClearResults(tuple(chosen), "overflow"), shown)


def large_message(context: Context) -> int | None:
    """Return the index of a user message that stands whole and is most of the prompt, or None."""
    least = max(context.tokens / 2, 2 * _preview(context))
    said = {one.text for one in context.ledger.said}
    sizes = context.sizes()
    return next(
        (
            at
            for at, message in enumerate(context.messages)
            if sizes[at] > least and isinstance(message, User) and message.content in said
        ),
        None,
    )


def shown_in_part(event: Compacted, context: Context) -> Compacted:
    """Return a compaction whose user message is shown by its head, its tail and its handle.

    The log and the ledger have the whole of it, which `read_result` opens.
    """
    text = event.user
    if not isinstance(text, str):  # another one follows it at once: the ledger names it
        return event
    said = next(said for said in reversed(context.ledger.said) if said.text == text)
    estimate = context.estimate
    tokens = estimate.of(len(text.encode(errors="replace")))
    shown = Shown(text, said.sha256, tokens, what="message of the user")
    part = shown.preview(round(_preview(context) * estimate.ratio))
    saved = tokens - estimate.of(len(part.encode(errors="replace")))
    return replace(event, user=part, removed=event.removed + saved)


def _preview(context: Context) -> int:
    offload = context.policy.offload
    return offload.preview * 4 if offload else _PREVIEW


def way_out(context: Context, error: PromptTooLong) -> PromptTooLong:
    """Return the error with what was too large and what to do about it."""
    large = large_message(context)
    if context.policy.compact is None:
        advice = (
            "The run's context policy does not shorten prompts. The log has everything: resume the "
            'run by an agent with context="default" and accept_changes=True.'
        )
    elif large is not None:
        advice = (
            f"A single message of the user has about {context.sizes()[large]:,} tokens. Send less "
            "of it, work on it with agentkit.longtext, or give the agent a tool: then it can also "
            "read a message in parts."
        )
    else:
        advice = (
            f"It was shortened to about {context.tokens:,} tokens, {context.prefix_tokens:,} of "
            "them instructions and tools, and is still too long."
        )
    return PromptTooLong(f"{error} {advice}", error.fault)
