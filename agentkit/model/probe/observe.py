"""Sending the calls of a probe and keeping what came back, unmended: that is what is judged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, cast

import httpx
import orjson

from agentkit.errors import (
    AuthenticationFailed,
    BalanceExhausted,
    ConnectionFailed,
    ModelError,
    QuotaExhausted,
    UnexpectedResponse,
)
from agentkit.model import faults
from agentkit.model.endpoint import Endpoint
from agentkit.model.probe.calls import CHAT, Call
from agentkit.model.retry import RetryPolicy
from agentkit.model.sse import EventReader

Json = dict[str, Any]

_TIMEOUT = httpx.Timeout(60.0, connect=10.0)
_HOPELESS = (AuthenticationFailed, BalanceExhausted, ConnectionFailed, QuotaExhausted)
_PATIENCE = RetryPolicy(attempts=3, patient_attempts=3, patient_base=3.0)


@dataclass(frozen=True, slots=True)
class Observed:
    """What one call came to.

    Attributes:
        call: what was sent.
        status: HTTP status; 0 when nothing came.
        parts: the whole answer, or the chunks of a stream, decoded.
        error: what went wrong, or None.
    """

    call: Call
    status: int = 0
    parts: tuple[Json, ...] = ()
    error: ModelError | None = None

    @property
    def is_taken(self) -> bool:
        """Whether the request was answered."""
        return self.error is None and self.status == 200

    @property
    def is_refused(self) -> bool:
        """Whether the request itself was called wrong, and not the server unable just now."""
        return self.error is not None and 400 <= self.status < 500 and self.status != 429

    @property
    def said(self) -> str:
        """The provider's words about an error."""
        return self.error.fault.message if self.error else ""

    @property
    def messages(self) -> list[Json]:
        """The message, or the deltas."""
        return [
            choice.get("message") or choice.get("delta") or {}
            for part in self.parts
            for choice in part.get("choices") or ()
        ]

    def text(self, name: str) -> str:
        """Return a field of the message, joined from its deltas."""
        values = [message.get(name) for message in self.messages]
        return "".join(value for value in values if isinstance(value, str))

    @property
    def content(self) -> str:
        """The answer's text."""
        return self.text("content")

    @property
    def thinking_field(self) -> str:
        """The field that thinking came back in, or ""."""
        for name in ("reasoning_content", "reasoning", "thinking"):
            if self.text(name):
                return name
        return ""

    @property
    def calls(self) -> dict[int, list[Json]]:
        """The pieces of each tool call, by its index."""
        found: dict[int, list[Json]] = {}
        for message in self.messages:
            for at, call in enumerate(message.get("tool_calls") or ()):
                found.setdefault(call.get("index", at), []).append(call.get("function") or {})
        return found

    @property
    def finish(self) -> str:
        """The finish reason, or ""."""
        reasons = [
            choice.get("finish_reason")
            for part in self.parts
            for choice in part.get("choices") or ()
        ]
        return next((str(reason) for reason in reversed(reasons) if reason), "")

    @property
    def usage(self) -> Json:
        """The usage as it came, or {}."""
        usages: list[Json] = [part.get("usage") or {} for part in self.parts]
        return next((usage for usage in reversed(usages) if usage), Json())

    @property
    def prompt_tokens(self) -> int | None:
        """Tokens of the prompt, or None when no usage came."""
        return self.usage.get("prompt_tokens")

    @property
    def cached_tokens(self) -> int | None:
        """Cached tokens of the prompt, or None when the server does not say."""
        details: Json = self.usage.get("prompt_tokens_details") or {}
        return details.get("cached_tokens")


@dataclass(slots=True)
class Prober:
    """Sends calls to an endpoint, one after the other.

    Attributes:
        endpoint: who is asked.
        http: what carries the requests instead of the network.
        patience: when a call is sent again.
    """

    endpoint: Endpoint
    http: httpx.AsyncBaseTransport | None = None
    patience: RetryPolicy = field(default_factory=lambda: _PATIENCE)

    async def run(self, calls: Sequence[Call]) -> AsyncGenerator[Observed]:
        """Send the calls and yield what each came to.

        Raises:
            ModelError: no call can succeed: a wrong key or address, no balance, no protocol.
        """
        key = self.endpoint.key
        async with httpx.AsyncClient(
            headers={"authorization": f"Bearer {key}"} if key else {},
            timeout=_TIMEOUT,
            transport=self.http,
            trust_env=not self.endpoint.is_local and self.http is None,
        ) as client:
            for call in calls:
                await asyncio.sleep(call.pause)
                seen = self._redacted(await self._patiently(client, call))
                if call.name == "answer" and seen.error:  # what else could be asked
                    raise seen.error
                if isinstance(seen.error, _HOPELESS) and call.path == CHAT:
                    raise seen.error
                yield seen

    async def _patiently(self, client: httpx.AsyncClient, call: Call) -> Observed:
        attempt = 1
        while True:
            seen = await self._once(client, call)
            pause = self.patience.pause(seen.error, attempt) if seen.error else None
            if pause is None or call.body is None:
                return seen
            attempt += 1
            await asyncio.sleep(pause)

    async def _once(self, client: httpx.AsyncClient, call: Call) -> Observed:
        url = f"{self.endpoint.base_url}{call.path}"
        try:
            response = await (
                client.get(url) if call.body is None else client.post(url, json=call.body)
            )
        except httpx.TransportError as error:
            what = f"{type(error).__name__}: {error}".rstrip(": ")
            failed = ConnectionFailed(f"No answer from {url} ({what}). Check the base URL.")
            return Observed(call, error=failed)
        kind = response.headers.get("content-type", "")
        if response.status_code != 200:
            wait = response.headers.get("retry-after", "")
            failed = faults.from_response(response.status_code, response.content, kind, wait)
            return Observed(call, response.status_code, error=failed)
        parts = _parts(response.content, kind)
        if error := next((part for part in parts if part.get("error")), None):
            return Observed(call, 400, error=faults.from_data(200, error))
        if not parts or (call.path == CHAT and not any("choices" in part for part in parts)):
            got = kind.partition(";")[0] or "no content type"
            words = f"{url} answers with {got} and no choices. Check the base URL."
            return Observed(call, 200, error=UnexpectedResponse(words))
        return Observed(call, 200, tuple(parts))

    def _redacted(self, seen: Observed) -> Observed:
        if seen.error is None:
            return seen
        return replace(seen, error=faults.without_key(seen.error, self.endpoint.key))


def _parts(body: bytes, kind: str) -> list[Json]:
    """Return the decoded objects of an answer; what is no JSON object is left out."""
    payloads = [body]
    if "event-stream" in kind:
        reader = EventReader()
        payloads = [*reader.feed(body), *reader.finish()]
    found: list[Json] = []
    for payload in payloads:
        with suppress(orjson.JSONDecodeError):
            part = orjson.loads(payload)
            if isinstance(part, dict):
                found.append(cast("Json", part))
    return found
