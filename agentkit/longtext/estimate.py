"""What working on a long document will take, known before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from agentkit.errors import ConfigError
from agentkit.longtext import prompts
from agentkit.longtext.split import Part, split, tokens
from agentkit.model import Model
from agentkit.usage import Usage

_UNIT = 64  # tokens; cached counts of glm-5-turbo's recorded traffic are multiples of it
_FRAME = 10  # tokens of the template around two messages


@dataclass(frozen=True, slots=True)
class Policy:
    """How a long document is worked on.

    Attributes:
        part_tokens: estimated tokens of one part. GLM-5 reads well up to some 100K tokens;
            smaller parts lose less detail. Default 32,000.
        parallel: requests in flight at most; the key's own limit inside GLM holds as well.
        answer_tokens: expected tokens of one answer, thinking included: for the estimate only.
            What an answer may hold at most is GLM(max_tokens=...).
        fan_in: answers that one request merges, at least 2.
        on_failure: "raise" ends the work at the first part that fails for good; "partial" goes on
            and reports the part by its position.
        cost_usd: dollars. More by the estimate is refused before anything is sent, and no request
            is started that would exceed it. None for no limit.
    """

    part_tokens: int = 32_000
    parallel: int = 8
    answer_tokens: int = 1_500
    fan_in: int = 8
    on_failure: Literal["raise", "partial"] = "raise"
    cost_usd: float | None = None

    def __post_init__(self) -> None:
        least = {"part_tokens": 16, "parallel": 1, "answer_tokens": 1, "fan_in": 2}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise ConfigError(
                    f"Policy({name}={getattr(self, name)!r}): expected {low} or more."
                )
        if self.on_failure not in {"raise", "partial"}:
            raise ConfigError(
                f'Policy(on_failure={self.on_failure!r}): expected "raise" or "partial".'
            )
        if self.cost_usd is not None and self.cost_usd <= 0:
            raise ConfigError(f"Policy(cost_usd={self.cost_usd!r}): expected a positive number.")


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the work will take.

    Attributes:
        parts: requests that read a part.
        merges: requests that merge answers.
        usage: tokens of all requests together.
        cost_usd: dollars by the catalog's price, or None when that is unknown.
    """

    parts: int
    merges: int
    usage: Usage
    cost_usd: float | None

    def __str__(self) -> str:
        cost = "price unknown" if self.cost_usd is None else f"about ${self.cost_usd:.4f}"
        return (
            f"{self.parts} parts and {self.merges} merges: {self.usage.input:,} tokens in "
            f"({self.usage.cached:,} cached), {self.usage.output:,} out, {cost}"
        )


def estimate(
    model: Model, document: str, instruction: str, policy: Policy | None = None
) -> Estimate:
    """Return what `process` with the same arguments will take; nothing is sent.

    Tokens are estimated from bytes and come out rather too high. The cached share holds for a
    cache that is warm after the first request, as Z.ai's is.

    Raises:
        ConfigError: see `split`.
    """
    policy = policy or Policy()
    return foresee(model, split(document, policy.part_tokens), instruction, policy)


def foresee(model: Model, parts: Sequence[Part], instruction: str, policy: Policy) -> Estimate:
    """Return what the work on these parts will take."""
    shared = tokens(prompts.system(instruction))
    loads = [part.tokens for part in parts]
    merges = 0
    answers = [min(policy.answer_tokens, part.tokens) for part in parts]  # some is thinking
    while len(answers) > 1:
        level = groups(answers, policy)
        loads += [sum(answers[group]) for group in level if _is_merge(group)]
        merges += sum(map(_is_merge, level))
        answers = [min(policy.answer_tokens, sum(answers[group])) for group in level]
    usage = sum(
        (expected(shared, load, policy, first=not at) for at, load in enumerate(loads)), Usage()
    )
    price = model.price
    return Estimate(len(parts), merges, usage, price.cost(usage) if price else None)


def expected(shared: int, load: int, policy: Policy, *, first: bool = False) -> Usage:
    """Return the tokens of one request whose message weighs `load` after the shared prefix."""
    cached = 0 if first else shared // _UNIT * _UNIT
    return Usage(shared + load + _FRAME, cached, policy.answer_tokens)


def groups(sizes: Sequence[int], policy: Policy) -> list[slice]:
    """Return which neighbouring answers are merged together: at least two where two are left.

    A group is closed when it is as wide as `fan_in`, or as heavy as a part.
    """
    found: list[slice] = []
    start = weight = 0
    for at, size in enumerate(sizes):
        count = at - start
        heavy = count >= 2 and weight + size > policy.part_tokens
        if count >= policy.fan_in or heavy:
            found.append(slice(start, at))
            start, weight = at, 0
        weight += size
    found.append(slice(start, len(sizes)))
    return found


def _is_merge(group: slice) -> bool:
    return group.stop - group.start > 1
