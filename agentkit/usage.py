"""Usage: what was spent, in tokens and dollars, and what may be spent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from agentkit.errors import ConfigError, LimitExceeded

N = TypeVar("N", int, float)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one reply or of a whole run.

    Attributes:
        input: tokens of the prompts, cached ones included.
        cached: the part of `input` that the provider served from its prefix cache.
        output: tokens written by the model, thinking included.
        thinking: the part of `output` that was thinking.
    """

    input: int = 0
    cached: int = 0
    output: int = 0
    thinking: int = 0

    @property
    def uncached(self) -> int:
        """Prompt tokens paid at the full price."""
        return self.input - self.cached

    @property
    def cached_share(self) -> float:
        """Cached share of all prompt tokens, 0.0 to 1.0."""
        return self.cached / self.input if self.input else 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input + other.input,
            self.cached + other.cached,
            self.output + other.output,
            self.thinking + other.thinking,
        )


@dataclass(frozen=True, slots=True)
class Spent:
    """What a run has spent so far.

    Attributes:
        turns: replies of the model.
        usage: tokens of all replies.
        cost_usd: dollars, or None as soon as one reply had no known price.
        seconds: wall time since the run started or was last resumed.
    """

    turns: int = 0
    usage: Usage = Usage()
    cost_usd: float | None = 0.0
    seconds: float = 0.0

    def plus(self, usage: Usage, cost_usd: float | None, turns: int = 1) -> Spent:
        """Return what is spent after one more reply, or after other `turns`."""
        cost = None
        if self.cost_usd is not None and cost_usd is not None:
            cost = self.cost_usd + cost_usd
        return Spent(self.turns + turns, self.usage + usage, cost, self.seconds)


@dataclass(frozen=True, slots=True)
class Left:
    """What a run may still spend; None means no limit, 0 that nothing is left.

    Attributes:
        turns: replies of the model.
        cost_usd: dollars.
        seconds: wall time.
    """

    turns: int | None = None
    cost_usd: float | None = None
    seconds: float | None = None

    def least(self, other: Left) -> Left:
        """Return the smaller of each."""
        return Left(
            _least(self.turns, other.turns),
            _least(self.cost_usd, other.cost_usd),
            _least(self.seconds, other.seconds),
        )


def _least(one: N | None, other: N | None) -> N | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may spend; None means no limit.

    Attributes:
        turns: replies of the model. Default 50.
        cost_usd: dollars; has no effect for a model without a known price.
        seconds: wall time.
    """

    turns: int | None = 50
    cost_usd: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("turns", "cost_usd", "seconds"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigError(f"Limits({name}={value!r}): expected a positive number or None.")

    def left(self, spent: Spent) -> Left:
        """Return what may still be spent."""
        cost = None
        if self.cost_usd is not None and spent.cost_usd is not None:
            cost = max(self.cost_usd - spent.cost_usd, 0.0)
        return Left(
            None if self.turns is None else max(self.turns - spent.turns, 0),
            cost,
            None if self.seconds is None else max(self.seconds - spent.seconds, 0.0),
        )

    def check(self, spent: Spent) -> None:
        """Raise LimitExceeded when nothing more may be spent."""
        if self.turns is not None and spent.turns >= self.turns:
            raise LimitExceeded(
                f"The run used all its {self.turns} turns. Raise Limits(turns=...) or narrow "
                "the task.",
                "turns",
            )
        if (
            self.cost_usd is not None
            and spent.cost_usd is not None
            and spent.cost_usd >= self.cost_usd
        ):
            raise LimitExceeded(
                f"The run spent ${spent.cost_usd:.4f} of ${self.cost_usd:.4f}. Raise "
                "Limits(cost_usd=...) to go on.",
                "cost_usd",
            )
        if self.seconds is not None and spent.seconds >= self.seconds:
            raise LimitExceeded(
                f"The run took {spent.seconds:.0f} s of {self.seconds:.0f} s. Raise "
                "Limits(seconds=...) to go on.",
                "seconds",
            )
