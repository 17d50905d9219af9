"""OpenTelemetry spans (extra `[otel]`) of a run while it goes on, or of a stored one.

`await agent.run("...", Spans())` makes spans with the tracer provider that the program has set up;
the caller's current span is their parent. `export` sends stored runs to an OTLP endpoint, with ids
that depend on the run only, so that sending one twice makes no second trace. One span for each
user message and what came of it (`invoke_agent`), one for each reply (`chat`), one for each call
(`execute_tool`); a sub-agent's spans lie under the call that it served. What was said is left out
unless it is asked for.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from agentkit.context import spent_on_summary
from agentkit.errors import ConfigError
from agentkit.events import (
    Ephemeral,
    Event,
    Nested,
    Replied,
    RunFailed,
    RunFinished,
    RunInterrupted,
    RunPaused,
    RunResumed,
    RunStarted,
    ToolFinished,
    ToolStarted,
    UserMessage,
)
from agentkit.messages import Assistant, plain_text
from agentkit.trace import conventions as names
from agentkit.trace.recorded import Recorded
from agentkit.usage import Spent, Usage

try:
    from opentelemetry import context as contexts
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExportResult
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode
except ImportError as missing:
    raise ConfigError(
        "Spans need OpenTelemetry. Install it with `pip install 'agentkit-glm[otel]'`."
    ) from missing

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BATCH = 500


class Spans:
    """A subscriber that makes spans of one run's events; use a new one for each run.

    Args:
        tracer: of the program's own; default the global provider's, named "agentkit".
        content: whether messages, arguments and results are put into attributes.
        parent: the context of the spans; default the current one.
    """

    def __init__(
        self,
        tracer: trace.Tracer | None = None,
        *,
        content: bool = False,
        parent: contexts.Context | None = None,
    ) -> None:
        self._tracer = tracer or trace.get_tracer("agentkit")
        self._content = content
        self._parent = parent
        self._common: dict[str, Any] = {}
        self._agent = ""
        self._spent = Spent()  # of this invocation
        self._open: Span | None = None
        self._tools: dict[str, Span] = {}
        self._children: dict[str, Spans] = {}
        self._last = 0

    def __call__(self, event: Event | Ephemeral) -> None:
        """Take the next event of the run."""
        if isinstance(event, Nested):
            self._nested(event)
        elif isinstance(event, Event):
            self._last = _nanoseconds(event.at)
            self._take(event)
            if (aside := spent_on_summary(event.body)) is not None:
                self._spent = self._spent.plus(*aside, turns=0)

    def end(self) -> None:
        """End what a log that stops in the middle left open, at its last event."""
        for child in self._children.values():
            child.end()
        for span in (*self._tools.values(), *([self._open] if self._open else [])):
            _fail(span, "unfinished")
            span.end(self._last)
        self._tools.clear()
        self._open = None

    def _take(self, event: Event) -> None:
        if self._open is None and isinstance(event.body, Replied | ToolStarted | ToolFinished):
            self._begin()  # a run that paused goes on without a word while it stays open
        match event.body:
            case RunStarted() as body:
                self._agent = body.agent
                self._common = {names.CONVERSATION: event.run_id, names.AGENT_NAME: body.agent}
                self._use(body)
            case UserMessage() as body:
                self._begin()
                if self._content:
                    said = [{"type": "text", "content": plain_text(body.content)}]
                    self._add({names.INPUT_MESSAGES: _json([{"role": "user", "parts": said}])})
            case RunResumed() as body:
                self._use(body)
                self._begin()
            case Replied() as body:
                self._replied(event, body)
            case ToolStarted() as body:
                self._tool(event, body)
            case ToolFinished() as body:
                self._tool_finished(event, body)
            case RunFinished() | RunFailed() | RunInterrupted() | RunPaused() as body:
                self._end(body)
            case _:
                pass

    def _use(self, body: RunStarted | RunResumed) -> None:
        self._common[names.PROVIDER] = body.provider
        self._common[names.REQUEST_MODEL] = body.model

    def _begin(self) -> None:
        if self._open is not None:  # a user message that followed one without an end
            self.end()
        self._spent = Spent()
        self._open = self._tracer.start_span(
            f"{names.INVOKE_AGENT} {self._agent}",
            self._parent,
            SpanKind.INTERNAL,
            {names.OPERATION: names.INVOKE_AGENT, **self._common},
            start_time=self._last,
        )

    def _replied(self, event: Event, body: Replied) -> None:
        self._spent = self._spent.plus(body.usage, body.cost_usd)
        attributes: dict[str, Any] = {
            names.OPERATION: names.CHAT,
            **self._common,
            names.RESPONSE_MODEL: body.model,
            names.FINISH_REASONS: [body.finish_reason],
            **_usage(body.usage, body.cost_usd),
            names.TURN: self._spent.turns,
            names.ATTEMPTS: body.attempts,
            names.EVENT_SEQ: event.seq,
        }
        if body.first_delta_seconds is not None:
            attributes[names.FIRST_CHUNK] = body.first_delta_seconds
        if self._content:
            attributes[names.OUTPUT_MESSAGES] = _output(body.message, body.finish_reason)
        span = self._tracer.start_span(
            f"{names.CHAT} {self._common.get(names.REQUEST_MODEL, body.model)}",
            self._inside(self._open),
            SpanKind.CLIENT,
            attributes,
            start_time=self._last - round(body.seconds * 1e9),
        )
        span.end(self._last)

    def _tool(self, event: Event, body: ToolStarted | ToolFinished) -> Span:
        began = self._last
        if isinstance(body, ToolFinished):  # a call that was refused never started
            began -= round(body.seconds * 1e9)
        attributes: dict[str, Any] = {
            names.OPERATION: names.EXECUTE_TOOL,
            names.CONVERSATION: event.run_id,
            names.TOOL_NAME: body.name,
            names.TOOL_TYPE: "function",
            names.TOOL_CALL_ID: body.call_id,
            names.EVENT_SEQ: event.seq,
        }
        if self._content and isinstance(body, ToolStarted):
            attributes[names.TOOL_ARGUMENTS] = _json(body.arguments)
        span = self._tools[body.call_id] = self._tracer.start_span(
            f"{names.EXECUTE_TOOL} {body.name}",
            self._inside(self._open),
            SpanKind.INTERNAL,
            attributes,
            start_time=began,
        )
        return span

    def _tool_finished(self, event: Event, body: ToolFinished) -> None:
        span = self._tools.get(body.call_id) or self._tool(event, body)
        del self._tools[body.call_id]
        span.set_attribute(names.TOOL_STATUS, body.status)
        if self._content:
            span.set_attribute(names.TOOL_RESULT, body.content)
        if body.status != "ok":
            _fail(span, body.status)
        if body.sub_run and (child := self._children.pop(body.sub_run.run_id, None)):
            child.end()
        span.end(self._last)

    def _nested(self, event: Nested) -> None:
        child = self._children.get(event.run_id)
        if child is None:
            child = self._children[event.run_id] = Spans(self._tracer, content=self._content)
        # One that goes on after a pause lies under the call's new span.
        child._parent = self._inside(self._tools.get(event.call_id, self._open))
        child(event.event)

    def _end(self, body: RunFinished | RunFailed | RunInterrupted | RunPaused) -> None:
        if isinstance(body, RunPaused):
            for call_id in body.sub_runs.keys() & self._tools.keys():
                span = self._tools.pop(call_id)
                span.set_attribute(names.TOOL_STATUS, "paused")
                span.end(self._last)
        if self._open is None:
            return
        self._add(_usage(self._spent.usage, self._spent.cost_usd))
        self._add({names.TURNS: self._spent.turns})
        if isinstance(body, RunFailed):
            _fail(self._open, body.error, body.message if self._content else None)
        elif isinstance(body, RunInterrupted):
            _fail(self._open, "interrupted")
        self._open.end(self._last)
        self._open = None

    def _add(self, attributes: Mapping[str, Any]) -> None:
        if self._open is not None:
            self._open.set_attributes(attributes)

    def _inside(self, span: Span | None) -> contexts.Context | None:
        return self._parent if span is None else trace.set_span_in_context(span, self._parent)


def export(runs: Iterable[Recorded], endpoint: str | None = None, *, content: bool = False) -> int:
    """Send stored runs to an OTLP endpoint over HTTP.

    Each user message is a trace; those of one run share `gen_ai.conversation.id`.

    Args:
        runs: stored ones.
        endpoint: such as "http://localhost:4318"; default OTEL_EXPORTER_OTLP_ENDPOINT, else that.
        content: whether what was said is sent, too.

    Returns:
        How many spans were sent.

    Raises:
        ConfigError: the endpoint did not take them.
    """
    if endpoint and not endpoint.endswith("/v1/traces"):
        endpoint = f"{endpoint.rstrip('/')}/v1/traces"
    exporter = OTLPSpanExporter(endpoint=endpoint)
    sent = 0
    try:
        for run in runs:
            spans = _spans_of(run, content=content)
            for start in range(0, len(spans), _BATCH):
                batch = spans[start : start + _BATCH]
                if exporter.export(batch) is not SpanExportResult.SUCCESS:
                    raise ConfigError(
                        f"The OTLP endpoint {endpoint or 'of the environment'} did not take the "
                        f"spans of run {run.events[0].run_id}. Is a collector listening there?"
                    )
                sent += len(batch)
    finally:
        exporter.shutdown()
    return sent


class _Kept(SpanProcessor):
    """Keeps spans that have ended."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


class _RunIds(IdGenerator):
    """Ids that depend on the run alone."""

    def __init__(self, run_id: str) -> None:
        self._random = random.Random(run_id)  # noqa: S311 - an id, no secret

    def generate_span_id(self) -> int:
        return self._random.getrandbits(64) or 1

    def generate_trace_id(self) -> int:
        return self._random.getrandbits(128) or 1


def _spans_of(run: Recorded, *, content: bool) -> list[ReadableSpan]:
    kept = _Kept()
    provider = TracerProvider(
        resource=Resource.create({"service.name": "agentkit"}),
        id_generator=_RunIds(run.events[0].run_id),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(kept)
    tracer = provider.get_tracer("agentkit")
    spans = Spans(tracer, content=content, parent=contexts.Context())
    for event in _with_children(run):
        spans(event)
    spans.end()
    return kept.spans


def _with_children(run: Recorded) -> Iterator[Event | Nested]:
    """Yield a run's events, those of each sub-agent before the result of its call.

    One whose call has no result stands before the first event that says it waits.
    """
    children = {child.events[0].run_id: child for child in run.children}
    bodies = [event.body for event in run.events]
    served = {one.sub_run.run_id for one in bodies if isinstance(one, ToolFinished) and one.sub_run}
    for event in run.events:
        found: list[tuple[str, str]] = []
        if isinstance(body := event.body, ToolFinished) and body.sub_run:
            found.append((body.call_id, body.sub_run.run_id))
        elif isinstance(body, RunPaused):
            subs = body.sub_runs.items()
            found += [(call, sub.run_id) for call, sub in subs if sub.run_id not in served]
        for call_id, run_id in found:
            if child := children.pop(run_id, None):
                for inner in _with_children(child):
                    yield Nested(call_id, run_id, inner)
        yield event


def _usage(usage: Usage, cost_usd: float | None) -> dict[str, Any]:
    counts: dict[str, Any] = {
        names.INPUT_TOKENS: usage.input,
        names.CACHED_TOKENS: usage.cached,
        names.OUTPUT_TOKENS: usage.output,
        names.THINKING_TOKENS: usage.thinking,
    }
    return counts if cost_usd is None else {**counts, names.COST: cost_usd}


def _output(message: Assistant, finish_reason: str) -> str:
    parts: list[dict[str, Any]] = []
    if message.thinking:
        parts.append({"type": "reasoning", "content": message.thinking})
    if message.content:
        parts.append({"type": "text", "content": message.content})
    parts += [
        {"type": "tool_call", "id": call.id, "name": call.name, "arguments": call.arguments}
        for call in message.tool_calls
    ]
    return _json([{"role": "assistant", "parts": parts, "finish_reason": finish_reason}])


def _json(value: Any) -> str:
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _fail(span: Span, kind: str, text: str | None = None) -> None:
    span.set_attribute(names.ERROR_TYPE, kind)
    span.set_status(Status(StatusCode.ERROR, text))


def _nanoseconds(at: str) -> int:
    return (datetime.fromisoformat(at) - _EPOCH) // timedelta(microseconds=1) * 1000
