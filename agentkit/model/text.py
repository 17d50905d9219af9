"""Text from a model without an agent: one prompt, one answer, as text or as checked data."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from agentkit.errors import ConfigError, OutputInvalid, StreamBroken
from agentkit.events import Delta, ReplyRestarted, TextDelta
from agentkit.log import warn
from agentkit.messages import Content, Message, System, User
from agentkit.model.base import Model, Reply, Request
from agentkit.model.shape import Shape
from agentkit.usage import Usage

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What the model answered to one prompt.

    Attributes:
        output: text, or data of the type that was asked for.
        replies: the model's replies; more than one when data had to be asked for again.
    """

    output: T
    replies: tuple[Reply, ...]

    @property
    def usage(self) -> Usage:
        """Tokens of all replies."""
        return sum((reply.usage for reply in self.replies), Usage())

    @property
    def cost_usd(self) -> float | None:
        """Dollars of all replies, or None when a price is unknown."""
        costs = [reply.cost_usd for reply in self.replies]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if len(known) == len(costs) else None

    @property
    def thinking(self) -> str:
        """What the model thought before its last reply."""
        return self.replies[-1].message.thinking


async def answer(
    model: Model, prompt: Content, *, system: str = "", output: Any = str
) -> Answer[Any]:
    """Ask a model once, and for data a second time when the first answer does not fit.

    Args:
        model: who is asked.
        prompt: text, or a tuple of text and image parts for a vision model.
        system: the system prompt.
        output: `str`; or `dict` for any JSON object; or a pydantic model, dataclass, TypedDict,
            list... that the answer is checked against. Python 3.11 needs the TypedDict of
            typing_extensions.

    Raises:
        OutputInvalid: the answer does not fit `output` after it was asked for again.
        ConfigError: an empty prompt, or an `output` that no JSON schema can describe.
        ModelError: see agentkit.errors for the kinds.
    """
    if output is str:
        reply = await model.ask(_request(model, _messages(prompt, system)))
        _check_text(reply)
        return Answer(reply.message.content, (reply,))
    shape = Shape(output)
    messages = _messages(prompt, f"{system}\n\n{shape.instruction}".lstrip())
    async with model.connect():
        first = await model.ask(_request(model, messages, json_object=True))
        try:
            return Answer(shape.read(first.message.content), (first,))
        except ValueError as fault:
            if first.finish_reason == "length":  # the same again would be cut at the same place
                raise OutputInvalid(
                    "The model's JSON was cut at max_tokens. Raise GLM(max_tokens=...)."
                ) from fault
            warn("model", "model.json_asked_again", fault=str(fault))
            again = User(f"{fault}\nAnswer again with the corrected JSON only.")
            messages = [*messages, replace(first.message, tool_calls=()), again]
        second = await model.ask(_request(model, messages, json_object=True))
        try:
            return Answer(shape.read(second.message.content), (first, second))
        except ValueError as fault:
            raise OutputInvalid(
                f"The model gave no valid output, asked twice. {fault} Simplify the type, or use "
                "a stronger model."
            ) from fault


class TextStream(AsyncIterator[str]):
    """The pieces of one answer as they are written; leaving the loop early ends the request.

    Attributes:
        reply: the whole reply with usage and dollars, once the last piece has been read.
    """

    def __init__(self, model: Model, prompt: Content, *, system: str = "") -> None:
        self._request = _request(model, _messages(prompt, system))
        self._model = model
        self._pieces: AsyncGenerator[str] | None = None
        self.reply: Reply | None = None

    def __aiter__(self) -> TextStream:
        return self

    async def __anext__(self) -> str:
        if self._pieces is None:
            self._pieces = self._read()
        return await anext(self._pieces)

    async def aclose(self) -> None:
        """End the request now; done by itself when the stream is garbage."""
        if self._pieces is not None:
            await self._pieces.aclose()

    async def _read(self) -> AsyncGenerator[str]:
        queue: asyncio.Queue[Delta | None] = asyncio.Queue()
        task = asyncio.create_task(self._model.ask(self._request, queue.put_nowait))
        task.add_done_callback(lambda _: queue.put_nowait(None))
        sent = _Sent()
        try:
            while (delta := await queue.get()) is not None:
                if piece := sent.take(delta):
                    yield piece
            self.reply = await task
            # What was mended after the last delta, such as an answer left in the thinking.
            if rest := sent.rest(self.reply.message.content):
                yield rest
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])


class _Sent:
    """What the reader of a stream has been given, so that a request sent again repeats nothing."""

    def __init__(self) -> None:
        self._given: list[str] = []
        self._repeated = ""  # what the request that was sent again has to begin with
        self._at = 0

    def take(self, delta: Delta) -> str:
        """Return the new text of a delta.

        Raises:
            StreamBroken: the request was sent again and is answered in other words.
        """
        if isinstance(delta, ReplyRestarted):
            self._repeated, self._at = "".join(self._given), 0
        if not isinstance(delta, TextDelta):
            return ""
        old = self._repeated[self._at : self._at + len(delta.text)]
        if not delta.text.startswith(old):
            raise self._other()
        self._at += len(old)
        piece = delta.text[len(old) :]
        self._given.append(piece)
        return piece

    def rest(self, whole: str) -> str:
        """Return what the whole answer holds beyond the pieces given, if it continues them."""
        if self._at < len(self._repeated):
            raise self._other()
        given = "".join(self._given)
        return whole[len(given) :] if whole.startswith(given) else ""

    def _other(self) -> StreamBroken:
        return StreamBroken(
            f"The answer broke off after {len(self._repeated)} characters that were already read, "
            "and the request sent again is answered in other words. Ask again, or use complete()."
        )


def _messages(prompt: Content, system: str) -> list[Message]:
    if not prompt or (isinstance(prompt, str) and not prompt.strip()):
        raise ConfigError("The prompt is empty: expected text, or a tuple of text and images.")
    return [System(system), User(prompt)] if system else [User(prompt)]


def _request(model: Model, messages: list[Message], *, json_object: bool = False) -> Request:
    return Request(
        [model.encode(message) for message in messages],
        originals=tuple(messages),
        json_object=json_object,
    )


def _check_text(reply: Reply) -> None:
    if reply.finish_reason == "length":
        warn("model", "model.answer_cut", model=reply.model, advice="raise GLM(max_tokens=...)")
    if not reply.message.content:
        names = ", ".join(call.name for call in reply.message.tool_calls)
        raise OutputInvalid(
            f"The model called {names or 'no tool'} instead of answering, and this prompt has no "
            "tools. Use an Agent to give it tools."
        )
