"""Default policies of other frameworks as policies of ours, to be replayed beside ours.

Each docstring names what it re-implements. They propose edits through the same door as any user's
policy; nothing in agentkit knows them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agentkit.context import (
    POLICIES,
    ClearResults,
    Compact,
    CompactBefore,
    ContextPolicy,
    Edit,
    Offload,
    View,
)

Propose = Callable[[View], Sequence[Edit]]

WINDOW = 202_752


def nothing(_view: View) -> Sequence[Edit]:
    """Keep everything."""
    return ()


def sliding(messages: int) -> Propose:
    """Keep the last messages; strands' SlidingWindowConversationManager has 40."""

    def propose(view: View) -> Sequence[Edit]:
        count = len(view.messages)
        return [CompactBefore(count - messages, "drop")] if count > messages + 2 else ()

    return propose


def masking(keep: int) -> Propose:
    """Mask every result but the last ones, at every turn; SWE-agent's last five observations."""

    def propose(view: View) -> Sequence[Edit]:
        old = view.results[:-keep]
        ids = tuple(one.call_id for one in old if not one.cleared and one.tokens > 60)
        return [ClearResults(ids)] if ids else ()

    return propose


def clear_at(tokens: int, keep: int) -> Propose:
    """Clear all but the newest results above a size; Anthropic's and LangChain's defaults."""

    def propose(view: View) -> Sequence[Edit]:
        if view.tokens <= tokens:
            return ()
        old = view.results[:-keep]
        ids = tuple(one.call_id for one in old if not one.cleared)
        return [ClearResults(ids)] if ids else ()

    return propose


def summarise_at(tokens: int, tail: int) -> Propose:
    """Summarise with a fresh prompt above a size and keep a tail of so many tokens."""

    def propose(view: View) -> Sequence[Edit]:
        if view.tokens <= tokens:
            return ()
        kept, cut = 0, len(view.messages)
        while cut > 1 and kept + view.sizes[cut - 1] <= tail:
            cut -= 1
            kept += view.sizes[cut]
        return [CompactBefore(min(cut, len(view.messages) - 2), "fresh")]

    return propose


def summarise_keeping(tokens: int, messages: int) -> Propose:
    """Summarise with a fresh prompt above a size and keep the last messages."""

    def propose(view: View) -> Sequence[Edit]:
        if view.tokens <= tokens:
            return ()
        return [CompactBefore(len(view.messages) - messages, "fresh")]

    return propose


def _peer(propose: Propose, offload: Offload | None = None) -> ContextPolicy:
    return ContextPolicy(offload=offload, clear=None, compact=Compact(), propose=propose)


PEERS: dict[str, ContextPolicy] = {
    "none": _peer(nothing),
    "sliding_window_40": _peer(sliding(40)),
    "masking_every_turn_5": _peer(masking(5)),
    "clear_100k_keep_3": _peer(clear_at(100_000, 3)),
    "summarise_85_fresh_20k": _peer(summarise_at(round(0.85 * WINDOW), 20_000)),
    # deepagents: results above 20,000 tokens leave a preview of their first lines; a model without
    # a profile, as GLM is, is summarised at 170,000 tokens and keeps 6 messages.
    "deepagents": _peer(
        summarise_keeping(170_000, 6),
        Offload(limit=20_000, preview=500, error_limit=20_000, user_limit=50_000, unchanged=10**9),
    ),
}
"""Policies by name; "none" is what an endless window would cost."""

OURS = {name: POLICIES[name] for name in ("default", "coding", "research")}
