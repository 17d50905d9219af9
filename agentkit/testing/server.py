"""A server on loopback that speaks GLM-5's wire protocol; its answers are scripted.

Everything around the answers is as on the real endpoint: authentication, the closed set of request
fields, error bodies with business codes, server-sent events, tool calls, usage and a prefix cache.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self, cast

import h11
import orjson

from agentkit.model.providers import ZAI_FIELDS
from agentkit.testing.script import (
    Answer,
    Brain,
    Json,
    PrefixCache,
    Raw,
    Refuse,
    Say,
    chunks,
    completion,
    sequence,
)

_READ = 1 << 16


class GLMServer:
    """A scripted GLM endpoint, alive while its async context is entered.

    Args:
        script: answers in order, or a function from the decoded request body to an answer.
        key: the key that requests must bear; None takes any.
        chunk_size: characters of text in one stream chunk.
        chunk_seconds: pause between chunks; 0 sends them together.
        port: 0 takes a free one.

    Attributes:
        requests: decoded bodies of all requests so far.
    """

    def __init__(
        self,
        script: Sequence[Answer | str] | Brain,
        *,
        key: str | None = None,
        chunk_size: int = 12,
        chunk_seconds: float = 0.0,
        port: int = 0,
    ) -> None:
        self._brain = script if callable(script) else sequence(script)
        self._key = key
        self._chunk_size = chunk_size
        self._chunk_seconds = chunk_seconds
        self._port = port
        self._cache = PrefixCache()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.requests: list[Json] = []

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
            target, key, body = head
            answer, request = self._answer(target, key, body)
            if isinstance(answer, Say):
                whole = await self._say(connection, writer, request, answer)
            else:
                whole = await self._refuse(connection, writer, answer)
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

    def _answer(self, target: str, key: str, body: bytes) -> tuple[Answer, Json]:
        if not target.endswith("/chat/completions"):
            return Raw(b'{"detail":"Not Found"}', 404, "application/json"), {}
        if self._key is not None and key != f"Bearer {self._key}":
            return Refuse(401, "1000", "Authentication Failed"), {}
        try:
            request = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            return Refuse(400, "1210", f"Invalid JSON: {error}"), {}
        if fault := request_fault(request):
            return fault, request
        self.requests.append(request)
        try:
            return self._brain(request), request
        except Exception as error:  # noqa: BLE001 - the client's error must show the script's fault
            return Refuse(400, "1210", f"the script failed: {type(error).__name__}: {error}"), {}

    async def _say(
        self, connection: h11.Connection, writer: asyncio.StreamWriter, request: Json, say: Say
    ) -> bool:
        usage = self._cache.usage(request, say)
        if not request.get("stream"):
            data = orjson.dumps(completion(request, say, usage))
            return await _send(connection, writer, 200, "application/json; charset=UTF-8", data)
        kind = "text/event-stream;charset=UTF-8"
        head = h11.Response(status_code=200, headers=[("Content-Type", kind)])
        pending = connection.send(head) or b""
        for number, chunk in enumerate(chunks(request, say, usage, self._chunk_size)):
            if number == say.cut:
                writer.write(pending)
                await writer.drain()
                return False
            data = b"data: " + orjson.dumps(chunk) + b"\n\n"
            pending += connection.send(h11.Data(data=data)) or b""
            if self._chunk_seconds:
                writer.write(pending)
                await writer.drain()
                pending = b""
                await asyncio.sleep(self._chunk_seconds)
        pending += connection.send(h11.Data(data=b"data: [DONE]\n\n")) or b""
        writer.write(pending + (connection.send(h11.EndOfMessage()) or b""))
        await writer.drain()
        return True

    async def _refuse(
        self, connection: h11.Connection, writer: asyncio.StreamWriter, answer: Refuse | Raw
    ) -> bool:
        if isinstance(answer, Raw):
            return await _send(connection, writer, answer.status, answer.content_type, answer.body)
        error = {"error": {"code": answer.code, "message": answer.message}}
        return await _send(
            connection, writer, answer.status, "application/json", orjson.dumps(error)
        )


async def _send(
    connection: h11.Connection,
    writer: asyncio.StreamWriter,
    status: int,
    content_type: str,
    body: bytes,
) -> bool:
    headers = [("Content-Type", content_type), ("Content-Length", str(len(body)))]
    data = connection.send(h11.Response(status_code=status, headers=headers)) or b""
    data += connection.send(h11.Data(data=body)) or b""
    writer.write(data + (connection.send(h11.EndOfMessage()) or b""))
    await writer.drain()
    return True


def request_fault(request: Any) -> Refuse | None:
    """Return the error that Z.ai gives for a wrong request, or None for a right one."""
    if not isinstance(request, dict):
        return Refuse(400, "1210", "the body is no JSON object")
    body = cast("Json", request)
    unknown = sorted(set(body) - ZAI_FIELDS)
    if unknown:
        return Refuse(400, "1210", f"unknown field {unknown[0]}")
    for name in ("model", "messages"):
        if not body.get(name):
            return Refuse(400, "1213", f"the field {name} is missing")
    if not any(message.get("role") == "user" for message in body["messages"]):
        return Refuse(400, "1214", "messages: no user message")
    return _parameter_fault(body) or _pairing_fault(body["messages"])


def _parameter_fault(body: Json) -> Refuse | None:
    if body.get("tool_choice") and not body.get("tools"):
        return Refuse(400, "1210", "tool_choice without tools")
    if not 0 <= body.get("temperature", 1.0) <= 1:
        return Refuse(400, "1210", "temperature out of range 0 to 1")
    if len(body.get("tools") or ()) > 128:
        return Refuse(400, "1210", "more than 128 tools")
    return None


def _pairing_fault(messages: list[Json]) -> Refuse | None:
    """Check what an agent gets wrong: calls and results that do not pair, broken arguments."""
    open_calls: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            if message.get("tool_call_id") not in open_calls:
                return Refuse(400, "1214", "messages: a tool result without its call")
            open_calls.remove(message["tool_call_id"])
            continue
        if open_calls:
            return Refuse(400, "1214", f"messages: no result for call {open_calls[0]}")
        for call in message.get("tool_calls") or ():
            open_calls.append(call["id"])
            try:
                orjson.loads(call["function"]["arguments"])
            except orjson.JSONDecodeError:
                return Refuse(400, "1214", "messages: tool call arguments are no JSON")
    if open_calls:
        return Refuse(400, "1214", f"messages: no result for call {open_calls[0]}")
    return None
