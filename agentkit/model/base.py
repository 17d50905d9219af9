"""What a model is to the rest of agentkit: it encodes messages and answers requests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from agentkit.events import Delta
from agentkit.messages import Assistant, Message, ToolCall
from agentkit.model.catalog import Price
from agentkit.usage import Usage


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a model, already in its bytes.

    Attributes:
        messages: each message as the model's `encode` gave it, the system prompt first.
        tools: canonical JSON array of the tool definitions; b"" for none.
        digest: sha256 over the tools and messages, hex.
        originals: the messages before encoding, for a fallback model that spells them otherwise.
        max_tokens: bound of this answer, below the model's own; None for no further bound.
        json_object: whether this answer has to be a JSON object, where the endpoint can see to it.
        asks: called before each model that is asked for this answer, with 0 for the model itself
            or a fallback's place from 1, and its name; returns what to send it. Another model than
            answered last has nothing in its cache, so that an edit of the prompt costs nothing.
    """

    messages: Sequence[bytes]
    tools: bytes = b""
    digest: str = ""
    originals: Sequence[Message] = ()
    max_tokens: int | None = None
    json_object: bool = False
    asks: Asks | None = None

    async def to(self, place: int, name: str) -> Request:
        """Return the request as this model shall get it; see `asks`."""
        return self if self.asks is None else await self.asks(place, name)


Asks = Callable[[int, str], Awaitable[Request]]


@dataclass(frozen=True, slots=True)
class FellBack:
    """Says that a fallback model gave an answer, and why.

    Attributes:
        wanted: the model that should have answered.
        error: what it failed with.
    """

    wanted: str
    error: str


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of a model; `faults` says in words what the server did wrong and we mended."""

    message: Assistant
    usage: Usage
    finish_reason: str
    model: str
    id: str = ""
    cost_usd: float | None = None
    seconds: float = 0.0
    first_delta_seconds: float | None = None
    attempts: int = 1
    faults: tuple[str, ...] = ()
    fell_back: FellBack | None = None


Emit = Callable[[Delta], None]


class CallSink(Protocol):
    """Who wants to know of tool calls while the model still writes its reply.

    Only the reply decides which calls there are: one that was offered may come out mended, under
    another id, or not at all.
    """

    def offer(self, call: ToolCall) -> None:
        """Take a call whose arguments are a whole JSON object; it must return at once.

        Each call of an answer is offered at most once, when the model has gone on to the next one
        or has ended.
        """
        ...

    def discard(self) -> None:
        """Forget all that was offered: the answer broke off; the next one offers anew."""
        ...


class Model(Protocol):
    """A model that an agent can be built on."""

    @property
    def name(self) -> str:
        """Id of the model."""
        ...

    @property
    def provider(self) -> str:
        """Name of the endpoint's provider."""
        ...

    @property
    def price(self) -> Price | None:
        """USD per million tokens, or None when unknown."""
        ...

    @property
    def window(self) -> int | None:
        """Tokens of prompt and answer together, or None when unknown."""
        ...

    def connect(self) -> AbstractAsyncContextManager[None]:
        """Hold the connection open while the context is entered; may be nested and shared."""
        ...

    def encode(self, message: Message) -> bytes:
        """Return the message as the request body carries it; the same message, the same bytes."""
        ...

    async def ask(
        self, request: Request, emit: Emit | None = None, sink: CallSink | None = None
    ) -> Reply:
        """Send a request and return the whole answer, giving pieces of it to `emit` on the way.

        Calls that are whole before the answer is are offered to `sink`, where it is streamed.

        Raises:
            ModelError: see agentkit.errors for the kinds.
        """
        ...
