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
from agentkit.context.view import ClearResults, ResultView, View
from agentkit.events import Cleared

if TYPE_CHECKING:
    from agentkit.context.context import Context
    from agentkit.model import Price

PRICE_RATIO = 5.0
"""Input price over cached price where the model's price is unknown; that of GLM-5."""
PLACEHOLDER = 40
"""Tokens that a placeholder weighs, about."""


def pays_after(removed: int, rewritten: int, price: Price | None) -> float:
    """Return the turns after which an edit has paid for itself; infinity when it never does."""
    ratio = price.input / price.cached if price and price.cached else PRICE_RATIO
    if price and not price.input:
        ratio = PRICE_RATIO  # a free model: act as if it cost what its siblings cost
    return rewritten / removed * (ratio - 1) if removed > 0 else math.inf


def propose_clear(view: View, policy: Clear) -> ClearResults | None:
    """Return the deepest batch of results whose clearing pays back soon enough.

    Superseded views of a file may go although they are recent; what the model got last stays.
    """
    candidates = _candidates(view.results, policy)
    if not candidates:
        return None
    sizes = view.sizes
    after = sum(sizes[candidates[0].index :])
    start: int | None = None
    removed = [max(one.tokens - PLACEHOLDER, 0) for one in candidates]
    gain = sum(removed)
    position = candidates[0].index
    for at, one in enumerate(candidates):
        after -= sum(sizes[position : one.index])
        position = one.index
        if gain < (policy.cold_least if view.cold else policy.least):
            break
        turns = pays_after(gain, after - gain, view.price)
        if turns <= policy.pays_within:
            start = at
            break
        gain -= removed[at]
    if view.cold and sum(removed) >= policy.cold_least:
        return ClearResults(_ids(candidates), "cold_cache", policy.thinking)
    if start is None:
        return None
    return ClearResults(_ids(candidates[start:]), "break_even", policy.thinking)


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
    calls, readable = context.ledger.calls, bool(context.tools)
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
    rewritten = max(sum(sizes[min(one.index for one in chosen) :]) - removed, 0)
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
