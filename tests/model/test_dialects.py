"""Dialects: what each provider is sent, and that it is nothing that it refuses."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from agentkit.errors import ConfigError
from agentkit.messages import Assistant, System, ToolCall, ToolOutput, User
from agentkit.model import GLM, Request
from agentkit.model.providers import PROVIDERS, Dialect, Provider, choose
from agentkit.model.providers_file import from_json, load, save
from agentkit.testing import GLMServer, Raw

RECORDED = Path(__file__).parents[1] / "recorded"
TOOLS = b'[{"type":"function","function":{"name":"f","description":"","parameters":{}}}]'
SECRET = "sk-0123456789abcdef"


def sent(name="glm-5", *, messages=(User("hello"),), tools=TOOLS, **options):
    """Ask once over HTTP; return the body that the server got, whatever its dialect."""

    async def main():
        bodies = []

        async def serve(reader, writer):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.split("content-length:")[1].split()[0])
            bodies.append(json.loads(await reader.readexactly(length)))
            answer = b'{"choices":[{"finish_reason":"stop","message":{"content":"ok"}}]}'
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n"
                b"content-length: %d\r\n\r\n%s" % (len(answer), answer)
            )
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            model = GLM(name, base_url=f"http://127.0.0.1:{port}/v1", **options)
            await model.ask(Request([model.encode(message) for message in messages], tools))
        return bodies[0]

    return asyncio.run(main())


@pytest.mark.parametrize("provider", [provider.name for provider in PROVIDERS])
@pytest.mark.parametrize("name", ["glm-5", "glm-5.3", "glm-4.5", "glm-4-32b-0414-128k", "mine"])
def test_no_request_holds_a_field_that_its_provider_does_not_take(provider, name):
    dialect = choose("http://h/v1", provider).dialect
    wishes = [{}, {"clear_thinking": False, "temperature": 0.5, "top_p": 0.9, "max_tokens": 9}]
    wishes += [
        {"stop": ["END"], "response_format": "json_object", "tool_choice": "auto"},
        {"tool_stream": True, "user_id": "user-1", "request_id": "request-1"},
    ]
    if dialect.can_switch and name in {"glm-5", "glm-4.5", "mine"}:
        wishes += [{"thinking": True}, {"thinking": False}]
    if dialect.effort != "none" and name in {"glm-5.3", "mine"}:
        wishes += [{"effort": "low"}, {"effort": "max"}, {"effort": "medium"}]
    for wish in wishes:
        for stream in (True, False):
            body = sent(name, provider=provider, stream=stream, **wish)
            assert set(body) <= dialect.fields, wish
            assert body["model"] == name


@pytest.mark.parametrize(
    ("provider", "off", "on", "auto"),
    [
        (
            "zai",
            {"thinking": {"type": "disabled", "clear_thinking": False}},
            {"thinking": {"type": "enabled", "clear_thinking": False}},
            {"thinking": {"type": "enabled", "clear_thinking": False}},
        ),
        ("openrouter", {"reasoning": {"enabled": False}}, {"reasoning": {"enabled": True}}, {}),
        (
            "vllm",
            {"chat_template_kwargs": {"enable_thinking": False, "clear_thinking": False}},
            {"chat_template_kwargs": {"enable_thinking": True, "clear_thinking": False}},
            {"chat_template_kwargs": {"clear_thinking": False}},
        ),
        ("ollama", {"reasoning_effort": "none"}, {}, {}),
        ("alibaba", {"enable_thinking": False}, {"enable_thinking": True}, {}),
        (
            "fireworks",
            {"reasoning_effort": "none", "reasoning_history": "preserved"},
            {"reasoning_history": "preserved"},
            {"reasoning_history": "preserved"},
        ),
    ],
)
def test_thinking_is_switched_in_the_providers_own_words(provider, off, on, auto):
    plain = {"model", "messages", "stream", "stream_options", "usage", "tools"}
    for wish, expected in ((False, off), (True, on), ("auto", auto)):
        body = sent(provider=provider, thinking=wish)
        assert {key: value for key, value in body.items() if key not in plain} == expected


@pytest.mark.parametrize(
    ("provider", "fields"),
    [
        ("zai", {"reasoning_content"}),
        ("bigmodel-coding", {"reasoning_content"}),
        ("openrouter", {"reasoning"}),
        ("vllm", {"reasoning_content", "reasoning"}),
        ("sglang", {"reasoning_content"}),
        ("nim", {"reasoning_content"}),
        ("ollama", {"reasoning"}),
        ("openai", {"reasoning_content"}),
    ],
)
def test_thinking_goes_back_verbatim_in_the_providers_own_fields(provider, fields):
    thought = "  two\nlines \n"
    body = sent(provider=provider, messages=(User("a"), Assistant("b", thought), User("c")))
    assistant = body["messages"][1]
    assert set(assistant) - {"role", "content"} == fields
    assert {assistant[field] for field in fields} == {thought}


def recorded(name):
    data = yaml.safe_load((RECORDED / f"{name}.yaml").read_text())
    first, second = data["interactions"]
    return first["response"], json.loads(second["request"]["body"])


def replayed(response, follow_up):
    """Let agentkit read a recorded answer and return the assistant message that it sends back."""
    kind = response["headers"]["Content-Type"][0]

    async def main():
        answer = Raw(response["body"].encode(), 200, kind)
        async with GLMServer(lambda _: answer) as server:
            model = GLM("z-ai/glm-5-turbo", base_url=server.base_url, stream="event" in kind)
            reply = await model.ask(Request([model.encode(User("hello"))]))
        return json.loads(
            GLM("z-ai/glm-5-turbo", base_url="https://openrouter.ai/api/v1").encode(reply.message)
        )

    mine = asyncio.run(main())
    theirs = next(one for one in follow_up["messages"] if one["role"] == "assistant")
    return mine, theirs


def test_openrouters_reasoning_blocks_go_back_as_the_recorded_second_request_has_them():
    mine, theirs = replayed(*recorded("openrouter_glm-5-turbo__multi_tool"))
    assert mine == theirs
    assert mine["reasoning_details"][0]["text"].startswith("The user wants me to add")


def test_streamed_reasoning_blocks_are_joined_into_the_block_of_the_recorded_second_request():
    """The recording's client lost the first piece, "The"; all else is equal."""
    mine, theirs = replayed(*recorded("openrouter_glm-5-turbo__tool_streaming"))
    theirs["reasoning_details"][0]["text"] = "The" + theirs["reasoning_details"][0]["text"]
    assert mine["reasoning_details"] == theirs["reasoning_details"]
    assert mine["tool_calls"] == theirs["tool_calls"]


def test_several_blocks_keep_their_order_and_a_whole_answers_blocks_are_not_joined():
    blocks = [
        {"type": "reasoning.text", "text": "a", "format": "unknown"},
        {"type": "reasoning.encrypted", "data": "xyz", "format": "unknown", "id": "1"},
        {"type": "reasoning.text", "text": "b", "format": "unknown"},
    ]
    message = {"content": "ok", "reasoning": "ab", "reasoning_details": blocks}
    answer = json.dumps({"choices": [{"finish_reason": "stop", "message": message}]})
    response = {"body": answer, "headers": {"Content-Type": ["application/json"]}}
    mine, _ = replayed(response, {"messages": [{"role": "assistant"}]})
    assert mine["reasoning_details"] == blocks
    assert "reasoning" not in mine


def test_another_providers_reasoning_blocks_go_back_as_plain_thinking():
    message = Assistant("b", "thought", (), '[{"type":"reasoning.text","text":"thought"}]')
    body = sent(provider="zai", messages=(User("a"), message, User("c")))
    assert body["messages"][1]["reasoning_content"] == "thought"
    assert "reasoning_details" not in body["messages"][1]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.z.ai/api/paas/v4", "zai"),
        ("https://api.z.ai/api/coding/paas/v4", "zai-coding"),
        ("https://open.bigmodel.cn/api/paas/v4", "bigmodel"),
        ("https://open.bigmodel.cn/api/coding/paas/v4", "bigmodel-coding"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("https://integrate.api.nvidia.com/v1", "nim"),
        ("https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "alibaba"),
        ("https://abc.eu-central-1.maas.aliyuncs.com/compatible-mode/v1", "alibaba"),
        ("https://api.fireworks.ai/inference/v1", "fireworks"),
        ("http://localhost:11434/v1", "ollama"),
        ("https://ollama.com/v1", "ollama"),
        ("https://api.apiyi.com/v1", "apiyi"),
        ("https://gateway.example.com/zai/api/coding/paas/v4/", "zai-coding"),
        ("https://gateway.example.com/api/paas/v4", "zai"),
        ("http://127.0.0.1:8000/v1", "openai"),
        ("https://evil-api.z.ai.example.com/v1", "openai"),
    ],
)
def test_the_base_url_implies_the_provider(url, name):
    assert GLM(base_url=url).provider == name


def test_the_gate_and_the_fields_of_a_server_on_this_machine_are_not_a_key_of_z_ai():
    assert GLM(base_url="https://api.z.ai/api/paas/v4")._endpoint.concurrency == 10
    assert GLM(base_url="http://127.0.0.1:9/api/paas/v4")._endpoint.concurrency == 256


def test_a_provider_can_be_defined_in_code():
    mine = Provider("mine", Dialect(replay=("thoughts",)), needs_key=False)
    body = sent(provider=mine, messages=(User("a"), Assistant("b", "hm"), User("c")))
    assert body["messages"][1] == {"role": "assistant", "content": "b", "thoughts": "hm"}
    assert GLM(base_url="http://h/v1", provider=mine).provider == "mine"


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_every_record_survives_json(provider):
    assert from_json(provider.to_json()) == provider


def test_a_provider_can_be_defined_in_a_file(tmp_path, monkeypatch):
    path = tmp_path / "mine.json"
    monkeypatch.setenv("AGENTKIT_PROVIDERS", str(path))
    records = [
        {
            "name": "gateway",
            "like": "zai",
            "hosts": ["llm.example.com"],
            "concurrency": 4,
            "key": "GATEWAY_API_KEY",
            "dialect": {"max_stops": 3},
        },
        {"name": "second", "like": "gateway"},
    ]
    path.write_text(json.dumps(records))
    monkeypatch.setenv("GATEWAY_API_KEY", SECRET)
    model = GLM(base_url="https://llm.example.com/v1", stop=["a", "b", "c"], do_sample=False)
    assert model.provider == "gateway"
    assert model._endpoint.key == SECRET
    assert model._endpoint.provider.dialect.thinking == "zai"
    assert GLM(base_url="https://other.example.com/v1", provider="second").provider == "second"
    with pytest.raises(ConfigError, match="at most 3"):
        GLM(base_url="https://llm.example.com/v1", stop=["a", "b", "c", "d"])


def test_what_the_probe_saves_is_used_by_later_models(tmp_path, monkeypatch):
    monkeypatch.delenv("AGENTKIT_PROVIDERS", raising=False)
    monkeypatch.setenv("AGENTKIT_HOME", str(tmp_path))
    zai = choose("https://api.z.ai/api/paas/v4")
    path = tmp_path / "providers.json"
    dialect = replace(zai.dialect, tool_choice=("auto", "required"))
    save(path, replace(zai, name="probed", dialect=dialect, hosts=("api.z.ai",)))
    save(path, Provider("other"))
    save(path, Provider("other", concurrency=2))
    assert [(one.name, one.concurrency) for one in load(path)] == [("other", 2), ("probed", 10)]
    model = GLM(base_url="https://api.z.ai/api/paas/v4", tool_choice="required")
    assert model.provider == "probed"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no JSON"),
        ("{}", "expected a list"),
        ("[3]", "record 0: expected an object"),
        ('[{"hosts": []}]', "record 0, field 'name'"),
        ('[{"name": "x", "dialekt": {}}]', "field 'dialekt'"),
        ('[{"name": "x", "dialect": {"thinking": "loud"}}]', "field 'dialect.thinking'"),
        ('[{"name": "x", "like": "nobody"}]', "field 'like'"),
        ('[{"name": "x", "concurrency": 0}]', "concurrency=0"),
        ('[{"name": "x"}, {"name": "x"}]', "twice"),
        (f'[{{"name": "x", "api_key": "{SECRET}"}}]', "field 'api_key'"),
        ('[{"name": "x", "key": "not a variable"}]', "_API_KEY"),
    ],
)
def test_a_wrong_record_is_told_with_its_file_and_field_and_no_secret(
    tmp_path, monkeypatch, text, words
):
    path = tmp_path / "mine.json"
    path.write_text(text)
    monkeypatch.setenv("AGENTKIT_PROVIDERS", str(path))
    with pytest.raises(ConfigError) as caught:
        GLM()
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_missing_file_that_was_named_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("AGENTKIT_PROVIDERS", str(tmp_path / "none.json"))
    with pytest.raises(ConfigError, match="AGENTKIT_PROVIDERS"):
        GLM()


def test_a_key_goes_only_to_the_provider_that_it_is_for(monkeypatch):
    monkeypatch.delenv("OPENROUTER_API_KEY", raising=False)
    monkeypatch.setenv("ZAI_API_KEY", SECRET)
    assert GLM(base_url="https://openrouter.ai/api/v1")._endpoint.key == ""
    with pytest.raises(ConfigError, match="OPENROUTER_API_KEY"):
        asyncio.run(GLM(base_url="https://openrouter.ai/api/v1").ask(Request([b"{}"])))
    assert GLM(base_url="https://open.bigmodel.cn/api/paas/v4")._endpoint.key == SECRET
    monkeypatch.setenv("ZAI_BASE_URL", "https://openrouter.ai/api/v1")
    assert GLM()._endpoint.key == SECRET
    monkeypatch.setenv("OPENROUTER_API_KEY", "another")
    assert GLM()._endpoint.key == "another"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": 1.01}, "from 0.0 to 1.0"),
        ({"temperature": float("nan")}, "temperature=nan"),
        ({"max_tokens": 131_073}, "to 131072"),
        ({"max_tokens": 10.5}, "a whole number"),
        ({"name": "glm-4.5", "max_tokens": 100_000}, "to 98304"),
        ({"stop": ["a", "b"]}, "zai takes at most 1"),
        ({"stop": [""]}, "not empty"),
        ({"effort": "huge"}, "'xhigh', 'max'"),
        ({"thinking": 1}, "'auto'"),
        ({"tool_choice": "required"}, "expected one of 'auto'"),
        ({"name": " "}, "glm-5"),
        ({"base_url": "https://h:port/v1"}, "no http"),
        ({"base_url": "https://openrouter.ai/api/v1", "do_sample": False}, "temperature=0"),
        ({"base_url": "https://dashscope.aliyuncs.com/v1", "max_tokens": 20_000}, "to 16384"),
        ({"preset": "cooking"}, "coding, agent, extraction"),
    ],
)
def test_what_would_be_refused_is_refused_here_with_the_allowed_values(monkeypatch, options, words):
    monkeypatch.delenv("ZAI_BASE_URL", raising=False)
    with pytest.raises(ConfigError) as caught:
        GLM(**options)
    assert words in str(caught.value)


def test_what_one_provider_refuses_another_takes():
    body = sent(provider="bigmodel", stop=["a", "b", "c", "d"])
    assert body["stop"] == ["a", "b", "c", "d"]
    body = sent(provider="vllm", stop=["a"] * 9, temperature=1.5, tool_choice="required")
    assert (body["temperature"], body["tool_choice"]) == (1.5, "required")


@pytest.mark.parametrize(
    ("tools", "words"),
    [
        ([{"type": "function", "function": {"name": f"f{i}"}} for i in range(129)], "129 tools"),
        ([{"type": "function", "function": {"name": "no spaces"}}], "'no spaces'"),
        ([{"type": "function", "function": {}}], "None"),
        ([{"type": "function", "function": {"name": "x" * 65}}], "64"),
    ],
)
def test_tools_that_no_model_takes_are_refused_before_they_are_sent(tools, words):
    model = GLM(base_url="http://127.0.0.1:9/v1")
    with pytest.raises(ConfigError, match=words):
        asyncio.run(model.ask(Request([b"{}"], json.dumps(tools).encode())))


def test_a_conversation_of_text_parts_is_plain_text_for_a_text_model():
    from agentkit.messages import Text

    body = sent(provider="zai", messages=(System("s"), User((Text("a"), Text("b")))))
    assert body["messages"][1]["content"] == "ab"


def test_a_tool_call_with_an_empty_text_keeps_its_content_field():
    """`content: null` is the literal word None in templates before Sep 2026: never sent."""
    call = ToolCall("c1", "f", "{}")
    messages = (User("a"), Assistant("", "hm", (call,)), ToolOutput("c1", "ok"))
    for provider in PROVIDERS:
        assert sent(provider=provider, messages=messages)["messages"][1]["content"] == ""
