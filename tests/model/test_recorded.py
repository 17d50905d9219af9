"""Recorded traffic parses to exactly what it says, however it is cut."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.events import ArgumentsDelta, TextDelta, ThinkingDelta
from agentkit.messages import ToolCall, User
from agentkit.model import GLM, Request
from agentkit.model.sse import EventReader
from agentkit.testing import GLMServer, Raw

RECORDED = sorted((Path(__file__).parents[1] / "recorded").glob("*.yaml"))


def bodies():
    for path in RECORDED:
        for item in yaml.safe_load(path.read_text())["interactions"]:
            kind = item["response"]["headers"]["Content-Type"][0]
            yield pytest.param(
                item["response"]["body"].encode(), kind, id=f"{path.stem}-{item['id']}"
            )


BODIES = list(bodies())
STREAMS = [param for param in BODIES if "event-stream" in param.values[1]]


def said(body: bytes, kind: str) -> dict:
    """Read a recorded body in the most naive way: an oracle that shares no code with agentkit."""
    if "event-stream" in kind:
        lines = [line[6:] for line in body.decode().splitlines() if line.startswith("data: ")]
        chunks = [json.loads(line) for line in lines if line != "[DONE]"]
    else:
        whole = json.loads(body)
        whole["choices"][0]["delta"] = whole["choices"][0].pop("message")
        chunks = [whole]
    text = thinking = reason = ""
    calls: dict[int, list[str]] = {}
    usage = {}
    for chunk in chunks:
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            delta = choice["delta"]
            reason = choice.get("finish_reason") or reason
            text += delta.get("content") or ""
            thinking += delta.get("reasoning_content") or delta.get("reasoning") or ""
            for call in delta.get("tool_calls") or []:
                entry = calls.setdefault(call["index"], ["", "", ""])
                entry[0] = call.get("id") or entry[0]
                entry[1] = call["function"].get("name") or entry[1]
                entry[2] += call["function"]["arguments"]
    return {
        "text": text,
        "thinking": thinking,
        "reason": reason,
        "calls": tuple(ToolCall(*calls[index]) for index in sorted(calls)),
        "usage": usage,
    }


def ask(answer: Raw, emit=None, **parameters):
    async def main():
        async with GLMServer(lambda _: answer) as server:
            model = GLM(base_url=server.base_url, **parameters)
            return await model.ask(Request([model.encode(User("hello"))]), emit)

    return asyncio.run(main())


@pytest.mark.parametrize(("body", "kind"), BODIES)
def test_a_recorded_body_becomes_the_reply_that_it_says(body, kind):
    expected = said(body, kind)
    deltas = []
    reply = ask(Raw(body, 200, kind), deltas.append, stream="event-stream" in kind)
    assert reply.message.content == expected["text"]
    assert reply.message.thinking == expected["thinking"]
    assert reply.message.tool_calls == expected["calls"]
    assert reply.finish_reason == expected["reason"]
    assert reply.usage.input == expected["usage"]["prompt_tokens"]
    assert reply.usage.output == expected["usage"]["completion_tokens"]
    assert reply.usage.cached == expected["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert (
        reply.usage.thinking == expected["usage"]["completion_tokens_details"]["reasoning_tokens"]
    )
    assert "".join(d.text for d in deltas if isinstance(d, TextDelta)) == expected["text"]
    assert "".join(d.text for d in deltas if isinstance(d, ThinkingDelta)) == expected["thinking"]
    arguments = "".join(d.text for d in deltas if isinstance(d, ArgumentsDelta))
    assert arguments == "".join(call.arguments for call in expected["calls"])


@pytest.mark.parametrize(("body", "kind"), STREAMS)
def test_a_stream_cut_at_any_byte_gives_the_same_events(body, kind):
    def read(*chunks: bytes) -> list[bytes]:
        reader = EventReader()
        return [event for chunk in chunks for event in reader.feed(chunk)] + reader.finish()

    whole = read(body)
    assert len(whole) > 10
    for at in range(len(body) + 1):
        assert read(body[:at], body[at:]) == whole


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_number_of_cuts_and_any_line_ending_give_the_same_events(data):
    body = data.draw(st.sampled_from([param.values[0] for param in STREAMS]))[:4000]
    reader = EventReader()
    whole = reader.feed(body) + reader.finish()
    ending = data.draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
    body = body.replace(b"\n", ending)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=30)))
    reader = EventReader()
    events = []
    for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
        events += reader.feed(body[start:end])
    assert events + reader.finish() == whole
