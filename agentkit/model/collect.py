"""Collecting chunks, or one whole answer, into a reply.

Shapes as recorded from api.z.ai and openrouter.ai (tests/recorded): `finish_reason` is absent until
the last chunk, usage rides on it, OpenRouter repeats the finish and calls thinking `reasoning`.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from agentkit.errors import EmptyReply, StreamBroken
from agentkit.events import ArgumentsDelta, TextDelta, ThinkingDelta
from agentkit.messages import Assistant, ToolCall
from agentkit.model import faults
from agentkit.model.base import Emit, Reply
from agentkit.usage import Usage

_Json = dict[str, Any]


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list[str])


class Collector:
    """Gathers one answer; feed it chunks in order, then ask for the reply.

    Attributes:
        started: whether any delta has arrived, so that a retry would repeat visible output.
    """

    __slots__ = (
        "_calls",
        "_done",
        "_emit",
        "_faults",
        "_finish_reason",
        "_id",
        "_model",
        "_text",
        "_thinking",
        "_usage",
        "started",
    )

    def __init__(self, emit: Emit | None = None) -> None:
        self._emit = emit
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._calls: dict[int, _Call] = {}
        self._usage = Usage()
        self._finish_reason = ""
        self._id = ""
        self._model = ""
        self._faults: list[str] = []
        self._done = False
        self.started = False

    def feed(self, payload: bytes) -> None:
        """Take the payload of one stream event.

        Raises:
            StreamBroken: the payload is no JSON object.
            ModelError: the server reports an error inside the stream.
        """
        if payload == b"[DONE]":
            self._done = True
            return
        try:
            chunk = orjson.loads(payload)
        except orjson.JSONDecodeError as error:
            raise StreamBroken(
                f"The stream holds a damaged event of {len(payload)} bytes ({error}); expected "
                "one JSON object. Send the request again."
            ) from error
        self._take(chunk, "delta")

    def whole(self, data: Any) -> None:
        """Take a whole answer that was not streamed.

        Raises:
            ModelError: the answer is an error object, or has no choices.
        """
        self._take(data, "message")
        self._done = True

    def _take(self, data: Any, part: str) -> None:
        if not isinstance(data, dict):
            raise StreamBroken(
                f"The server sent {type(data).__name__} where an object was expected."
            )
        chunk = cast("_Json", data)
        if chunk.get("error"):
            raise faults.from_data(200, chunk)
        self._id = chunk.get("id") or self._id
        self._model = chunk.get("model") or self._model
        if usage := chunk.get("usage"):
            self._usage = parse_usage(usage)
        for choice in chunk.get("choices") or ():
            if reason := choice.get("finish_reason"):
                self._finish_reason = str(reason)
            if piece := choice.get(part):
                self._piece(piece)

    def _piece(self, piece: _Json) -> None:
        thinking = piece.get("reasoning_content") or piece.get("reasoning")
        if thinking:
            self.started = True
            self._thinking.append(thinking)
            if self._emit:
                self._emit(ThinkingDelta(thinking))
        if text := piece.get("content"):
            self.started = True
            self._text.append(text)
            if self._emit:
                self._emit(TextDelta(text))
        for call in piece.get("tool_calls") or ():
            self.started = True
            self._call(call)

    def _call(self, piece: _Json) -> None:
        index = piece.get("index")
        if not isinstance(index, int):
            index = len(self._calls) if piece.get("id") else max(len(self._calls) - 1, 0)
        call = self._calls.setdefault(index, _Call())
        function: _Json = piece.get("function") or {}
        if piece.get("id") and not call.id:
            call.id = str(piece["id"])
        if function.get("name") and not call.name:
            call.name = str(function["name"])
        arguments = function.get("arguments")
        if arguments is None:
            arguments = ""
        elif not isinstance(arguments, str):  # documented as an object, recorded as a string
            arguments = orjson.dumps(arguments).decode()
        call.arguments.append(arguments)
        if self._emit:
            self._emit(ArgumentsDelta(index, call.name, arguments))

    def reply(self) -> Reply:
        """Return the whole answer.

        Raises:
            StreamBroken: the stream stopped before its end.
            EmptyReply: the answer holds neither text nor a tool call.
            ModelError: the finish reason stands for an error.
        """
        if not self._finish_reason and not self._done:
            raise StreamBroken(
                f"The stream stopped after {self._size()} characters without a finish reason. "
                "Send the request again."
            )
        if not self._finish_reason:
            self._finish_reason = "tool_calls" if self._calls else "stop"
            self._faults.append("the answer ended without a finish reason")
        if error := faults.from_finish_reason(self._finish_reason):
            raise error
        message = Assistant("".join(self._text), "".join(self._thinking), tuple(self._tool_calls()))
        if not message.content and not message.tool_calls:
            raise EmptyReply(self._empty())
        return Reply(
            message,
            self._usage,
            self._finish_reason,
            self._model,
            self._id,
            faults=tuple(self._faults),
        )

    def _tool_calls(self) -> list[ToolCall]:
        calls: list[ToolCall] = []
        seen: set[str] = set()
        for _, call in sorted(self._calls.items()):
            call_id = call.id
            if not call_id or call_id in seen:
                call_id = f"call_{uuid.uuid4().hex[:24]}"
                why = "no id" if not call.id else "an id that another call has"
                self._faults.append(f"a call of {call.name!r} had {why}; it got {call_id}")
            seen.add(call_id)
            calls.append(ToolCall(call_id, call.name, "".join(call.arguments)))
        return calls

    def _size(self) -> int:
        arguments = sum(len(part) for call in self._calls.values() for part in call.arguments)
        return sum(map(len, self._text)) + sum(map(len, self._thinking)) + arguments

    def _empty(self) -> str:
        if self._finish_reason == "length":
            return (
                "The model used its whole max_tokens for thinking and wrote no answer. Raise "
                "max_tokens or set thinking=False."
            )
        return (
            f"The model ended with finish_reason {self._finish_reason!r} but wrote neither text "
            f"nor a tool call ({sum(map(len, self._thinking))} characters of thinking)."
        )


def parse_usage(data: _Json) -> Usage:
    """Return the usage that a provider reports; absent figures count as 0."""
    prompt: _Json = data.get("prompt_tokens_details") or {}
    completion: _Json = data.get("completion_tokens_details") or {}
    return Usage(
        input=data.get("prompt_tokens") or 0,
        cached=prompt.get("cached_tokens") or 0,
        output=data.get("completion_tokens") or 0,
        thinking=completion.get("reasoning_tokens") or 0,
    )
