"""One exchange over HTTP: a body goes out, an answer is collected.

The only file that knows httpx's transport, so that another one is a change in one place.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx

from agentkit.errors import ConnectionFailed, ModelError, StreamBroken
from agentkit.model import faults
from agentkit.model.collect import Collector
from agentkit.model.endpoint import Endpoint
from agentkit.model.gate import Gate, gate_of
from agentkit.model.sse import EventReader

# Between two chunks; GLM-5 was reported to take 130 s for an average answer, unstreamed.
TIMEOUT = httpx.Timeout(connect=10.0, read=300.0, write=60.0, pool=None)
CONNECTIONS = httpx.Limits(max_connections=2, max_keepalive_connections=1, keepalive_expiry=60)
MAX_ERROR_BODY = 1 << 16
AFTER_DONE = 1.0
"""Seconds that the end of a stream may take after its [DONE]."""


class Transport:
    """HTTP clients with one connection each, handed to one request at a time.

    httpcore's pool walks all its connections at every step of every request: with 50 runs in one
    pool that alone took as long as everything else.
    """

    def __init__(
        self, endpoint: Endpoint, concurrency: int, http: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._endpoint = endpoint
        self._http = _Lent(http) if http else None
        self._concurrency = concurrency
        self._tls: ssl.SSLContext | None = None
        self._lanes: dict[asyncio.AbstractEventLoop, _Lanes] = {}

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[None]:
        """Keep connections open while somebody is inside, shared by all in one event loop."""
        loop = asyncio.get_running_loop()
        if loop not in self._lanes:
            self._lanes[loop] = _Lanes(gate_of(self._endpoint, self._concurrency))
        lanes = self._lanes[loop]
        lanes.users += 1
        try:
            yield
        finally:
            lanes.users -= 1
            if not lanes.users:
                del self._lanes[loop]
                for client in lanes.clients:
                    await client.aclose()

    @property
    def gate(self) -> Gate:
        """The gate of the endpoint's key; ask for it inside `connect`."""
        return self._lanes[asyncio.get_running_loop()].gate

    async def exchange(self, body: bytes, collector: Collector) -> float | None:
        """Send a body, collect the answer, return the seconds to the first delta if streamed.

        Call it inside `connect`.

        Raises:
            ModelError: see agentkit.errors for the kinds.
        """
        lanes = self._lanes[asyncio.get_running_loop()]
        if lanes.idle:
            client = lanes.idle.pop()
        else:
            client = self._client()
            lanes.clients.append(client)
        try:
            return await self._exchange(client, body, collector)
        except httpx.TransportError as error:
            raise self._fault(error, collector) from error
        finally:
            lanes.idle.append(client)

    async def _exchange(
        self, client: httpx.AsyncClient, body: bytes, collector: Collector
    ) -> float | None:
        start = time.perf_counter()
        url = f"{self._endpoint.base_url}/chat/completions"
        async with client.stream("POST", url, content=body) as response:
            kind = response.headers.get("content-type", "")
            if response.status_code == 200 and "text/event-stream" in kind:
                return await _streamed(response, collector, start)
            await _whole(response, kind, collector)
            return None

    def _fault(self, error: httpx.TransportError, collector: Collector) -> ModelError:
        where = self._endpoint.base_url
        what = f"{type(error).__name__}: {error}".rstrip(": ")
        if collector.started:
            return StreamBroken(f"The answer of {where} broke off ({what}).")
        return ConnectionFailed(
            f"No answer from {where} ({what}). Check the base URL and the network."
        )

    def _client(self) -> httpx.AsyncClient:
        headers = {
            "content-type": "application/json",
            "accept-encoding": "identity",  # a compressed stream arrives in late, large pieces
            "user-agent": "agentkit",
        }
        if self._endpoint.key:
            headers["authorization"] = f"Bearer {self._endpoint.key}"
        if self._tls is None:  # loading the certificates takes 10-20 ms: once for each model
            plain = self._endpoint.base_url.startswith("http:")
            self._tls = httpx.create_ssl_context(verify=not plain)
        return httpx.AsyncClient(
            headers=headers,
            timeout=TIMEOUT,
            limits=CONNECTIONS,
            verify=self._tls,
            transport=self._http,
            # A proxy cannot reach this machine's loopback, and would take the place of a transport.
            trust_env=not self._endpoint.is_local and self._http is None,
        )


class _Lent(httpx.AsyncBaseTransport):
    """Somebody else's transport, which is not ours to close."""

    def __init__(self, owned: httpx.AsyncBaseTransport) -> None:
        self._owned = owned

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._owned.handle_async_request(request)


class _Lanes:
    """The clients of one event loop: all of them, those that are idle, and who holds them open."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.clients: list[httpx.AsyncClient] = []
        self.idle: list[httpx.AsyncClient] = []
        self.users = 0


async def _streamed(response: httpx.Response, collector: Collector, start: float) -> float | None:
    reader = EventReader()
    first: float | None = None
    chunks = _chunks(response)
    async for chunk in chunks:
        for payload in reader.feed(chunk):
            collector.feed(payload)
        if first is None and collector.started:
            first = time.perf_counter() - start
        if collector.cut:
            return first
        if collector.done:
            await _drain(chunks)
            return first
    for payload in reader.finish():
        collector.feed(payload)
    return first


def _chunks(response: httpx.Response) -> AsyncIterator[bytes]:
    """Return the body's chunks; httpx's decoding layers cost more than our own reading."""
    if "content-encoding" in response.headers:
        return response.aiter_bytes()
    assert isinstance(response.stream, httpx.AsyncByteStream)
    return response.stream.__aiter__()


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Read to the end what follows [DONE], so that the connection can serve the next request.

    Some servers keep it open instead; they are not waited for.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(AFTER_DONE):
            async for _ in chunks:
                pass


async def _whole(response: httpx.Response, kind: str, collector: Collector) -> None:
    """Take an answer that is no event stream: a whole completion, or an error."""
    if response.status_code != 200 or "json" not in kind:
        body = b""
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_ERROR_BODY:
                break
        wait = response.headers.get("retry-after", "")
        raise faults.from_response(response.status_code, body, kind, wait)
    body = await response.aread()
    try:
        data = response.json()
    except ValueError as error:
        raise faults.from_response(response.status_code, body, kind) from error
    collector.whole(data)
