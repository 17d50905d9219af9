"""GLM over HTTP: one question, one whole answer, with retries before the first delta."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from typing import Unpack

import httpx
import structlog

from agentkit.config import Settings
from agentkit.errors import ConfigError, ConnectionFailed, ModelError, StreamBroken
from agentkit.messages import Message
from agentkit.model import catalog, faults, providers, wire
from agentkit.model.base import Emit, Reply, Request
from agentkit.model.collect import Collector
from agentkit.model.retry import RetryPolicy
from agentkit.model.sse import EventReader
from agentkit.model.wire import Parameters

_log = structlog.get_logger("agentkit.model")

# Between two chunks; GLM-5 was reported to take 130 s for an average answer, unstreamed.
TIMEOUT = httpx.Timeout(connect=10.0, read=300.0, write=60.0, pool=None)
CONNECTIONS = httpx.Limits(max_connections=2, max_keepalive_connections=1, keepalive_expiry=60)
MAX_ERROR_BODY = 1 << 16


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
        settings = Settings.load()
        self._base_url = (base_url or settings.base_url).rstrip("/")
        self._provider = providers.choose(self._base_url, provider)
        keys = settings.keys
        self._key = api_key or keys.get(self._provider.key) or keys.get("ZAI_API_KEY", "")
        self._name = name
        self._stream = stream
        self._retry = retry or RetryPolicy()
        self._parameters = parameters
        self._info = catalog.find(name)
        self._price = price or (self._info.price if self._info else None)
        self._fields = {
            tools: wire.parameter_bytes(
                name, parameters, self._provider.dialect, stream=stream, tools=tools
            )
            for tools in (False, True)
        }
        self._tls: ssl.SSLContext | None = None
        self._lanes: dict[asyncio.AbstractEventLoop, _Lanes] = {}

    def __repr__(self) -> str:
        return f"GLM({self._name!r}, base_url={self._base_url!r})"

    @property
    def name(self) -> str:
        """Id of the model."""
        return self._name

    @property
    def provider(self) -> str:
        """Name of the provider whose dialect is spoken."""
        return self._provider.name

    @property
    def base_url(self) -> str:
        """The endpoint, without `/chat/completions`."""
        return self._base_url

    @property
    def window(self) -> int | None:
        """Tokens of prompt and answer together, or None for an unknown model."""
        return self._info.window if self._info else None

    def encode(self, message: Message) -> bytes:
        """Return the message as the request body carries it."""
        return wire.encode(message, self._provider.dialect)

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[None]:
        """Keep connections open while somebody is inside, shared by all in one event loop.

        Raises:
            ConfigError: no key for an endpoint that is not on this machine.
        """
        self._require_key()
        loop = asyncio.get_running_loop()
        lanes = self._lanes.setdefault(loop, _Lanes(self._client))
        lanes.users += 1
        try:
            yield
        finally:
            lanes.users -= 1
            if not lanes.users:
                del self._lanes[loop]
                await lanes.close()

    async def ask(self, request: Request, emit: Emit | None = None) -> Reply:
        """Send a request and return the whole answer; see `agentkit.model.base.Model`."""
        body = wire.body(request, self._fields[bool(request.tools)])
        async with self.connect(), self._lanes[asyncio.get_running_loop()].one() as client:
            for attempt in count(1):
                collector = Collector(emit)
                try:
                    reply = await self._once(client, body, collector)
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

    async def _once(self, client: httpx.AsyncClient, body: bytes, collector: Collector) -> Reply:
        start = time.perf_counter()
        first: float | None = None
        url = f"{self._base_url}/chat/completions"
        try:
            async with client.stream("POST", url, content=body) as response:
                kind = response.headers.get("content-type", "")
                if response.status_code != 200 or "text/event-stream" not in kind:
                    await _whole(response, kind, collector)
                else:
                    first = await _streamed(response, collector, start)
        except httpx.TransportError as error:
            raise self._transport_fault(error, collector) from error
        reply = collector.reply()
        return replace(
            reply,
            model=reply.model or self._name,
            cost_usd=self._price.cost(reply.usage) if self._price else None,
            seconds=time.perf_counter() - start,
            first_delta_seconds=first,
        )

    def _redacted(self, error: ModelError) -> ModelError:
        """Return the error without the key, which some servers repeat in their messages."""
        if not self._key or self._key not in f"{error}{error.fault.message}":
            return error
        fault = replace(error.fault, message=error.fault.message.replace(self._key, "[key]"))
        return type(error)(str(error).replace(self._key, "[key]"), fault)

    def _transport_fault(self, error: httpx.TransportError, collector: Collector) -> ModelError:
        what = f"{type(error).__name__}: {error}".rstrip(": ")
        if collector.started:
            return StreamBroken(f"The answer of {self._base_url} broke off ({what}).")
        return ConnectionFailed(
            f"No answer from {self._base_url} ({what}). Check the base URL and the network."
        )

    def _require_key(self) -> None:
        if not self._key and not self._is_local():
            if self._provider.name == "openai":  # somebody's own server may need no key
                return
            raise ConfigError(
                f"No key for {self._base_url}: set {self._provider.key}, or pass "
                "GLM(api_key=...). `agentkit demo` runs without a key."
            )

    def _is_local(self) -> bool:
        return httpx.URL(self._base_url).host in {"localhost", "127.0.0.1", "::1"}

    def _client(self) -> httpx.AsyncClient:
        headers = {
            "content-type": "application/json",
            "accept-encoding": "identity",  # a compressed stream arrives in late, large pieces
            "user-agent": "agentkit",
        }
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        if self._tls is None:  # loading the certificates takes 10-20 ms: once for each GLM
            plain = self._base_url.startswith("http:")
            self._tls = httpx.create_ssl_context(verify=not plain)
        return httpx.AsyncClient(
            headers=headers,
            timeout=TIMEOUT,
            limits=CONNECTIONS,
            verify=self._tls,
            trust_env=not self._is_local(),  # a proxy cannot reach this machine's loopback
        )


class _Lanes:
    """HTTP clients with one connection each, handed to one request at a time.

    httpcore's pool walks all its connections at every step of every request: with 50 runs in one
    pool that alone took as long as everything else.
    """

    def __init__(self, make: Callable[[], httpx.AsyncClient]) -> None:
        self._make = make
        self._idle: list[httpx.AsyncClient] = []
        self._all: list[httpx.AsyncClient] = []
        self.users = 0

    @asynccontextmanager
    async def one(self) -> AsyncGenerator[httpx.AsyncClient]:
        """Lend a client that nobody else uses meanwhile."""
        if self._idle:
            client = self._idle.pop()
        else:
            client = self._make()
            self._all.append(client)
        try:
            yield client
        finally:
            self._idle.append(client)

    async def close(self) -> None:
        """Close all connections."""
        for client in self._all:
            await client.aclose()


async def _streamed(response: httpx.Response, collector: Collector, start: float) -> float | None:
    reader = EventReader()
    first: float | None = None
    async for chunk in response.aiter_bytes():
        for payload in reader.feed(chunk):
            collector.feed(payload)
        if first is None and collector.started:
            first = time.perf_counter() - start
    for payload in reader.finish():
        collector.feed(payload)
    return first


async def _whole(response: httpx.Response, kind: str, collector: Collector) -> None:
    """Take an answer that is no event stream: a whole completion, or an error."""
    if response.status_code != 200 or "json" not in kind:
        body = b""
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_ERROR_BODY:
                break
        raise faults.from_response(response.status_code, body, kind)
    body = await response.aread()
    try:
        data = response.json()
    except ValueError as error:
        raise faults.from_response(response.status_code, body, kind) from error
    collector.whole(data)
