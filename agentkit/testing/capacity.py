"""What a test server bears, how fast it speaks, and what it writes down."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal

from agentkit.testing.script import Json, Refuse

Disguise = Literal["status", "json", "stream"]


@dataclass(frozen=True, slots=True)
class Capacity:
    """Limits of a test server; the defaults refuse nothing.

    Attributes:
        in_flight: requests answered at once; one more gets HTTP 429, code 1302.
        overloads: so many first requests get code 1305.
        disguise: how 1305 comes: "status" is HTTP 429; "json" is HTTP 200 with an error body;
            "stream" is an error as the first event of a stream. All three were seen.
        quota: requests answered before code 1308 says when the quota is reset; None for no end.
        resets: the reset time that it names, in the provider's words.
        retry_after: seconds in a Retry-After header of 1302 and 1305; Z.ai sends none.
    """

    in_flight: int | None = None
    overloads: int = 0
    disguise: Disguise = "status"
    quota: int | None = None
    resets: str = "2026-11-22 10:00:00"
    retry_after: float | None = None

    def refusal(self, seen: int, answered: int, in_flight: int) -> Refuse | None:
        """Return how a request is refused, or None.

        Args:
            seen: requests before this one.
            answered: requests answered before this one.
            in_flight: requests being answered now, without this one.
        """
        if seen < self.overloads:
            status = 429 if self.disguise == "status" else 200
            words = "The service may be temporarily overloaded, please try again later"
            streamed = self.disguise == "stream"
            return Refuse(status, "1305", words, self.retry_after, streamed)
        if self.in_flight is not None and in_flight >= self.in_flight:
            words = "Rate limit reached for requests"
            return Refuse(429, "1302", words, self.retry_after)
        if self.quota is not None and answered >= self.quota:
            words = (
                f"Usage limit reached for 5 hour. Your limit will reset at {self.resets}"  # as sent
            )
            return Refuse(429, "1308", words)
        return None


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a test server speaks; by default as fast as it can.

    Attributes:
        first_seconds: before the first byte of an answer.
        tokens_per_second: of a stream, a token being four characters; None for no limit.
        chunk_seconds: between two chunks, on top of that.
    """

    first_seconds: float = 0.0
    tokens_per_second: float | None = None
    chunk_seconds: float = 0.0

    def between(self, size: int) -> float:
        """Return the seconds from one chunk of `size` characters to the next."""
        rate = size / 4 / self.tokens_per_second if self.tokens_per_second else 0.0
        return rate + self.chunk_seconds


@dataclass(slots=True)
class Exchange:
    """One request to a test server and what became of it.

    Attributes:
        body: the decoded request.
        in_flight: requests being answered when it came, this one included.
        at: when it came, in seconds since the epoch.
        first_seconds: from then to the first byte of the answer; None before that.
        seconds: from then to the last byte; None while it runs, or when the client went away.
        status: HTTP status of the answer.
        code: business code of an error, or "".
        usage: as reported, cached tokens included; empty for an error.
    """

    body: Json
    in_flight: int
    at: float = field(default_factory=time.time)
    first_seconds: float | None = None
    seconds: float | None = None
    status: int = 200
    code: str = ""
    usage: Json = field(default_factory=Json)

    def began(self) -> None:
        """Note the first byte."""
        if self.first_seconds is None:
            self.first_seconds = time.time() - self.at

    def ended(self) -> None:
        """Note the last byte."""
        self.seconds = time.time() - self.at
