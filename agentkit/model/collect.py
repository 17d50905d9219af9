"""Collecting chunks, or one whole answer, into a reply.

Shapes as recorded from api.z.ai and openrouter.ai (tests/recorded): `finish_reason` is absent until
the last chunk, usage rides on it, OpenRouter repeats the finish and calls thinking `reasoning`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import orjson

from agentkit.errors import EmptyReply, StreamBroken, ToolCallLost, UnexpectedResponse
from agentkit.events import ArgumentsDelta, ReplyRestarted, TextDelta, ThinkingDelta
from agentkit.messages import Assistant
from agentkit.model import faults, salvage
from agentkit.model.assemble import CUT_SHORT, Gathered, assemble
from agentkit.model.base import CallSink, Emit, Reply
from agentkit.model.blocks import ReasoningBlocks
from agentkit.model.calls import Calls
from agentkit.model.declared import Declared
from agentkit.model.leaked import Held
from agentkit.model.repetition import Loops, RepetitionPolicy
from agentkit.model.reported import error_in, parse_usage
from agentkit.usage import Usage

_Json = dict[str, Any]

ALWAYS = RepetitionPolicy()

_ENDED = {"stop", "tool_calls"}
"""Finish reasons after which the last call is whole."""


class Collector:
    """Gathers one answer; feed it chunks in order, then ask for the reply.

    Args:
        emit: is given the pieces as they come, save those that may turn out to be a tool call.
        tools: the request's tool definitions as JSON, by which damaged calls are mended.
        repetition: when a streamed answer counts as a loop.
        sink: is offered the calls of a streamed answer as they become whole.

    Attributes:
        started: whether any delta has arrived, so that a retry would repeat visible output.
        cut: whether the answer has been cut here, so that reading on is of no use.
    """

    __slots__ = (
        "_blocks",
        "_calls",
        "_declared",
        "_done",
        "_emit",
        "_faults",
        "_finish_reason",
        "_gathered",
        "_grown",
        "_half",
        "_held_text",
        "_held_thinking",
        "_id",
        "_look_at",
        "_loops",
        "_model",
        "_repetition",
        "_sink",
        "_text",
        "_thinking",
        "_usage",
        "cut",
        "started",
    )

    def __init__(
        self,
        emit: Emit | None = None,
        tools: bytes = b"",
        repetition: RepetitionPolicy = ALWAYS,
        sink: CallSink | None = None,
    ) -> None:
        self._emit = emit
        self._sink = sink
        self._declared = Declared(tools)
        self._repetition = repetition
        self._id = ""
        self._model = ""
        self._usage: Usage | None = None
        self._done = False
        self.cut = False
        self._begin()

    def _begin(self) -> None:
        self._calls = Calls(self._declared)
        self._gathered = Gathered(self._calls)
        self._text = self._gathered.text
        self._thinking = self._gathered.thinking
        self._blocks = ReasoningBlocks()
        self._faults = self._gathered.faults
        self._finish_reason = ""
        self._held_text = Held(self._declared)
        self._held_thinking = Held(self._declared)
        self._loops = (Loops(self._repetition), Loops(self._repetition))
        self._grown = 0
        self._half = b""
        self._look_at = self._repetition.every
        self.started = False

    def feed(self, payload: bytes) -> None:
        """Take the payload of one stream event.

        Raises:
            StreamBroken: the payload is damaged, and what it said cannot be had from it.
            ModelError: the server reports an error inside the stream.
        """
        try:
            chunk = orjson.loads(payload)
        except orjson.JSONDecodeError:
            self._feed_damaged(payload)
        else:
            if chunk.__class__ is dict:
                self._take(chunk, "delta")
            else:
                self._faults.append(f"an event held {payload[:40]!r} instead of an object")

    def whole(self, data: object) -> None:
        """Take a whole answer that was not streamed.

        Raises:
            ModelError: the answer is an error object, or has no choices.
        """
        kind = type(data).__name__
        answer: _Json = cast("_Json", data) if isinstance(data, dict) else {}
        if not answer.keys() & {"choices", "error", "code"}:
            raise UnexpectedResponse(
                f"The answer is {kind} with {', '.join(answer)[:200] or 'nothing'}; "
                "expected a completion with choices. Check that the base URL points at an "
                "OpenAI-compatible API; /chat/completions is added to it."
            )
        self._take(answer, "message")
        self._done = True

    @property
    def done(self) -> bool:
        """Whether the server said that the answer is whole ([DONE])."""
        return self._done

    def _take(self, chunk: _Json, part: str) -> None:
        if chunk.get("error"):
            raise error_in(chunk)
        if not self._id:
            self._take_head(chunk)
        if usage := chunk.get("usage"):
            self._usage = parse_usage(usage)
        choices: Any = chunk.get("choices") or self._bare(chunk)
        if choices.__class__ is not list:
            return
        for choice in choices:
            if choice.__class__ is dict:
                if reason := choice.get("finish_reason"):
                    self._finish(str(reason), choice)
                piece = choice.get(part)
                if piece.__class__ is dict:
                    self._piece(piece, part)
                else:
                    self._take_message(choice)

    def _bare(self, chunk: _Json) -> None:
        """Take a chunk without choices: usage alone, a comment, or an error in the flat form."""
        if "code" in chunk and not chunk.get("usage"):
            raise error_in(chunk)

    def _take_message(self, choice: _Json) -> None:
        """Take a whole answer that came as one event of a stream."""
        message = choice.get("message")
        if not self.started and isinstance(message, dict):
            self._piece(cast("_Json", message), "message")

    def _take_head(self, chunk: _Json) -> None:
        self._id = str(chunk.get("id") or "")
        self._model = str(chunk.get("model") or "")

    def _finish(self, reason: str, choice: _Json) -> None:
        if reason == "error":  # OpenRouter, with the upstream's error beside it
            raise error_in(choice)
        if usage := choice.get("usage"):
            self._usage = parse_usage(usage)
        # OpenRouter finishes twice; a second "stop" does not unsay that the answer was cut.
        if not self._finish_reason or reason != "stop":
            self._finish_reason = reason
        if self._sink and reason in _ENDED:
            self._calls.offer(self._sink.offer)

    def _piece(self, piece: _Json, part: str) -> None:
        if blocks := piece.get("reasoning_details"):
            self._blocks.add(blocks, streamed=part == "delta")
        if thinking := piece.get("reasoning_content") or piece.get("reasoning"):
            self._grow(self._thinking, thinking, self._held_thinking, ThinkingDelta)
        if text := piece.get("content"):
            self._grow(self._text, text, self._held_text, TextDelta)
        if calls := piece.get("tool_calls"):
            self._take_calls(calls, part)

    def _grow(
        self, pieces: list[str], text: Any, held: Held, kind: type[TextDelta | ThinkingDelta]
    ) -> None:
        if text.__class__ is not str:
            text = salvage.text_of(text)
        self.started = True
        pieces.append(text)
        self._grown += len(text)
        if self._grown >= self._look_at:
            self._look_for_loops()
        if self._emit:
            if held.size or "<" in text:
                text = held.push(text)
            if text:
                self._emit(kind(text))

    def _take_calls(self, calls: Any, part: str) -> None:
        for call in cast("list[object]", calls) if isinstance(calls, list) else [calls]:
            if isinstance(call, dict):
                self.started = True
                added = cast("_Json", call)
                one, arguments = self._calls.add(added, len(self._text), new=part == "message")
                if one.position and self._sink and part == "delta":
                    self._calls.offer(self._sink.offer, before=one)
                if self._emit:
                    self._emit(ArgumentsDelta(one.position, one.name, arguments))

    def _look_for_loops(self) -> None:
        self._look_at = self._grown + self._repetition.every
        pairs = zip((self._text, self._thinking), self._loops, strict=True)
        for (pieces, loops), where in zip(pairs, ("content", "thinking"), strict=True):
            if period := loops.period(pieces):
                self._faults.append(
                    f"the {where} repeated the same {period} characters without end; the answer "
                    f"was cut after {self._grown} characters, its usage is not known"
                )
                self._finish_reason = "repetition"
                self.cut = True
                return

    def _feed_damaged(self, payload: bytes) -> None:
        if payload.strip() == b"[DONE]":
            self._done = True
            return
        payload, self._half = salvage.paired(payload, self._half)
        found = salvage.salvage(payload)
        if len(found.chunks) == 1 and found.clean:
            self._take(found.chunks[0], "delta")
        elif found.chunks:
            self._faults.append(
                f"a damaged event of {len(payload)} bytes; what could be read of it was taken"
            )
            first = str(found.chunks[0].get("id") or "")
            if self._id and first and first != self._id:
                self._restart()
            elif found.text:
                self._piece(found.text, "delta")
            for chunk in found.chunks:
                self._take(chunk, "delta")
            self._done = self._done or found.done
        elif self._finish_reason or not payload.lstrip().startswith(b"{"):
            self._faults.append(f"an event that is no JSON was passed over ({len(payload)} bytes)")
        else:
            raise StreamBroken(
                f"The stream holds a damaged event of {len(payload)} bytes that begins "
                f"{payload[:60]!r}; expected one JSON object. Send the request again."
            )

    def _restart(self) -> None:
        """Begin anew: another answer was glued to the first one, which stopped in the middle.

        The cut event and the next one carry different ids, 70 s to 40 min apart: the provider
        asked its model again (zai-org/GLM-5#66, anomalyco/opencode#23442; why is an inference).
        """
        if self.started:
            why = "the provider began the answer again in the middle of it"
            said = [*self._faults, why]
            if self._emit:
                self._emit(ReplyRestarted(why))
            self.withdraw()
            self._begin()
            self._faults += said
        self._id = ""

    def withdraw(self) -> None:
        """Tell the sink that what it was offered is void, because this answer is."""
        if self._sink:
            self._sink.discard()

    def reply(self) -> Reply:
        """Return the whole answer.

        Raises:
            StreamBroken: the stream stopped before its end.
            EmptyReply: the answer holds neither text nor a tool call.
            ToolCallLost: the server says that there are tool calls but sent none.
            ModelError: the finish reason stands for an error.
        """
        if not self._finish_reason:
            self._end_without_reason()
        if error := faults.from_finish_reason(self._finish_reason):
            raise error
        self._gathered.finish_reason = self._finish_reason
        message = assemble(self._gathered, self._declared)
        # Thinking that was mended goes back in its mended form only.
        if (blocks := self._blocks.json()) and message.thinking == "".join(self._thinking):
            message = replace(message, thinking_blocks=blocks)
        self._judge(message)
        if self._usage is None and not self.cut:
            self._faults.append("the server did not say how many tokens were used")
        if self._emit:
            self._emit_rest(message)
        return Reply(
            message,
            self._usage or Usage(),
            self._finish_reason,
            self._model,
            self._id,
            faults=tuple(dict.fromkeys(self._faults)),
        )

    def _end_without_reason(self) -> None:
        if not self._done or not all(_is_object("".join(one.arguments)) for one in self._calls):
            raise StreamBroken(
                f"The stream stopped after {self._size()} characters without a finish reason. "
                "Send the request again."
            )
        self._finish_reason = "tool_calls" if self._calls else "stop"
        self._faults.append("the answer ended without a finish reason")

    def _judge(self, message: Assistant) -> None:
        """Refuse an answer that holds nothing to go on with."""
        if message.tool_calls:
            return
        if self._finish_reason == "tool_calls" and self._declared:
            raise ToolCallLost(
                "The server ended with finish_reason 'tool_calls' but sent no call: it lost the "
                "call (vLLM before June 2026 loses calls without arguments). Send the request "
                "again; if it stays so, update the server."
            )
        if not message.content.strip():
            raise EmptyReply(self._empty())

    def _emit_rest(self, message: Assistant) -> None:
        """Show what was held back and turned out to be text, or came from elsewhere."""
        assert self._emit
        for pieces, held, said, kind in (
            (self._thinking, self._held_thinking, message.thinking, ThinkingDelta),
            (self._text, self._held_text, message.content, TextDelta),
        ):
            raw = "".join(pieces)
            shown = raw[: len(raw) - held.size]
            if len(said) > len(shown) and said.startswith(shown):
                self._emit(kind(said[len(shown) :]))
        for position, call in enumerate(message.tool_calls):
            if position >= len(self._calls):
                self._emit(ArgumentsDelta(position, call.name, call.arguments))

    def _size(self) -> int:
        return self._grown + sum(len(part) for one in self._calls for part in one.arguments)

    def _empty(self) -> str:
        thought = sum(map(len, self._thinking))
        if self._finish_reason == "length":
            return (
                "The model used its whole max_tokens for thinking and wrote no answer. Raise "
                "max_tokens or set thinking=False."
            )
        if self._finish_reason in CUT_SHORT:
            return (
                f"The model repeated itself without end and was cut after {self._grown} "
                "characters; it wrote no answer. Send the request again, or shorten the prompt: "
                "loops are commonest beyond 100K tokens."
            )
        return (
            f"The model ended with finish_reason {self._finish_reason!r} but wrote neither text "
            f"nor a tool call ({thought} characters of thinking)."
        )


def _is_object(text: str) -> bool:
    try:
        return not text.strip() or isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False
