"""GLM: one question, one whole answer, with retries before the first delta."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from typing import Unpack

import structlog

from agentkit.errors import ModelError
from agentkit.messages import Message
from agentkit.model import catalog, wire
from agentkit.model.base import Emit, Reply, Request
from agentkit.model.collect import Collector
from agentkit.model.endpoint import resolve
from agentkit.model.retry import RetryPolicy
from agentkit.model.transport import Transport
from agentkit.model.wire import Parameters

_log = structlog.get_logger("agentkit.model")


class GLM:
    """A GLM model at an endpoint.

    Args:
        name: model id, such as "glm-5" or, on OpenRouter, "z-ai/glm-5".
        api_key: key of the endpoint; default ZAI_API_KEY (OPENROUTER_API_KEY on openrouter.ai).
            A server on this machine needs none.
        base_url: endpoint without `/chat/completions`; default ZAI_BASE_URL, else Z.ai.
        provider: "zai", "bigmodel", "openrouter", "vllm", "sglang" or "openai"; default by host.
        stream: whether answers are streamed. Default True.
        price: overrides the catalog's price.
        retry: when a failed request is sent again.
        **parameters: request parameters such as temperature, max_tokens, thinking; see
            `agentkit.model.wire.Parameters`.

    Raises:
        ConfigError: a parameter that GLM-5 would refuse, an unknown provider, a URL that is none.
    """

    def __init__(
        self,
        name: str = "glm-5",
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        provider: str | None = None,
        stream: bool = True,
        price: catalog.Price | None = None,
        retry: RetryPolicy | None = None,
        **parameters: Unpack[Parameters],
    ) -> None:
        wire.check(parameters)
        self._endpoint = resolve(
            name, api_key=api_key, base_url=base_url, provider=provider, price=price
        )
        self._retry = retry or RetryPolicy()
        self._transport = Transport(self._endpoint)
        self._fields = {
            tools: wire.parameter_bytes(
                name, parameters, self._endpoint.provider.dialect, stream=stream, tools=tools
            )
            for tools in (False, True)
        }

    def __repr__(self) -> str:
        return f"GLM({self.name!r}, base_url={self.base_url!r})"

    @property
    def name(self) -> str:
        """Id of the model."""
        return self._endpoint.model

    @property
    def provider(self) -> str:
        """Name of the provider whose dialect is spoken."""
        return self._endpoint.provider.name

    @property
    def base_url(self) -> str:
        """The endpoint, without `/chat/completions`."""
        return self._endpoint.base_url

    @property
    def window(self) -> int | None:
        """Tokens of prompt and answer together, or None for an unknown model."""
        return self._endpoint.info.window if self._endpoint.info else None

    def encode(self, message: Message) -> bytes:
        """Return the message as the request body carries it."""
        return wire.encode(message, self._endpoint.provider.dialect)

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[None]:
        """Keep connections open while somebody is inside, shared by all in one event loop.

        Raises:
            ConfigError: no key for an endpoint that is not on this machine.
        """
        self._endpoint.require_key()
        async with self._transport.connect():
            yield

    async def ask(self, request: Request, emit: Emit | None = None) -> Reply:
        """Send a request and return the whole answer; see `agentkit.model.base.Model`."""
        body = wire.body(request, self._fields[bool(request.tools)])
        async with self.connect():
            for attempt in count(1):
                collector = Collector(emit)
                try:
                    reply = await self._once(body, collector)
                except ModelError as error:
                    pause = None if collector.started else self._retry.pause(error, attempt)
                    if pause is None:
                        raise self._redacted(error) from error.__cause__
                    _log.warning(
                        "model.retry",
                        attempt=attempt,
                        pause=round(pause, 2),
                        error=str(self._redacted(error)),
                    )
                    await asyncio.sleep(pause)
                else:
                    return replace(reply, attempts=attempt)
        raise AssertionError("the loop above returns or raises")

    async def _once(self, body: bytes, collector: Collector) -> Reply:
        start = time.perf_counter()
        first = await self._transport.exchange(body, collector)
        reply = collector.reply()
        price = self._endpoint.price
        return replace(
            reply,
            model=reply.model or self.name,
            cost_usd=price.cost(reply.usage) if price else None,
            seconds=time.perf_counter() - start,
            first_delta_seconds=first,
        )

    def _redacted(self, error: ModelError) -> ModelError:
        """Return the error without the key, which some servers repeat in their messages."""
        key = self._endpoint.key
        if not key or key not in f"{error}{error.fault.message}":
            return error
        fault = replace(error.fault, message=error.fault.message.replace(key, "[key]"))
        return type(error)(str(error).replace(key, "[key]"), fault)
