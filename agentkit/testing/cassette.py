"""Cassettes: real traffic recorded once, then replayed without a network and without a key."""

from __future__ import annotations

import difflib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, cast

import httpx
import orjson

from agentkit.context import PrefixBreak
from agentkit.testing import tape
from agentkit.testing.tape import Interaction

_KEY_HEADERS = ("authorization", "x-api-key", "api-key", "proxy-authorization", "cookie")
_DIFF_LINES = 60


class CassetteMismatch(AssertionError):
    """A request was never recorded like this, or recorded interactions were not asked for."""


class Cassette(httpx.AsyncBaseTransport):
    """A transport that records what goes over it, or replays it: `GLM(http=cassette)`.

    Requests match by method, path and body; the order of the body's keys does not matter, the
    order of requests neither. Each interaction is replayed once. Keys are taken out of headers,
    addresses and bodies before anything is kept.

    Args:
        path: the file, indented JSON.
        mode: "replay" only replays; "record" writes the file anew; "auto" replays a file that
            exists and records one that does not.
        redact: further secrets that must not be kept.
        allow_unused: whether recorded interactions may be left over at the end.

    Raises:
        CassetteMismatch: from a request that was not recorded, with what differs from the nearest
            one; at the end, when interactions are left over.
        ValueError: the file is no cassette, or an answer holds a key in pieces.
        FileNotFoundError: there is nothing to replay.
    """

    def __init__(
        self,
        path: str | Path,
        mode: Literal["replay", "record", "auto"] = "replay",
        *,
        redact: Sequence[str] = (),
        allow_unused: bool = False,
    ) -> None:
        self._path = Path(path)
        self.is_recording = mode == "record" or (mode == "auto" and not self._path.exists())
        self._secrets = list(redact)
        self._allow_unused = allow_unused
        self._network: httpx.AsyncHTTPTransport | None = None
        self._recording: list[_Recorded] = []
        self._tape = [] if self.is_recording else tape.load(self._path)
        self._used = [False] * len(self._tape)

    @property
    def interactions(self) -> list[Interaction]:
        """What was recorded, in the order of the requests, without secrets."""
        if not self.is_recording:
            return list(self._tape)
        return [kept.interaction.redacted(self._secrets) for kept in self._recording]

    @property
    def unused(self) -> list[str]:
        """What was recorded and not asked for, in words."""
        return [
            f"interaction {number}: {item.method} {item.url}, ending in {_last(item.request)}"
            for number, item in enumerate(self._tape, 1)
            if not self._used[number - 1]
        ]

    def prefix_breaks(self) -> list[tuple[int, PrefixBreak]]:
        """Return which requests moved the prefix of their conversation; see `tape`."""
        return tape.prefix_breaks(self.interactions)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        """Write what was recorded, or complain about what was not asked for."""
        if self.is_recording:
            if self._network is not None:
                await self._network.aclose()
            tape.save(self._path, self.interactions)
        elif exc_type is None and self.unused and not self._allow_unused:
            listed = "\n".join(self.unused)
            raise CassetteMismatch(
                f"{self._path}: {len(self.unused)} of {len(self._tape)} interactions were not "
                f"asked for:\n{listed}\nDelete the file to record anew."
            )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer from the file, or carry the request on and keep the answer."""
        for name in _KEY_HEADERS:
            for value in request.headers.get_list(name):
                self._secrets += [value, value.rpartition(" ")[2]]
        asked = Interaction(request.method, str(request.url), _body(await request.aread()), 0)
        if not self.is_recording:
            return self._replay(asked.redacted(self._secrets))
        if self._network is None:
            self._network = httpx.AsyncHTTPTransport()
        response = await self._network.handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        kept = _Recorded(response, asked)
        self._recording.append(kept)
        return httpx.Response(response.status_code, headers=response.headers, stream=kept)

    def _replay(self, asked: Interaction) -> httpx.Response:
        for at, item in enumerate(self._tape):
            if not self._used[at] and item.key == asked.key:
                self._used[at] = True
                return httpx.Response(item.status, headers=item.headers, stream=_Replayed(item))
        raise CassetteMismatch(self._mismatch(asked))

    def _mismatch(self, asked: Interaction) -> str:
        head = f"{self._path} holds no unused interaction like {asked.method} {asked.url}"
        if not self._tape:
            return f"{head}: it is empty. Delete the file to record anew."
        if same := [at for at, item in enumerate(self._tape, 1) if item.key == asked.key]:
            return f"{head}: it was recorded {len(same)} times and asked for once more."
        sent = _lines(asked)
        distances = [
            (len(set(_lines(item)) ^ set(sent)), self._used[at], at)
            for at, item in enumerate(self._tape)
        ]
        nearest = min(distances)[2]
        recorded = _lines(self._tape[nearest])
        names = (f"recorded, interaction {nearest + 1}", "sent now")
        diff = list(difflib.unified_diff(recorded, sent, *names, n=2, lineterm=""))
        if len(diff) > _DIFF_LINES:
            diff = [*diff[:_DIFF_LINES], f"... and {len(diff) - _DIFF_LINES} more lines"]
        return "\n".join([f"{head}. The nearest differs:", *diff])


class _Recorded(httpx.AsyncByteStream):
    """An answer on its way to the client; what passes is kept."""

    def __init__(self, response: httpx.Response, asked: Interaction) -> None:
        self._response = response
        self._asked = asked
        self._chunks: list[bytes] = []
        self._broken = ""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        assert isinstance(self._response.stream, httpx.AsyncByteStream)
        try:
            async for chunk in self._response.stream:
                self._chunks.append(chunk)
                yield chunk
        except httpx.TransportError as error:
            self._broken = type(error).__name__
            raise

    async def aclose(self) -> None:
        await self._response.aclose()

    @property
    def interaction(self) -> Interaction:
        """What was asked and answered; a compressed answer is kept unpacked."""
        status, headers = self._response.status_code, self._response.headers
        body = b"".join(self._chunks)
        if "content-encoding" in headers:
            body = httpx.Response(status, headers=headers, content=body).content
        asked = self._asked
        return Interaction(
            asked.method, asked.url, asked.request, status, dict(headers), body, self._broken
        )


class _Replayed(httpx.AsyncByteStream):
    """A recorded answer, event by event as it came."""

    def __init__(self, item: Interaction) -> None:
        self._item = item

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        events = self._item.body.split(b"\n\n")
        for event in events[:-1]:
            yield event + b"\n\n"
        yield events[-1]
        if self._item.broken:
            kind = getattr(httpx, self._item.broken, httpx.ReadError)
            raise kind("the recorded answer broke off here")


def _body(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return raw.decode("utf-8", "replace")


def _lines(item: Interaction) -> list[str]:
    option = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
    _, path, _ = item.key
    body = orjson.dumps(item.request, option=option).decode()
    return [f"{item.method} {path}", *body.splitlines()]


def _last(request: Any) -> str:
    whole = cast("dict[str, Any]", request) if isinstance(request, dict) else {}
    messages: list[Any] = whole.get("messages") or [request]
    return orjson.dumps(messages[-1]).decode()[:120]
