"""Scripted answers: what a pretended model says, and how that looks on GLM's wire."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call to make; arguments as text are sent as they are, broken or not.

    Without an `id` each call gets a new one, as a provider does it.
    """

    name: str
    arguments: Mapping[str, Any] | str = ""
    id: str = ""

    def text(self) -> str:
        """Return the arguments as the wire carries them."""
        if isinstance(self.arguments, str):
            return self.arguments
        return orjson.dumps(self.arguments).decode()


@dataclass(frozen=True, slots=True)
class Say:
    """One scripted answer.

    Attributes:
        text: the answer; may be empty when there are calls.
        thinking: what goes into `reasoning_content`.
        calls: parallel tool calls.
        finish_reason: default "tool_calls" with calls, else "stop".
        cut: the stream ends without warning after so many chunks.
        failures: names of `agentkit.testing.FAILURES`: how a server damages this answer.
    """

    text: str = ""
    thinking: str = ""
    calls: Sequence[Call] = ()
    finish_reason: str | None = None
    cut: int | None = None
    failures: Sequence[str] = ()

    @property
    def ending(self) -> str:
        """The finish reason that is sent."""
        return self.finish_reason or ("tool_calls" if self.calls else "stop")


@dataclass(frozen=True, slots=True)
class Refuse:
    """An error answer in Z.ai's form.

    Attributes:
        status: of the HTTP answer; overload was also met with 200.
        code: business code; "" for an error without one.
        message: the words.
        retry_after: seconds in a Retry-After header; Z.ai sends none.
        streamed: whether the error comes as the first event of a stream with status 200.
    """

    status: int
    code: str
    message: str = "scripted"
    retry_after: float | None = None
    streamed: bool = False

    def body(self) -> bytes:
        """Return the error as JSON."""
        code = {"code": self.code} if self.code else {}
        return orjson.dumps({"error": {**code, "message": self.message}})


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer that is not the protocol, such as a proxy's HTML page."""

    body: bytes
    status: int = 200
    content_type: str = "text/html"


Answer = Say | Refuse | Raw
Brain = Callable[[Json], Answer]
"""Decides the answer to a decoded request body."""


class ScriptExhausted(AssertionError):
    """The script has no answer left for this request."""


def sequence(answers: Sequence[Answer | str]) -> Brain:
    """Return a brain that gives the answers one after the other; text stands for `Say(text)`.

    Raises:
        ScriptExhausted: from the brain, at the first request after the last answer.
    """
    left = list(answers)

    def brain(request: Json) -> Answer:
        if not left:
            last = request["messages"][-1]
            raise ScriptExhausted(
                f"All {len(answers)} scripted answers are used, and another request came, "
                f"ending in {orjson.dumps(last)[:300]!r}."
            )
        answer = left.pop(0)
        return Say(answer) if isinstance(answer, str) else answer

    return brain


def chunks(request: Json, answer: Say, usage: Json, size: int = 12) -> Iterator[Json]:
    """Yield an answer as chunks of Z.ai's stream, each about `size` characters of text.

    Shape as recorded: `finish_reason` absent until the last chunk, which also carries the usage;
    a call's whole arguments in one delta unless `tool_stream` is set.
    """
    head = _head(request, "chat.completion.chunk")

    def chunk(delta: Json, **more: Any) -> Json:
        return {**head, "choices": [{"index": 0, "delta": delta, **more}]}

    for field, text in (("reasoning_content", answer.thinking), ("content", answer.text)):
        for at in range(0, len(text), size):
            yield chunk({"role": "assistant", field: text[at : at + size]})
    for index, call in enumerate(answer.calls):
        whole = call.text()
        pieces = [whole]
        if request.get("tool_stream"):
            pieces = [whole[at : at + size] for at in range(0, len(whole), size)] or [""]
        first, *rest = pieces
        named = {"id": call.id or _call_id(), "index": index, "type": "function"}
        function = {"name": call.name, "arguments": first}
        yield chunk({"tool_calls": [{**named, "function": function}]})
        for piece in rest:
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    last = chunk({"role": "assistant", "content": ""}, finish_reason=answer.ending)
    yield {**last, "usage": usage}


def completion(request: Json, answer: Say, usage: Json) -> Json:
    """Return an answer as Z.ai's whole, unstreamed completion."""
    message: Json = {"role": "assistant", "content": answer.text}
    if answer.thinking:
        message["reasoning_content"] = answer.thinking
    if answer.calls:
        message["tool_calls"] = [
            {
                "id": call.id or _call_id(),
                "index": index,
                "type": "function",
                "function": {"name": call.name, "arguments": call.text()},
            }
            for index, call in enumerate(answer.calls)
        ]
    choice = {"index": 0, "finish_reason": answer.ending, "message": message}
    head = _head(request, "chat.completion")
    return {**head, "request_id": head["id"], "choices": [choice], "usage": usage}


def _head(request: Json, kind: str) -> Json:
    return {
        "id": os.urandom(15).hex(),
        "created": int(time.time()),
        "object": kind,
        "model": request.get("model", "glm-5"),
    }


def _call_id() -> str:
    return f"call_{os.urandom(12).hex()}"
