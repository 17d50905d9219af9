"""A server on loopback that speaks GLM-5's wire protocol; its answers are scripted.

Everything around the answers is as on the real endpoint: authentication, the closed set of request
fields, error bodies with business codes, server-sent events, tool calls, usage and a prefix cache.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

import h11
import orjson

from agentkit.model.providers import ZAI_FIELDS
from agentkit.testing import failures as damage
from agentkit.testing.capacity import Capacity, Exchange, Pace
from agentkit.testing.checks import request_fault
from agentkit.testing.prompt import PrefixCache
from agentkit.testing.script import Answer, Brain, Json, Raw, Refuse, Say, sequence

_READ = 1 << 16


class GLMServer:
    """A scripted GLM endpoint, alive while its async context is entered.

    Args:
        script: answers in order, or a function from the decoded request body to an answer.
        key: the key that requests must bear; None takes any.
        failures: names of `agentkit.testing.FAILURES` for every answer; `Say(failures=...)` has
            them for one.
        capacity: rate limits, overload and quota. Default none.
        pace: latency and token rate. Default as fast as it can.
        fields: request fields that are known, others get code 1210; None takes any.
        chunk_size: characters of text in one stream chunk.
        chunk_seconds: pause between chunks; 0 sends them together.
        port: 0 takes a free one.

    Attributes:
        requests: decoded bodies of all requests so far that were right, save those that `capacity`
            refused.
        log: every request with its times, status and usage, refused ones included.

    Raises:
        ValueError: an unknown failure.
    """

    def __init__(  # noqa: PLR0913 - keywords of a test double, each with a default
        self,
        script: Sequence[Answer | str] | Brain,
        *,
        key: str | None = None,
        failures: Sequence[str] = (),
        capacity: Capacity = Capacity(),  # noqa: B008 - frozen
        pace: Pace | None = None,
        fields: Collection[str] | None = ZAI_FIELDS,
        chunk_size: int = 12,
        chunk_seconds: float = 0.0,
        port: int = 0,
    ) -> None:
        self._brain = script if callable(script) else sequence(script)
        self._key = key
        self._failures = damage.known(failures)
        self._capacity = capacity
        self._pace = pace or Pace(chunk_seconds=chunk_seconds)
        self._fields = fields
        self._chunk_size = chunk_size
        self._port = port
        self._cache = PrefixCache()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._in_flight = 0
        self.requests: list[Json] = []
        self.log: list[Exchange] = []

    @property
    def base_url(self) -> str:
        """What GLM(base_url=...) takes."""
        return f"http://127.0.0.1:{self._port}/api/paas/v4"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._connections:
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, h11.RemoteProtocolError, asyncio.CancelledError):
            pass  # the client went away, or the server is closing
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            connection = h11.Connection(h11.SERVER)
            head = await self._read_request(connection, reader)
            if head is None:
                return
            self._in_flight += 1
            try:
                whole = await self._exchange(connection, writer, head)
            finally:
                self._in_flight -= 1
            if not whole or connection.our_state is h11.MUST_CLOSE:
                return

    async def _read_request(
        self, connection: h11.Connection, reader: asyncio.StreamReader
    ) -> tuple[str, str, bytes] | None:
        target, key, body = "", "", bytearray()
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(_READ))
            elif isinstance(event, h11.Request):
                target = event.target.decode()
                key = dict(event.headers).get(b"authorization", b"").decode()
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return target, key, bytes(body)
            else:
                return None

    async def _exchange(
        self,
        connection: h11.Connection,
        writer: asyncio.StreamWriter,
        head: tuple[str, str, bytes],
    ) -> bool:
        """Answer one request; return whether the connection can go on."""
        exchange = Exchange({}, self._in_flight)
        answer = self._answer(exchange, *head)
        self.log.append(exchange)
        if self._pace.first_seconds:
            await asyncio.sleep(self._pace.first_seconds)
        if isinstance(answer, Say):
            whole = await self._say(connection, writer, exchange, answer)
        else:
            whole = await self._refuse(connection, writer, exchange, answer)
        exchange.ended()
        return whole

    def _answer(self, exchange: Exchange, target: str, key: str, body: bytes) -> Answer:
        if not target.endswith("/chat/completions"):
            return Raw(b'{"detail":"Not Found"}', 404, "application/json")
        if self._key is not None and key != f"Bearer {self._key}":
            return Refuse(401, "1000", "Authentication Failed")
        try:
            request = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            return Refuse(400, "1210", f"Invalid JSON: {error}")
        exchange.body = request
        seen, answered = len(self.log), len(self.requests)
        fault = request_fault(request, self._fields)
        if fault := fault or self._capacity.refusal(seen, answered, self._in_flight - 1):
            return fault
        self.requests.append(request)
        return self._scripted(request)

    def _scripted(self, request: Json) -> Answer:
        try:
            answer = self._brain(request)
            if isinstance(answer, Say) and self._failures:
                answer = replace(answer, failures=(*self._failures, *answer.failures))
            return damage.damaged(answer)
        except Exception as error:  # noqa: BLE001 - the client's error must show the script's fault
            return Refuse(400, "1210", f"the script failed: {type(error).__name__}: {error}")

    async def _say(
        self,
        connection: h11.Connection,
        writer: asyncio.StreamWriter,
        exchange: Exchange,
        say: Say,
    ) -> bool:
        request = exchange.body
        usage = exchange.usage = self._cache.usage(request, say)
        if not request.get("stream"):
            exchange.began()
            data = orjson.dumps(damage.completion(request, say, usage))
            return await _send(connection, writer, 200, "application/json; charset=UTF-8", data)
        frames, ends = damage.frames(request, say, usage, self._chunk_size)
        pending = connection.send(_stream_head()) or b""
        exchange.began()
        pause = self._pace.between(self._chunk_size)
        due = asyncio.get_running_loop().time()
        for frame in frames:
            pending += connection.send(h11.Data(data=frame)) or b""
            if pause or len(pending) > _READ:
                writer.write(pending)
                await writer.drain()
                pending = b""
            if pause:
                due += pause  # by the clock, so that sleeping too long does not add up
                await asyncio.sleep(due - asyncio.get_running_loop().time())
        if ends:
            pending += connection.send(h11.EndOfMessage()) or b""
        writer.write(pending)
        await writer.drain()
        return ends

    async def _refuse(
        self,
        connection: h11.Connection,
        writer: asyncio.StreamWriter,
        exchange: Exchange,
        answer: Refuse | Raw,
    ) -> bool:
        exchange.status = answer.status
        exchange.began()
        if isinstance(answer, Raw):
            return await _send(connection, writer, answer.status, answer.content_type, answer.body)
        exchange.code = answer.code
        kind, body = "application/json", answer.body()
        if answer.streamed:
            kind, body = "text/event-stream;charset=UTF-8", b"data: " + body + b"\n\n"
        wait = answer.retry_after
        more = [] if wait is None else [("Retry-After", f"{wait:g}")]
        return await _send(connection, writer, answer.status, kind, body, more)


def _stream_head() -> h11.Response:
    kind = "text/event-stream;charset=UTF-8"
    return h11.Response(status_code=200, headers=[("Content-Type", kind)])


async def _send(
    connection: h11.Connection,
    writer: asyncio.StreamWriter,
    status: int,
    content_type: str,
    body: bytes,
    more: Sequence[tuple[str, str]] = (),
) -> bool:
    headers = [("Content-Type", content_type), ("Content-Length", str(len(body))), *more]
    data = connection.send(h11.Response(status_code=status, headers=headers)) or b""
    data += connection.send(h11.Data(data=body)) or b""
    writer.write(data + (connection.send(h11.EndOfMessage()) or b""))
    await writer.drain()
    return True
