"""The prices that decide about a context: the model's own, or GLM-5's where it has none."""

from __future__ import annotations

from agentkit.model import Price

GLM5 = Price(1.0, 0.2, 3.2)
"""Prices that decide where a model's own are unknown or zero: GLM-5's (docs.z.ai pricing). A free
model is managed as if it cost what its siblings cost."""


def paid(price: Price | None) -> Price:
    """Return the prices to decide by."""
    return price if price and price.input and price.cached and price.output else GLM5


def price_ratio(price: Price | None) -> float:
    """Return how many times a cached token's price one that is not cached costs."""
    own = paid(price)
    return own.input / own.cached
