"""When a failed request is sent again: by the kind of error, and only before the first delta."""

from __future__ import annotations

import random
from dataclasses import dataclass

from agentkit.errors import ModelError, Overloaded


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently a request is sent again.

    Attributes:
        attempts: requests sent at most for one answer. Default 4.
        base: seconds before the second attempt; doubles from there.
        cap: longest pause in seconds.
        overload_attempts: requests sent at most while the platform says that it is overloaded;
            peers report that GLM's overloads last for minutes. Default 8.
        overload_base: seconds before the second attempt after an overload.
    """

    attempts: int = 4
    base: float = 0.5
    cap: float = 60.0
    overload_attempts: int = 8
    overload_base: float = 2.0

    def pause(self, error: ModelError, attempt: int) -> float | None:
        """Return seconds to wait before attempt `attempt + 1`, or None to give up.

        Half of each pause is random, so that many runs do not come back at the same moment.
        """
        if not error.retryable:
            return None
        overloaded = isinstance(error, Overloaded)
        if attempt >= (self.overload_attempts if overloaded else self.attempts):
            return None
        base = self.overload_base if overloaded else self.base
        longest = min(self.cap, base * 2.0 ** (attempt - 1))
        return longest * (0.5 + random.random() / 2)  # noqa: S311 - jitter, not a secret


NO_RETRY = RetryPolicy(attempts=1, overload_attempts=1)
