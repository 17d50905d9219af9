"""Clearing: old tool results give way to one line each, in rare batches that pay for themselves.

An edit makes everything after its first change lose the cache, once; what it removes is saved at
each later turn. So with D tokens removed and L tokens left standing after the first change, it
has paid for itself after L/D * (p_in/p_cached - 1) turns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from agentkit.context.offload import SHORT, opening
from agentkit.context.policy import Clear
from agentkit.context.prices import price_ratio
from agentkit.context.view import ClearResults, ResultView, View
from agentkit.events import Cleared

if TYPE_CHECKING:
    from agentkit.context.context import Context
    from agentkit.model import Price

PLACEHOLDER = 40
"""Tokens that a placeholder weighs, about."""


def pays_after(removed: int, rewritten: int, price: Price | None) -> float:
    """Return the turns after which an edit has paid for itself; infinity when it never does."""
    if removed <= 0:
        return math.inf
    return rewritten / removed * (price_ratio(price) - 1)


def propose_clear(view: View, policy: Clear) -> ClearResults | None:
    """Return the deepest batch of results whose clearing pays back soon enough.

    Superseded views of a file may go although they are recent; what the model got last stays.
    """
    candidates = _candidates(view.results, policy)
    if not candidates:
        return None
    sizes = view.sizes
    after = sum(sizes[candidates[0].index :])
    before = sum(sizes) - after if view.is_joining else 0
    start: int | None = None
    removed = [max(one.tokens - PLACEHOLDER, 0) for one in candidates]
    gain = sum(removed)
    position = candidates[0].index
    for at, one in enumerate(candidates):
        passed = sum(sizes[position : one.index])
        after -= passed
        before += passed if view.is_joining else 0
        position = one.index
        if gain < (policy.cold_least if view.cold else policy.least):
            break
        turns = pays_after(gain, before + after - gain, view.price)
        if turns <= policy.pays_within:
            start = at
            break
        gain -= removed[at]
    if view.cold and sum(removed) >= policy.cold_least:
        return ClearResults(_ids(candidates), "cold_cache", policy.thinking)
    if start is None:
        return None
    return ClearResults(_ids(candidates[start:]), "break_even", policy.thinking)


def propose_clear_after(cut: int, view: View, policy: Clear | None) -> ClearResults | None:
    """Return what may be cleared at or after the message at `cut`, whatever it saves."""
    found = [one for one in _candidates(view.results, policy) if one.index >= cut] if policy else []
    return ClearResults(_ids(found), "compaction") if found else None


def cleared(
    context: Context, edit: ClearResults, shown: Mapping[str, str] | None = None
) -> Cleared | None:
    """Return the event that clears these results, or None when there is nothing to clear.

    Args:
        context: of the run.
        edit: the proposal; ids of results that do not stand in the prompt are passed over.
        shown: by call id, text to stand in a result's place instead of the usual line.
    """
    results = {one.call_id: one for one in context.results() if not one.cleared}
    chosen = [results[call] for call in edit.call_ids if call in results]
    if not chosen:
        return None
    calls, readable = context.ledger.calls, context.is_readable
    texts: dict[str, str] = {}
    handles: dict[str, str] = {}
    for one in chosen:
        handle = handles[one.call_id] = calls[one.call_id].handle
        # Short: hundreds of these may stand in a prompt, and the call itself stands before each.
        status = "" if one.status == "ok" else f" {one.status}"
        how = opening(handle[:SHORT] if readable else handle, readable=readable)
        texts[one.call_id] = (shown or {}).get(one.call_id) or f"[cleared{status}: {how}]"
    sizes = context.sizes()
    left = sum(context.estimate.of(len(text.encode(errors="replace"))) for text in texts.values())
    removed = max(sum(one.tokens for one in chosen) - left, 0)
    first = 0 if context.is_joining else min(one.index for one in chosen)
    rewritten = max(sum(sizes[first:]) - removed, 0)
    turns = pays_after(removed, rewritten, context.price)
    return Cleared(
        results=texts,
        handles=handles,
        reason=edit.reason,
        removed=removed,
        rewritten=rewritten,
        pays_after=None if math.isinf(turns) else round(turns, 2),
        thinking=edit.thinking,
    )


def _candidates(results: Sequence[ResultView], policy: Clear) -> list[ResultView]:
    """Return what may be cleared, oldest first."""
    if policy.keep_rounds is not None:
        turns = sorted({one.turn for one in results})[-policy.keep_rounds :]
        kept = {one.call_id for one in results if one.turn in turns}
        newest = kept
    else:
        kept = {one.call_id for one in results[-policy.keep :]}
        newest = {one.call_id for one in results[-2:]}
    return [
        one
        for one in results
        if not one.cleared
        and one.tokens >= policy.smallest
        and (one.call_id not in kept or (one.superseded and one.call_id not in newest))
    ]


def _ids(results: Sequence[ResultView]) -> tuple[str, ...]:
    return tuple(one.call_id for one in results)
