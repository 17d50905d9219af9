"""What the next call may cost: a dollar limit stops before the call that would exceed it."""

from __future__ import annotations

from agentkit.errors import LimitExceeded
from agentkit.model import Price
from agentkit.usage import Usage

SHORTEST_ANSWER = 256
"""Tokens of an answer below which a call is not worth its prompt."""


def answer_bound(left: float | None, price: Price | None, tokens: int, last: Usage) -> int | None:
    """Return how many tokens the next answer may have, or None where dollars set no bound.

    The prompt is priced as the last one went: what was sent before counts as cached if the
    provider reported cached tokens at all. The answer is bounded by what is then left, so a run
    passes its limit only if a cache that was warm goes cold.

    Args:
        left: dollars that may still be spent; None for no limit.
        price: of the model; without one there is no bound.
        tokens: estimated tokens of the next prompt.
        last: usage of the last reply.

    Raises:
        LimitExceeded: what is left does not pay for the prompt and a short answer.
    """
    if left is None or price is None:
        return None
    cached = min(last.input, tokens) if last.cached else 0
    prompt = price.cost(Usage(input=tokens, cached=cached))
    if left - prompt < price.output * SHORTEST_ANSWER / 1_000_000:
        raise LimitExceeded(
            f"The next call would cost about ${prompt:.4f} for its prompt alone, and of the limit "
            f"${left:.4f} is left. Raise Limits(cost_usd=...) to go on.",
            "cost_usd",
        )
    return int((left - prompt) * 1_000_000 / price.output) if price.output else None
