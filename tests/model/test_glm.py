"""GLM over real HTTP on loopback: requests, answers, errors and retries."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from agentkit.errors import (
    AuthenticationFailed,
    BalanceExhausted,
    ConfigError,
    ConnectionFailed,
    ContentRefused,
    EmptyReply,
    Overloaded,
    PromptTooLong,
    QuotaExhausted,
    RequestRejected,
    ServerFault,
    UnexpectedResponse,
)
from agentkit.messages import Assistant, System, ToolCall, ToolOutput, User
from agentkit.model import GLM, Request, RetryPolicy
from agentkit.model.faults import CODES, from_data
from agentkit.testing import Call, GLMServer, Raw, Refuse, Say

QUICK = RetryPolicy(base=0.001, patient_base=0.001, cap=0.01)
KEY = "secret-key-0123456789"


def ask(script, *, messages=(User("hello"),), tools=b"", key=None, api_key=KEY, **options):
    """Ask once; return the reply and the requests that the server saw."""

    async def main():
        async with GLMServer(script, key=key) as server:
            model = GLM(base_url=server.base_url, api_key=api_key, retry=QUICK, **options)
            request = Request([model.encode(message) for message in messages], tools)
            reply = await model.ask(request)
            return reply, server.requests

    return asyncio.run(main())


def failure(kind, script, **options):
    """Ask once, expect the error, return it with the number of requests that the server saw."""
    seen = []

    def brain(request):
        seen.append(request)
        return script

    with pytest.raises(kind) as caught:
        ask(brain, **options)
    assert type(caught.value) is kind
    assert KEY not in str(caught.value)
    return caught.value, len(seen)


def test_every_documented_parameter_reaches_the_server_in_its_documented_form():
    _, (body,) = ask(
        ["ok"],
        tools=b'[{"type":"function","function":{"name":"f","description":"","parameters":{}}}]',
        max_tokens=100,
        temperature=0.5,
        top_p=0.9,
        do_sample=True,
        tool_stream=True,
        thinking=True,
        tool_choice="auto",
        stop=["END"],
        response_format="json_object",
        user_id="user-1",
        request_id="request-1",
    )
    del body["messages"], body["tools"]
    assert body == {
        "model": "glm-5",
        "max_tokens": 100,
        "temperature": 0.5,
        "top_p": 0.9,
        "do_sample": True,
        "stream": True,
        "tool_stream": True,
        "thinking": {"type": "enabled", "clear_thinking": False},
        "tool_choice": "auto",
        "stop": ["END"],
        "response_format": {"type": "json_object"},
        "user_id": "user-1",
        "request_id": "request-1",
    }


def test_tool_fields_are_left_out_without_tools():
    _, (body,) = ask(["ok"], tool_choice="auto", tool_stream=True)
    assert not {"tools", "tool_choice", "tool_stream"} & set(body)


def test_a_conversation_goes_back_with_its_thinking_and_valid_arguments():
    messages = (
        System("be brief"),
        User("add"),
        Assistant(
            "", "I think", (ToolCall("c1", "add", '{"a": 1}'), ToolCall("c2", "a b", '{"a":'))
        ),
        ToolOutput("c1", "1"),
        ToolOutput("c2", "broken"),
    )
    _, (body,) = ask(["ok"], messages=messages)
    assert body["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "add"},
        {
            "role": "assistant",
            "content": "",
            "reasoning_content": "I think",
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "add", "arguments": '{"a": 1}'},
                },
                {"id": "c2", "type": "function", "function": {"name": "a_b", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "1"},
        {"role": "tool", "tool_call_id": "c2", "content": "broken"},
    ]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("tool_stream", [True, False])
def test_parallel_calls_thinking_and_usage_come_back_whole(stream, tool_stream):
    answer = Say("so", "because " * 9, [Call("f", {"x": "y" * 50}), Call("g", "")])
    reply, _ = ask([answer], stream=stream, tool_stream=tool_stream, tools=b"[]")
    assert reply.message.content == "so"
    assert reply.message.thinking == "because " * 9
    assert [(call.name, call.arguments) for call in reply.message.tool_calls] == [
        ("f", json.dumps({"x": "y" * 50}, separators=(",", ":"))),
        ("g", ""),
    ]
    assert reply.finish_reason == "tool_calls"
    assert reply.usage.input > 0
    assert reply.usage.thinking > 0
    price = 1.0 * reply.usage.uncached + 0.2 * reply.usage.cached + 3.2 * reply.usage.output
    assert reply.cost_usd == pytest.approx(price / 1e6)


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        (AuthenticationFailed, Refuse(401, "1000", f"key {KEY} is wrong")),
        (BalanceExhausted, Refuse(429, "1113", "Insufficient balance")),
        (QuotaExhausted, Refuse(429, "1308", "reset at 2026-11-22 10:00:00")),
        (RequestRejected, Refuse(400, "1210", "Invalid parameter")),
        (PromptTooLong, Refuse(400, "1210", "tokens in request more than max tokens allowed")),
        (PromptTooLong, Refuse(400, "1261", "Prompt exceeds max length")),
        (RequestRejected, Refuse(400, "1211", "Unknown Model")),
        (ContentRefused, Refuse(400, "1301", "unsafe content")),
        (UnexpectedResponse, Raw(b"<html><body>Welcome</body></html>")),
        (UnexpectedResponse, Raw(b"<html>not found</html>", 404)),
        (UnexpectedResponse, Raw(b"{", 200, "application/json")),
        (ContentRefused, Say("no", finish_reason="sensitive")),
        (PromptTooLong, Say("no", finish_reason="model_context_window_exceeded")),
    ],
)
def test_what_cannot_succeed_is_not_sent_again(kind, answer):
    error, requests = failure(kind, answer)
    assert requests == 1
    assert len(str(error)) > 40


@pytest.mark.parametrize(
    ("kind", "answer", "attempts"),
    [
        (Overloaded, Refuse(429, "1305", "busy"), QUICK.patient_attempts),
        (Overloaded, Refuse(200, "1305", "busy"), QUICK.patient_attempts),
        (ServerFault, Refuse(500, "1234", "network error"), QUICK.attempts),
        (ServerFault, Raw(b"<html>bad gateway</html>", 502), QUICK.attempts),
        (EmptyReply, Say(""), QUICK.attempts),
    ],
)
def test_what_may_succeed_is_sent_again_a_bounded_number_of_times(kind, answer, attempts):
    _, requests = failure(kind, answer)
    assert requests == attempts


def test_a_retry_that_succeeds_says_how_many_attempts_it_took():
    reply, requests = ask([Refuse(500, "1234"), Refuse(429, "1302"), "fine"])
    assert (reply.message.content, reply.attempts, len(requests)) == ("fine", 3, 3)


def test_a_stream_that_breaks_before_its_first_delta_is_sent_again():
    reply, requests = ask([Say("x", cut=0), "fine"])
    assert (reply.message.content, len(requests)) == ("fine", 2)


def test_an_address_where_nothing_answers_is_a_connection_error_that_names_it():
    async def main():
        model = GLM(base_url="http://127.0.0.1:9/v1", retry=QUICK)
        await model.ask(Request([model.encode(User("x"))]))

    with pytest.raises(ConnectionFailed, match=r"127\.0\.0\.1:9"):
        asyncio.run(main())


def test_a_wrong_key_is_told_with_advice_and_without_the_key():
    error, requests = failure(AuthenticationFailed, "unused", key="another-key")
    assert requests == 0
    assert error.fault.code == "1000"
    assert "ZAI_API_KEY" in str(error)


@pytest.mark.parametrize(
    ("key", "told"), [("secret-key-0123456789", "the [key] is no good"), ("x", "the x is no good")]
)
def test_a_key_is_kept_out_of_what_a_server_says_unless_it_only_stands_for_one(key, told):
    async def main():
        async with GLMServer([Refuse(401, "1000", f"the {key} is no good")]) as server:
            await GLM(base_url=server.base_url, api_key=key).complete("hello")

    with pytest.raises(AuthenticationFailed, match=re.escape(told)):
        asyncio.run(main())


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"temperature": 1.5}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"top_p": 0}, "top_p"),
        ({"request_id": "abc"}, "request_id"),
        ({"thinking": "yes"}, "thinking"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"stop": "END"}, "stop"),
        ({"max_token": 5}, "max_token"),
        ({"base_url": "api.z.ai"}, "base_url"),
        ({"base_url": "https://user:word@api.z.ai"}, "api_key"),
        ({"provider": "nobody"}, "nobody"),
    ],
)
def test_a_wrong_argument_is_refused_before_anything_is_sent(options, word):
    with pytest.raises(ConfigError, match=word):
        GLM("glm-5", **options)


def test_a_missing_key_is_told_with_the_name_of_its_variable(monkeypatch):
    monkeypatch.delenv("ZAI_API_KEY", raising=False)
    monkeypatch.delenv("ZAI_BASE_URL", raising=False)
    with pytest.raises(ConfigError, match="ZAI_API_KEY"):
        asyncio.run(GLM().ask(Request([b"{}"])))


@pytest.mark.parametrize("code", sorted(CODES))
def test_an_error_code_becomes_its_error_in_both_documented_forms(code):
    nested = from_data(400, {"error": {"code": code, "message": "words"}})
    flat = from_data(400, {"code": int(code), "message": "words"})
    assert type(nested) is type(flat) is CODES[code]
    assert nested.fault.code == code
    assert "words" in str(nested)


def test_many_runs_share_one_pool_and_leave_none_open():
    async def main():
        async with GLMServer(lambda _: "ok" and Say("ok")) as server:
            model = GLM(base_url=server.base_url)
            request = Request([model.encode(User("x"))])
            async with model.connect(), asyncio.TaskGroup() as group:
                for _ in range(20):
                    group.create_task(model.ask(request))
            assert not model._transport._lanes
            return len(server.requests)

    assert asyncio.run(main()) == 20
