"""When a failed request is sent again, by the kind of its error, and how often.

A request whose answer broke off after its first delta is sent again as a whole: no tool starts
before its reply is complete, so nothing has happened but text that subscribers are told to forget.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count

from agentkit.errors import ModelError, Overloaded, QuotaExhausted, RateLimited
from agentkit.events import ReplyRestarted
from agentkit.log import warn
from agentkit.model.base import Emit, Reply
from agentkit.model.collect import Collector
from agentkit.model.gate import Gate


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently a request is sent again.

    Attributes:
        attempts: requests sent at most for one answer. Default 4.
        base: seconds before the second attempt; doubles from there.
        cap: longest pause in seconds, unless the provider asks for a longer one.
        patient_attempts: requests sent at most while the provider says that it is overloaded or
            that there are too many requests; peers report that GLM's overloads last for minutes.
            Default 10, which is about five minutes.
        patient_base: seconds before the second attempt after such an answer.
        quota_wait: longest wait in seconds for the reset of a used-up quota. Default 0: raise.
        rest: seconds for which a model that had to be replaced by its fallback is left alone.
    """

    attempts: int = 4
    base: float = 0.5
    cap: float = 60.0
    patient_attempts: int = 10
    patient_base: float = 2.0
    quota_wait: float = 0.0
    rest: float = 300.0

    def pause(self, error: ModelError, attempt: int) -> float | None:
        """Return seconds to wait before attempt `attempt + 1`, or None to give up.

        Half of each pause is random, so that many runs do not come back at the same moment. What
        the provider asks for (Retry-After) is the least.
        """
        if isinstance(error, QuotaExhausted):
            return self._until_reset(error, attempt)
        if not error.retryable:
            return None
        patient = isinstance(error, Overloaded | RateLimited)
        if attempt >= (self.patient_attempts if patient else self.attempts):
            return None
        base = self.patient_base if patient else self.base
        longest = min(self.cap, base * 2.0 ** (attempt - 1))
        jittered = longest * (0.5 + random.random() / 2)  # noqa: S311 - jitter, not a secret
        return max(jittered, error.fault.retry_after or 0.0)

    def _until_reset(self, error: QuotaExhausted, attempt: int) -> float | None:
        if error.resets_at is None or attempt >= self.attempts:
            return None
        # A little late: the provider's clock is not ours.
        left = max((error.resets_at - datetime.now(UTC)).total_seconds(), 0.0) + 5.0
        return left if left <= self.quota_wait else None


async def persist(
    policy: RetryPolicy,
    gate: Gate,
    exchange: Callable[[Collector], Awaitable[Reply]],
    collector: Callable[[], Collector],
    emit: Emit | None,
) -> Reply:
    """Ask until an answer comes or the policy gives up.

    Args:
        policy: when to ask again.
        gate: bounds how many requests of this key are in flight.
        exchange: sends the request once and returns the answer that the collector gathered.
        collector: makes a collector for one attempt.
        emit: told to forget what was streamed of an answer that broke off.

    Raises:
        ModelError: the last attempt's.
    """
    for attempt in count(1):
        gathered = collector()
        try:
            async with gate.through():
                reply = await exchange(gathered)
        except ModelError as error:
            pause = policy.pause(error, attempt)
            if isinstance(error, RateLimited):
                gate.slow_down(pause or policy.patient_base)
            if pause is None:
                raise
            warn("model", "model.retry", attempt=attempt, pause=round(pause, 2), error=str(error))
            if gathered.started and emit:
                emit(ReplyRestarted(str(error)))
            await asyncio.sleep(pause)
        else:
            gate.went_well()
            return replace(reply, attempts=attempt)
    raise AssertionError("the loop above returns or raises")
