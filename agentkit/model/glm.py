"""GLM: one question, one whole answer, with retries before the first delta."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from agentkit.errors import ModelError
from agentkit.log import warn
from agentkit.messages import Content, Message
from agentkit.model import catalog, presets, text, wire
from agentkit.model.base import CallSink, Emit, FellBack, Reply, Request
from agentkit.model.collect import Collector
from agentkit.model.endpoint import resolve
from agentkit.model.faults import can_fall_back, without_key
from agentkit.model.parameters import Parameters, check
from agentkit.model.providers import Provider
from agentkit.model.repetition import RepetitionPolicy
from agentkit.model.retry import RetryPolicy, persist
from agentkit.model.text import Answer, TextStream
from agentkit.model.unreported import estimated_usage

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")


class GLM:
    """A GLM model at an endpoint.

    Args:
        name: model id, such as "glm-5" or, on OpenRouter, "z-ai/glm-5".
        api_key: key of the endpoint; default ZAI_API_KEY, elsewhere the provider's own variable
            (OPENROUTER_API_KEY). A server on this machine needs none.
        base_url: endpoint without `/chat/completions`; default ZAI_BASE_URL, else Z.ai.
        provider: a name such as "vllm", or a record of your own; by default what the host implies.
            See `agentkit.model.providers.PROVIDERS`.
        preset: sampling advice for a kind of work: "coding", "agent", "extraction", "writing",
            "creative" or "math"; what you give yourself goes before it. Figures and sources:
            `agentkit.model.presets`.
        stream: whether answers are streamed. Default True.
        price: overrides the catalog's price.
        retry: when a failed request is sent again.
        fallback: models that are asked, in order, when this one cannot answer.
        concurrency: requests of this key in flight at once, in all runs of the process; default by
            the provider.
        repetition: when a streamed answer counts as a loop and is cut, with finish reason
            "repetition"; `agentkit.model.repetition.NEVER_CUT` for answers that repeat on purpose.
        http: what carries the requests instead of the network, such as a
            `agentkit.testing.Cassette`; it stays open, and no key is asked for.
        **parameters: request parameters such as temperature, max_tokens, thinking; see
            `agentkit.model.parameters.Parameters`.

    Raises:
        ConfigError: a parameter that the model or the provider would refuse, an unknown provider
            or preset, a URL that is none.
    """

    def __init__(  # noqa: PLR0913 - keywords of the public face, each with a default
        self,
        name: str = "glm-5",
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        provider: str | Provider | None = None,
        preset: str | None = None,
        stream: bool = True,
        price: catalog.Price | None = None,
        retry: RetryPolicy | None = None,
        fallback: Sequence[GLM] = (),
        concurrency: int | None = None,
        repetition: RepetitionPolicy | None = None,
        http: httpx.AsyncBaseTransport | None = None,
        **parameters: Unpack[Parameters],
    ) -> None:
        from agentkit.model.transport import Transport  # noqa: PLC0415 - httpx, for who asks a model

        self._endpoint = resolve(
            name, api_key=api_key, base_url=base_url, provider=provider, price=price
        )
        self._retry = retry or RetryPolicy()
        self._repetition = repetition or RepetitionPolicy()
        self._http = http
        self._transport = Transport(self._endpoint, concurrency or self._endpoint.concurrency, http)
        self._fallback = tuple(fallback)
        self._rest_until = 0.0
        wanted = presets.apply(preset, parameters, self._endpoint.provider, self._endpoint.info)
        self._parameters = check(wanted, self._endpoint.provider, self._endpoint.info)
        self._stream = stream
        self._fields = {
            tools: self._parameter_bytes(self._parameters, tools=tools) for tools in (False, True)
        }
        if self._endpoint.info is None:
            warn("model", "model.unknown", model=name, advice=catalog.UNKNOWN)

    def __repr__(self) -> str:
        return f"GLM({self.name!r}, base_url={self.base_url!r})"

    @property
    def name(self) -> str:
        """Id of the model."""
        return self._endpoint.model

    @property
    def provider(self) -> str:
        """Name of the provider whose dialect is spoken."""
        return self._endpoint.provider.name

    @property
    def base_url(self) -> str:
        """The endpoint, without `/chat/completions`."""
        return self._endpoint.base_url

    @property
    def price(self) -> catalog.Price | None:
        """USD per million tokens, or None when unknown."""
        return self._endpoint.price

    @property
    def window(self) -> int | None:
        """Tokens of prompt and answer together, or None for an unknown model."""
        return self._endpoint.info.window if self._endpoint.info else None

    def encode(self, message: Message) -> bytes:
        """Return the message as the request body carries it.

        Raises:
            ConfigError: an image for a model that reads text only.
        """
        return wire.encode(message, self._endpoint.provider.dialect, self._endpoint.info)

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[None]:
        """Keep connections open while somebody is inside, shared by all in one event loop.

        Raises:
            ConfigError: no key for an endpoint that is not on this machine.
        """
        if self._http is None:
            self._endpoint.require_key()
        async with self._transport.connect():
            yield

    async def ask(
        self, request: Request, emit: Emit | None = None, sink: CallSink | None = None
    ) -> Reply:
        """Send a request and return the whole answer; see `agentkit.model.base.Model`.

        When this model cannot answer and has fallbacks, they are asked in order, and this one is
        left alone for a while (`RetryPolicy.rest`), since each change of model costs the cache.
        """
        failed: ModelError | None = None
        if not (self._fallback and self._rests()):
            request = await request.to(0, self.name)
            try:
                return await self._ask(request, emit, sink)
            except ModelError as error:
                if not (self._fallback and can_fall_back(error)):
                    raise
                failed = error
                self._rest_until = time.monotonic() + self._retry.rest
                warn("model", "model.fallback", model=self.name, error=str(error))
        why = FellBack(self.name, str(failed) if failed else "it rests after an earlier failure")
        for place, model in enumerate(self._fallback, start=1):
            request = await request.to(place, model.name)
            with suppress(ModelError) if place < len(self._fallback) else nullcontext():
                reply = await model.ask(self._respelt(request, model), emit, sink)
                return replace(reply, fell_back=why)
        raise AssertionError("the last fallback answers or raises")

    @overload
    async def complete(self, prompt: Content, *, system: str = "") -> str: ...
    @overload
    async def complete(self, prompt: Content, *, system: str = "", output: type[T]) -> T: ...
    async def complete(self, prompt: Content, *, system: str = "", output: Any = str) -> Any:
        """Return the answer to one prompt: `asyncio.run(GLM("glm-5").complete("..."))`.

        With `output=dict` the answer is a JSON object; with a pydantic model, dataclass, TypedDict
        or list of them it is checked data, asked for a second time when it does not fit.

        Raises:
            OutputInvalid: the second answer does not fit `output` either.
            ModelError: see agentkit.errors for the kinds.
        """
        return (await text.answer(self, prompt, system=system, output=output)).output

    @overload
    async def answer(self, prompt: Content, *, system: str = "") -> Answer[str]: ...
    @overload
    async def answer(self, prompt: Content, *, system: str = "", output: type[T]) -> Answer[T]: ...
    async def answer(self, prompt: Content, *, system: str = "", output: Any = str) -> Answer[Any]:
        """Do what `complete` does, and return the usage, dollars and replies with the output."""
        return await text.answer(self, prompt, system=system, output=output)

    def stream(self, prompt: Content, *, system: str = "") -> TextStream:
        """Return the answer piece by piece: `async for piece in GLM("glm-5").stream("...")`."""
        return TextStream(self, prompt, system=system)

    async def _ask(self, request: Request, emit: Emit | None, sink: CallSink | None) -> Reply:
        body = wire.body(request, self._fields_for(request))
        async with self.connect():
            return await persist(
                self._retry,
                self._transport.gate,
                lambda collector: self._once(body, collector),
                lambda: Collector(emit, request.tools, self._repetition, sink),
                emit,
            )

    async def _once(self, body: bytes, collector: Collector) -> Reply:
        start = time.perf_counter()
        try:
            first = await self._transport.exchange(body, collector)
            reply = collector.reply()
        except BaseException as error:
            collector.withdraw()
            if isinstance(error, ModelError):
                raise without_key(error, self._endpoint.key) from error.__cause__
            raise
        price = self._endpoint.price
        if not reply.usage.input:  # a server without usage, or a loop that was cut before it came
            reply = replace(
                reply,
                usage=estimated_usage(body, reply.message),
                faults=(*reply.faults, "no usage was reported; it is estimated"),
            )
        return replace(
            reply,
            model=reply.model or self.name,
            cost_usd=price.cost(reply.usage) if price else None,
            seconds=time.perf_counter() - start,
            first_delta_seconds=first,
        )

    def _rests(self) -> bool:
        return time.monotonic() < self._rest_until

    def _respelt(self, request: Request, model: GLM) -> Request:
        """Return the request in the spelling of a fallback's dialect."""
        request = replace(request, asks=None)  # of its own fallbacks nobody is told
        if model._endpoint.provider.dialect == self._endpoint.provider.dialect:
            return request
        return replace(request, messages=[model.encode(each) for each in request.originals])

    def _fields_for(self, request: Request) -> bytes:
        """Return the body's parameters, with this request's own bound on the answer, if any."""
        bound = request.max_tokens
        if bound is None and not request.json_object:
            return self._fields[bool(request.tools)]
        parameters: Parameters = {**self._parameters}
        if bound is not None:
            parameters["max_tokens"] = min(bound, parameters.get("max_tokens", bound))
        if request.json_object:
            parameters["response_format"] = "json_object"
        return self._parameter_bytes(parameters, tools=bool(request.tools))

    def _parameter_bytes(self, parameters: Parameters, *, tools: bool) -> bytes:
        provider, info = self._endpoint.provider, self._endpoint.info
        return wire.parameter_bytes(
            self.name, parameters, provider, info=info, stream=self._stream, tools=tools
        )
