"""OpenTelemetry: spans arrive at a real OTLP receiver, live and from the store, the same ones."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.proto.trace.v1.trace_pb2 import Status as WireStatus
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes

from agentkit import Agent, ApprovalPolicy, Rule
from agentkit.errors import ConfigError
from agentkit.events import Noted, Replied
from agentkit.store import MemoryStore
from agentkit.testing import Call, Say, ScriptedModel
from agentkit.trace import conventions, otel, read_run
from otlp import receiver
from trace_recording import cut, record, recorded, weather

ROOT = b""


def facts(span):
    """Return the attributes of a span as a dict."""
    values = {}
    for pair in span.attributes:
        kind = pair.value.WhichOneof("value")
        value = getattr(pair.value, kind)
        values[pair.key] = (
            [v.string_value for v in value.values] if kind == "array_value" else value
        )
    return values


def tree(spans):
    """Return the names of the spans, each with its children, in order of time."""

    def under(parent):
        children = [span for span in spans if span.parent_span_id == parent]
        children.sort(key=lambda span: (span.start_time_unix_nano, span.name))
        return [(span.name, under(span.span_id)) for span in children]

    return under(ROOT)


TREE = [
    (
        "invoke_agent parent",
        [
            ("chat glm-5", []),
            ("execute_tool wether", []),
            ("execute_tool ask", [("invoke_agent child", [("chat glm-5", [])])]),
            ("execute_tool weather", []),
            ("chat glm-5", []),
            ("execute_tool weather", []),
            ("chat glm-5", []),
        ],
    ),
    ("invoke_agent parent", [("chat glm-5", [])]),
]


def by_name(found):
    return sorted((name, by_name(children)) for name, children in found)


@pytest.fixture(scope="module")
def run():
    return recorded()


@pytest.fixture(scope="module")
def sent(run):
    with receiver() as (url, got):
        count = otel.export([run], url)
    assert count == len(got)
    return got


def test_a_stored_run_becomes_a_tree_of_spans_by_the_conventions(run, sent):
    assert by_name(tree(sent)) == by_name(TREE)
    agent, chat, tool = (
        next(span for span in sent if span.name == name)
        for name in ("invoke_agent parent", "chat glm-5", "execute_tool weather")
    )
    replies = [event.body for event in run.events if isinstance(event.body, Replied)]
    usages = {(reply.usage.input, reply.usage.cached, reply.usage.output) for reply in replies}
    assert chat.kind == Span.SPAN_KIND_CLIENT
    said = facts(chat)
    assert said["gen_ai.operation.name"] == "chat"
    assert said["gen_ai.conversation.id"] == run.events[0].run_id
    assert said["gen_ai.response.finish_reasons"] in (["stop"], ["tool_calls"])
    counted = [
        tuple(
            facts(span)[f"gen_ai.usage.{name}"]
            for name in ("input_tokens", "cache_read.input_tokens", "output_tokens")
        )
        for span in sent
        if span.name.startswith("chat")
    ]
    assert usages < set(counted)
    assert facts(agent)["agentkit.turns"] in (1, 3)
    costs = [facts(s)["agentkit.cost_usd"] for s in sent if s.name == "invoke_agent parent"]
    assert sum(costs) == pytest.approx(sum(reply.cost_usd for reply in replies))
    assert facts(tool)["gen_ai.tool.call.id"]
    assert facts(tool)["gen_ai.tool.type"] == "function"
    refused = next(span for span in sent if span.name == "execute_tool wether")
    assert refused.status.code == WireStatus.STATUS_CODE_ERROR
    assert facts(refused)["error.type"] == "error"
    for span in sent:
        assert span.start_time_unix_nano <= span.end_time_unix_nano


def test_every_name_of_the_conventions_is_one():
    known = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI")}
    ours = {value for name, value in vars(conventions).items() if name.isupper()}
    assert {name for name in ours if name.startswith("gen_ai.")} <= known


def test_what_was_said_is_sent_only_on_request(run, sent):
    private = ("Weather?", "Firenze", "Two cities", "All is fine", "21 °C", "answer of the child")
    text = "".join(str(facts(span)) + span.status.message for span in sent)
    assert not [word for word in private if word in text]
    with receiver() as (url, got):
        otel.export([run], url, content=True)
    text = "".join(str(facts(span)) for span in got)
    assert [word for word in private if word in text] == list(private)


def test_sending_a_run_twice_makes_the_same_spans(run, sent):
    with receiver() as (url, got):
        otel.export([run], f"{url}/v1/traces")
    assert [span.span_id for span in got] == [span.span_id for span in sent]
    assert {span.trace_id for span in got} == {span.trace_id for span in sent}


def test_a_run_that_goes_on_sends_the_same_tree_under_the_callers_span():
    store = MemoryStore()
    provider = TracerProvider(shutdown_on_exit=False)
    with receiver() as (url, got):
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces")))
        tracer = provider.get_tracer("test")

        async def main():
            with tracer.start_as_current_span("caller"):
                return await record(store, otel.Spans(tracer))

        run_id = asyncio.run(main())
        provider.shutdown()
    [(name, children)] = tree(got)
    assert name == "caller"
    assert by_name(children) == by_name(TREE)
    stored = asyncio.run(read_run(store, run_id))
    with receiver() as (url, again):
        otel.export([stored], url)
    ours = {s.name: facts(s) for s in got if s.name.startswith("execute_tool")}
    assert ours.items() <= {s.name: facts(s) for s in again}.items()


def test_a_sub_agent_that_waited_goes_on_under_its_calls_next_span():
    asking = ApprovalPolicy((Rule("ask", "weather"),))
    script = ScriptedModel([Say(calls=[Call("weather", {"city": "Oslo"}, id="w")]), "rain"])
    child = Agent(script, name="child", tools=[weather], approval=asking)
    above = ScriptedModel([Say(calls=[Call("child", {"task": "t"})]), "done"])
    store = MemoryStore()
    parent = Agent(above, name="parent", tools=[child.as_tool()], store=store)
    provider = TracerProvider(shutdown_on_exit=False)
    stored = []
    with receiver() as (url, got):
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces")))

        async def main():
            async with parent.open(otel.Spans(provider.get_tracer("test"))) as run:
                await run.send("go")
                stored.append(await read_run(store, run.id))
                await run.approve("w")
                await run.resume()
                stored.append(await read_run(store, run.id))

        asyncio.run(main())
        provider.shutdown()
    before = ("invoke_agent child", [("chat glm-5", [])])
    after = ("invoke_agent child", [("chat glm-5", []), ("execute_tool weather", [])])
    paused = ("invoke_agent parent", [("chat glm-5", []), ("execute_tool child", [before])])
    ended = ("invoke_agent parent", [("chat glm-5", []), ("execute_tool child", [after])])
    assert by_name(tree(got)) == by_name([paused, ended])
    states = [facts(one)["agentkit.tool.status"] for one in got if one.name == "execute_tool child"]
    assert sorted(states) == ["ok", "paused"]
    with receiver() as (url, early):
        otel.export(stored[:1], url)
    assert by_name(tree(early)) == by_name([paused])
    with receiver() as (url, late):
        otel.export(stored[1:], url)
    assert sorted(one.name for one in late) == sorted(one.name for one in got)


def test_a_log_that_stops_in_the_middle_ends_its_spans_there(run):
    with receiver() as (url, got):
        otel.export([cut(run, "tool_finished")], url)
    unfinished = [span.name for span in got if facts(span).get("error.type") == "unfinished"]
    assert unfinished == ["execute_tool weather", "invoke_agent parent"]


def test_an_endpoint_that_refuses_is_told(run):
    with receiver(status=400) as (url, _), pytest.raises(ConfigError, match="did not take"):
        otel.export([run], url)


def test_no_span_is_made_by_importing():
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def test_what_summaries_cost_is_in_the_span_of_the_run(run):
    spent = {"input": 9_000, "cached": 8_900, "output": 300, "thinking": 100, "cost_usd": 0.25}
    note = Noted(topic="summary", text="a summary was written", data=spent)
    at = next(at for at, event in enumerate(run.events) if isinstance(event.body, Replied))
    events = [*run.events[: at + 1], replace(run.events[at], body=note), *run.events[at + 1 :]]
    costs = []
    for each in (run, replace(run, events=tuple(events))):
        with receiver() as (url, got):
            otel.export([each], url)
        agents = [span for span in got if span.name == "invoke_agent parent"]
        costs.append(sum(facts(span)["agentkit.cost_usd"] for span in agents))
    assert costs[1] == pytest.approx(costs[0] + 0.25)
