"""A probe against servers that behave in each way that documents leave open."""

from __future__ import annotations

import asyncio
import json

import pytest

from agentkit import GLM
from agentkit.errors import (
    AuthenticationFailed,
    BalanceExhausted,
    ConnectionFailed,
    UnexpectedResponse,
)
from agentkit.messages import Assistant, User
from agentkit.model import Request, RetryPolicy, probe, providers_file
from agentkit.model.endpoint import resolve
from agentkit.testing import Call, GLMServer, Raw, Refuse, Say

KEY = "secret-key-0123456789"
QUICK = RetryPolicy(attempts=2, patient_attempts=2, base=0.001, patient_base=0.001)
MARKUP = "<tool_call>look_up\n<arg_key>key</arg_key>\n<arg_value>alpha</arg_value>\n</tool_call>"


def thinks(request):
    if "thinking" in request:
        return request["thinking"].get("type") != "disabled"
    return request.get("chat_template_kwargs", {}).get("enable_thinking", True)


def brain(request):
    """Answer as Z.ai does where nothing is wrong; tests replace what they are about."""
    wants = request.get("tools") and request["messages"][-1]["role"] == "user"
    thinking = "hm, a colour" if thinks(request) else ""
    if not wants:
        return Say("blue", thinking=thinking)
    if request.get("tool_choice") == "required":
        return Refuse(400, "1210", "Tool choice must be auto")
    name = request["tools"][0]["function"]["name"]
    if name == "save_text":
        return Say(calls=[Call(name, {"text": "word " * 40})], thinking=thinking)
    return Say(calls=[Call(name, {"key": "alpha"}), Call(name, {"key": "beta"})], thinking=thinking)


def probed(script=brain, *, provider=None, model="glm-5", key=KEY, **server):
    """Probe a server; return the findings by name, the record, and what the server saw."""

    async def main():
        async with GLMServer(script, key=KEY, **server) as served:
            endpoint = resolve(model, base_url=served.base_url, api_key=key, provider=provider)
            calls = probe.plan(model, endpoint.provider.dialect, "nonce", pause=0)
            prober = probe.Prober(endpoint, patience=QUICK)
            seen = {one.call.name: one async for one in prober.run(calls)}
            verdict = probe.judge(endpoint, seen, "2026-11-22")
            return verdict, served

    verdict, served = asyncio.run(main())
    found = {finding.name: finding for finding in verdict.findings}
    assert KEY not in str(verdict)
    return found, verdict.provider, served


def test_an_endpoint_as_documented_is_found_as_documented():
    found, record, served = probed()
    assert all(finding.ok for finding in found.values())
    assert found["tools"].text == "several calls in one turn"
    assert found["thinking"].text == "comes back in reasoning_content"
    assert found["thinking off (zai)"].text == "works"
    assert "1210" in found["unknown fields"].text
    assert "Tool choice must be auto" in found["tool_choice"].text
    assert "pieces" in found["tool_stream"].text
    assert found["usage in streams"].text == "comes without being asked for"
    assert "dropped by default" in found["earlier thinking"].text
    assert "multiples of 64" in found["cache"].text
    assert "HTTP 404" in found["tokenizer"].text
    assert (
        record.dialect.fields == resolve("glm-5", base_url=served.base_url).provider.dialect.fields
    )
    assert record.dialect.tool_choice == ("auto",)
    assert not record.dialect.keeps_thinking


def test_it_is_about_a_dozen_calls_of_about_a_cent_and_the_bound_holds():
    endpoint = resolve("glm-5", base_url="http://127.0.0.1:9/api/paas/v4")
    calls = probe.plan("glm-5", endpoint.provider.dialect, "nonce")
    assert 12 <= len(calls) <= 18
    most = probe.most_usd(calls, endpoint.price)
    assert most < 0.02
    assert probe.most_usd(calls, None) is None
    _, _, served = probed()
    usages = [exchange.usage for exchange in served.log if exchange.usage]
    spent = sum(usage["prompt_tokens"] * 1.0 + usage["completion_tokens"] * 3.2 for usage in usages)
    assert 0 < spent / 1e6 < most


def test_a_server_that_ignores_what_it_does_not_know_gets_the_zai_switch_when_it_works():
    found, record, _ = probed(provider="openai", fields=None)
    assert found["unknown fields"].text == "ignored"
    assert found["stream_options"].text == "taken"
    assert record.dialect.thinking == "zai"
    assert "thinking" in record.dialect.fields
    assert "tool_stream" in record.dialect.fields


def test_a_template_server_is_recognised_by_the_switch_that_works():
    def decide(request):
        off = request.get("chat_template_kwargs", {}).get("enable_thinking") is False
        return Say("blue", thinking="" if off else "hm")

    found, record, _ = probed(decide, provider="openai", fields=None)
    assert found["thinking off (zai)"].text == "taken, and the model thinks anyway"
    assert found["thinking off (template)"].text == "works"
    assert record.dialect.thinking == "template"
    assert record.dialect.can_clear


def test_a_model_that_cannot_stop_thinking_is_told_as_that():
    found, record, _ = probed(lambda request: Say("blue", thinking="hm"))
    assert found["thinking off (zai)"].text == "taken, and the model thinks anyway"
    assert record.dialect.thinking == "zai"


def refusing(word, field=None):
    """Answer, but refuse requests that hold a field, or whose text holds a word."""

    def decide(request):
        if (field and field in request) or (word and word in json.dumps(request)):
            return Refuse(400, "1210", f"no {field or word} here")
        return brain(request)

    return decide


@pytest.mark.parametrize(
    ("script", "name"),
    [
        (refusing("", "tool_stream"), "tool_stream"),
        (refusing("", "reasoning_effort"), "effort"),
        (refusing('"content": null'), "content null beside calls"),
        (refusing("From now on"), "system message in mid-run"),
    ],
)
def test_what_is_refused_is_found_and_left_out_from_then_on(script, name):
    found, record, _ = probed(script)
    assert found[name].text.startswith("refused (HTTP 400 1210)")
    if name == "tool_stream":
        assert "tool_stream" not in record.dialect.fields
    if name == "effort":
        assert "reasoning_effort" not in record.dialect.fields
        assert record.dialect.effort == "none"


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (brain, "taken without a look at the word: it may have no effect"),
        (refusing("agentkit-probe"), "taken, and a wrong word is refused"),
    ],
)
def test_efforts_are_told_apart_by_whether_a_wrong_one_is_refused(script, expected):
    found, _, _ = probed(script)
    assert found["effort"].text == expected


def test_tool_choice_required_is_noted_where_it_works():
    def decide(request):
        if request.get("tool_choice") == "required":
            return Say(calls=[Call("look_up", {"key": "a"})])
        return brain(request)

    found, record, _ = probed(decide)
    assert found["tool_choice"].text == '"required" works'
    assert record.dialect.tool_choice == ("auto", "required")


def test_an_endpoint_that_keeps_earlier_thinking_by_default_is_recognised():
    # GLM-5.3's template keeps it since its revision of 27 August 2026; so does the test server.
    found, record, _ = probed(model="glm-5.3")
    assert "kept by default" in found["earlier thinking"].text
    assert record.dialect.keeps_thinking


def whole(content="", reasoning="", calls=(), finish="stop", field="reasoning_content"):
    """Return a whole answer in the shape of a self-hosted server."""
    message = {"role": "assistant", "content": content, field: reasoning}
    if calls:
        message["tool_calls"] = list(calls)
    choice = {"index": 0, "finish_reason": finish, "message": message}
    return Raw(json.dumps({"choices": [choice]}).encode(), 200, "application/json")


def hosted(answer, when):
    return lambda request: answer if when(request) else brain(request)


def has_tools(request):
    return bool(request.get("tools"))


def has_none(request):
    return not request.get("tools")


def call(name, arguments):
    return {"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize(
    ("answer", "when", "name", "flag"),
    [
        (whole(MARKUP), has_tools, "tools", "--tool-call-parser glm47"),
        (whole("", MARKUP), has_tools, "tools", "--tool-call-parser glm47"),
        (
            Refuse(400, "400", '"auto" tool choice requires --enable-auto-tool-choice and ...'),
            has_tools,
            "tools",
            "--enable-auto-tool-choice",
        ),
        (
            whole(calls=[call("look_up<arg_key>key</arg_key>", "{}")], finish="tool_calls"),
            has_tools,
            "tools",
            "glm45 for GLM-4.5",
        ),
        (
            whole(calls=[call("look_up", '{"key": "al')], finish="tool_calls"),
            has_tools,
            "tools",
            "no JSON",
        ),
        (whole("The sky...</think>blue"), has_none, "thinking", "--reasoning-parser glm45"),
        (whole("", "The sky is blue."), has_none, "thinking", "--reasoning-parser glm45"),
    ],
)
def test_a_missing_or_wrong_parser_is_recognised_and_the_flag_is_named(answer, when, name, flag):
    found, _, _ = probed(hosted(answer, when), provider="vllm", fields=None)
    assert not found[name].ok
    assert flag in found[name].text
    assert [one.name for one in found.values() if not one.ok] == [name]


def test_a_new_name_of_the_thinking_field_is_added_to_what_is_sent_back():
    def decide(request):
        return whole("blue", "hm", field="reasoning") if has_none(request) else brain(request)

    _, record, _ = probed(decide, provider="openai", fields=None)
    assert "reasoning" in record.dialect.replay


def test_a_passing_fault_is_asked_again_and_a_lasting_one_is_not_a_finding():
    seen = []

    def decide(request):
        if "stream_options" in request or request.get("tool_choice"):
            seen.append(request)
            return Refuse(429, "1305", "busy")
        if not seen and len(request["messages"]) > 3:
            seen.append(request)
            return Refuse(500, "1234", "network error")
        return brain(request)

    found, record, _ = probed(decide, fields=None)
    assert found["stream_options"].text.startswith("not settled")
    assert "not settled" in found["tool_choice"].text
    assert record.dialect.tool_choice == ("auto",)


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (lambda _: Refuse(429, "1113", f"no balance for {KEY}"), BalanceExhausted),
        (lambda _: Raw(b"<html>hello</html>"), UnexpectedResponse),
    ],
)
def test_an_endpoint_that_answers_nothing_is_one_error_without_the_key(script, error):
    with pytest.raises(error) as caught:
        probed(script)
    assert KEY not in str(caught.value)


def test_a_wrong_key_or_address_is_an_error():
    with pytest.raises(AuthenticationFailed):
        probed(key="another")

    async def main():
        endpoint = resolve("glm-5", base_url="http://127.0.0.1:9/v1")
        calls = probe.plan("glm-5", endpoint.provider.dialect, "nonce")
        async for _ in probe.Prober(endpoint, patience=QUICK).run(calls):
            pass

    with pytest.raises(ConnectionFailed, match=r"127\.0\.0\.1:9"):
        asyncio.run(main())


def test_later_models_at_this_base_url_use_the_record(tmp_path, monkeypatch):
    """What the probe found decides what is sent: here no tool_stream, and `reasoning` back."""
    monkeypatch.setenv("AGENTKIT_HOME", str(tmp_path))
    seen = []

    def decide(request):
        seen.append(request)
        if "tool_stream" in request:
            return Refuse(400, "1210", "no tool_stream here")
        return whole("blue", "hm", field="reasoning") if has_none(request) else brain(request)

    async def main():
        async with GLMServer(decide, fields=None) as served:
            endpoint = resolve("glm-5", base_url=served.base_url)
            calls = probe.plan("glm-5", endpoint.provider.dialect, "nonce", pause=0)
            answers = {
                one.call.name: one
                async for one in probe.Prober(endpoint, patience=QUICK).run(calls)
            }
            verdict = probe.judge(endpoint, answers, "2026-11-22")
            providers_file.save(tmp_path / "providers.json", verdict.provider)
            seen.clear()
            model = GLM(base_url=served.base_url, stream=False, tool_stream=True)
            assert model.provider == verdict.provider.name
            messages = [User("x"), Assistant("y", "thought"), User("z")]
            await model.ask(Request([model.encode(each) for each in messages]))

    asyncio.run(main())
    (request,) = seen
    assert "tool_stream" not in request
    assert request["messages"][1]["reasoning"] == "thought"
