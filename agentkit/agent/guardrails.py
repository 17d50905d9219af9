"""Guardrails: checks of what goes in, what the model says, and what comes out."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

Guard = Callable[[Any], "str | Awaitable[str | None] | None"]
"""Takes what it checks and returns None when that is fine, else the reason why not."""


@dataclass(frozen=True, slots=True)
class Guardrails:
    """Checks of a run, plain or async, each in the order given.

    A refused input raises GuardrailTripped before anything is logged of it. A refused reply or
    output is told to the model with the reason; only when it goes on, GuardrailTripped is raised.

    Attributes:
        input: each gets the content of a user message.
        reply: each gets the model's `Assistant` message before any of its calls runs.
        output: each gets the final output, of the type that the agent gives.
        retries: refused replies and outputs, invalid outputs included, after which the run ends.
            Default 2.
    """

    input: tuple[Guard, ...] = ()
    reply: tuple[Guard, ...] = ()
    output: tuple[Guard, ...] = ()
    retries: int = 2


async def refusal(guards: Iterable[Guard], value: Any) -> str | None:
    """Return the first reason that a guard gives, or None when all find the value fine."""
    for guard in guards:
        said = guard(value)
        reason = await said if inspect.isawaitable(said) else said
        if reason:
            return reason
    return None
