"""The test server: failures by name, limits, pace, its log and its prefix cache."""

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.errors import ModelError, Overloaded, QuotaExhausted, RateLimited, RequestRejected
from agentkit.messages import Assistant, System, ToolCall, ToolOutput, User
from agentkit.model import GLM, Request
from agentkit.model.retry import RetryPolicy
from agentkit.testing import FAILURES, Call, Capacity, GLMServer, Pace, Refuse, Say, ScriptedModel
from agentkit.testing.prompt import PrefixCache, render

TOOL = {
    "type": "function",
    "function": {"name": "add", "description": "Add.", "parameters": {"type": "object"}},
}
TOOLS = json.dumps([TOOL]).encode()

NO_RETRY = RetryPolicy(attempts=1, patient_attempts=1)


def run(
    script, *conversations, retry=NO_RETRY, name="glm-5", together=False, model=None, **options
):
    """Ask once for each conversation; return replies or errors, and the server."""

    async def main():
        async with GLMServer(script, **options) as server:
            glm = GLM(name, base_url=server.base_url, retry=NO_RETRY, **(model or {}))

            async def ask(messages):
                request = Request([glm.encode(one) for one in messages], TOOLS)
                try:
                    return await glm.ask(request)
                except ModelError as error:
                    return error

            async with glm.connect():
                if together:
                    async with asyncio.TaskGroup() as group:
                        tasks = [group.create_task(ask(each)) for each in conversations]
                    return [task.result() for task in tasks], server
                return [await ask(each) for each in conversations], server

    return asyncio.run(main())


HELLO = (User("hello"),)


def test_every_failure_says_what_it_does():
    for name, failure in FAILURES.items():
        assert failure.name == name
        assert failure.about.endswith(".")
        assert len(failure.about) > 15


def test_an_unknown_failure_is_refused_with_the_names():
    with pytest.raises(ValueError, match=r"glued_frame.*Did you mean .glued_frames"):
        GLMServer([], failures=["glued_frame"])
    (error,), _ = run([Say("x", failures=["glued_frame"])], HELLO)
    assert type(error) is RequestRejected
    assert "glued_frames" in str(error)


def test_a_failure_may_be_that_of_one_answer():
    replies, _ = run([Say("x", failures=["usage_missing"]), "y"], HELLO, HELLO)
    assert [bool(reply.faults) for reply in replies] == [True, False]


def test_a_scripted_model_fails_in_the_same_ways():
    model = ScriptedModel([Say("", "", [Call("add", {})], failures=["call_in_content"])])
    reply = asyncio.run(model.ask(Request([model.encode(User("x"))], TOOLS)))
    assert [call.name for call in reply.message.tool_calls] == ["add"]


@pytest.mark.parametrize("disguise", ["status", "json", "stream"])
def test_overload_comes_in_three_disguises_and_passes(disguise):
    capacity = Capacity(overloads=2, disguise=disguise)
    replies, server = run(["fine"], HELLO, HELLO, HELLO, capacity=capacity)
    assert [type(one) for one in replies[:2]] == [Overloaded, Overloaded]
    assert replies[0].fault.code == "1305"
    assert replies[2].message.content == "fine"
    assert [one.status for one in server.log] == [429 if disguise == "status" else 200] * 2 + [200]
    assert [one.code for one in server.log] == ["1305", "1305", ""]


def test_too_many_requests_at_once_are_refused_with_the_wait_that_is_asked_for():
    replies, server = run(
        lambda _: Say("x"),
        *[HELLO] * 6,
        together=True,
        capacity=Capacity(in_flight=2, retry_after=7),
        pace=Pace(first_seconds=0.2),
    )
    refused = [one for one in replies if isinstance(one, RateLimited)]
    assert len(refused) == 4
    assert {(one.fault.code, one.fault.retry_after) for one in refused} == {("1302", 7.0)}
    assert max(one.in_flight for one in server.log if one.status == 200) == 2


def test_a_used_up_quota_names_the_time_of_its_reset():
    capacity = Capacity(quota=1, resets="2027-01-02 03:04:05")
    (first, second), _ = run(lambda _: Say("x"), HELLO, HELLO, capacity=capacity)
    assert first.message.content == "x"
    assert type(second) is QuotaExhausted
    assert second.resets_at.isoformat() == "2027-01-01T19:04:05+00:00"


def test_a_refusal_may_carry_any_status_code_and_header():
    (error,), _ = run([Refuse(503, "", "down", retry_after=3)], HELLO)
    assert type(error) is Overloaded
    assert (error.fault.status, error.fault.code, error.fault.retry_after) == (503, None, 3.0)


def test_the_pace_is_kept_and_the_log_tells_it():
    pace = Pace(first_seconds=0.05, tokens_per_second=1000)
    (reply,), server = run([Say("x" * 400)], HELLO, pace=pace)
    (entry,) = server.log
    assert reply.message.content == "x" * 400
    assert 0 < entry.first_seconds < entry.seconds
    assert entry.body["model"] == "glm-5"
    assert entry.usage["prompt_tokens"] == reply.usage.input


def test_foreign_fields_are_refused_unless_the_server_takes_any():
    extra = {"provider": "vllm"}
    (error,), _ = run(["x"], HELLO, model=extra)
    assert type(error) is RequestRejected
    (reply,), _ = run(["x"], HELLO, model=extra, fields=None)
    assert reply.message.content == "x"


CALL = ToolCall("c1", "add", '{"a": 1, "b": "two"}')
TURN = (
    System("Be brief. " * 60),
    User("first"),
    Assistant("", "because " * 200, (CALL,)),
    ToolOutput("c1", "3"),
    Assistant("It is 3.", "clear"),
)


def shares(name="glm-5", **parameters):
    """Return the cached share of a next turn's prompt that could have been cached."""
    longer = (*TURN, User("second"))
    replies, _ = run(lambda _: Say("x"), TURN[:4], longer, name=name, model=parameters)
    return replies[1].usage.cached / replies[0].usage.input


def test_a_user_message_breaks_the_cache_only_where_thinking_is_cleared():
    assert shares() > 0.9
    assert shares(clear_thinking=True) < 0.5
    assert shares("glm-5.3") > 0.9


def test_cached_tokens_come_in_units_and_need_the_same_tools():
    cache = PrefixCache()
    body = {"model": "glm-5", "messages": [{"role": "user", "content": "x" * 4000}]}

    def cached(request):
        return cache.usage(request, Say("x"))["prompt_tokens_details"]["cached_tokens"]

    assert cached(body) == 0
    assert cached(body) == 1000 // 64 * 64
    assert cached({**body, "tools": [TOOL]}) == 0


class Characters:
    """A tokenizer of characters, which is all that a renderer asks for."""

    unk_token_id = -1
    special = (
        *("[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"),
        *("<|endoftext|>", "<think>", "</think>", "<tool_call>", "</tool_call>"),
        *("<tool_response>", "</tool_response>", "<arg_key>", "</arg_key>"),
        *("<arg_value>", "</arg_value>"),
    )

    def convert_tokens_to_ids(self, token):
        return 0x110000 + self.special.index(token)

    def encode(self, text, **_):
        return [ord(one) for one in text]

    def decode(self, ids, **_):
        return "".join(self.special[n - 0x110000] if n >= 0x110000 else chr(n) for n in ids)

    def __call__(self, text, **_):
        return {
            "input_ids": self.encode(text),
            "offset_mapping": [(n, n + 1) for n in range(len(text))],
        }


words = st.sampled_from(["", "a", " b ", "two\nlines ", "é中"])
assistants = st.builds(
    lambda content, thinking, calls: {
        "role": "assistant",
        "content": content,
        **({"reasoning_content": thinking} if thinking is not None else {}),
        **({"tool_calls": calls} if calls else {}),
    },
    words,
    words | st.none(),
    st.lists(
        st.dictionaries(words, st.one_of(words, st.integers(), st.lists(st.booleans()))).map(
            lambda given: {"id": "c", "function": {"name": "add", "arguments": json.dumps(given)}}
        ),
        max_size=2,
    ),
)
messages = st.lists(
    assistants
    | st.builds(
        lambda role, content: {"role": role, "content": content},
        st.sampled_from(["system", "user", "tool"]),
        words,
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=150, deadline=None)
@given(messages, st.booleans(), st.booleans(), st.booleans())
@pytest.mark.parametrize("model", ["glm-5", "glm-5.1", "glm-5.3"])
def test_prompts_are_rendered_as_the_published_templates_do(model, said, clear, tools, on):
    from renderers import configs, glm5

    kinds = {
        "glm-5": (glm5.GLM5Renderer, configs.GLM5RendererConfig),
        "glm-5.1": (glm5.GLM51Renderer, configs.GLM51RendererConfig),
        "glm-5.3": (glm5.GLM53Renderer, configs.GLM53RendererConfig),
    }
    renderer, config = kinds[model]
    switch = {} if model == "glm-5.3" else {"enable_thinking": on}
    oracle = renderer(Characters(), config(clear_thinking=clear, **switch))
    declared = [TOOL] if tools else None
    ids = oracle.render_ids(said, tools=declared, add_generation_prompt=True)
    thinking = {"type": "enabled" if on else "disabled", "clear_thinking": clear}
    request = {"model": model, "messages": said, "tools": declared, "thinking": thinking}
    assert render(request) == Characters().decode(ids)
