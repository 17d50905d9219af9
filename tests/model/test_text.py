"""Text from GLM without an agent: one line, typed data, a stream."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import dataclass

import pytest
from pydantic import BaseModel

from agentkit import GLM
from agentkit.errors import ConfigError, OutputInvalid, Overloaded, StreamBroken
from agentkit.messages import Image, Text
from agentkit.model import RetryPolicy
from agentkit.testing import Call, GLMServer, Refuse, Say

QUICK = RetryPolicy(base=0.001, patient_base=0.001)


class City(BaseModel):
    name: str
    people: int


@dataclass
class Point:
    x: float
    y: float


def glm(script, use, **options):
    """Serve the script, use a GLM on it; return what `use` gave and the requests."""

    async def main():
        async with GLMServer(script) as server:
            return await use(GLM(base_url=server.base_url, retry=QUICK, **options)), server.requests

    return asyncio.run(main())


def test_one_line_gives_the_text():
    text, (request,) = glm(["hello"], lambda model: model.complete("Say hello."))
    assert text == "hello"
    assert request["messages"] == [{"role": "user", "content": "Say hello."}]
    assert "response_format" not in request


def test_a_system_prompt_comes_first_and_images_go_to_a_vision_model():
    prompt = (Text("What is it?"), Image("https://example.org/cat.png"))
    text, (request,) = glm(
        ["a cat"], lambda model: model.complete(prompt, system="Be brief."), name="glm-5v-turbo"
    )
    assert text == "a cat"
    assert [message["role"] for message in request["messages"]] == ["system", "user"]
    assert request["messages"][1]["content"][1]["type"] == "image_url"


def test_answer_gives_usage_and_dollars_with_the_output():
    answer, _ = glm([Say("42", thinking="hm " * 40)], lambda model: model.answer("6 * 7?"))
    assert answer.output == "42"
    assert answer.thinking == "hm " * 40
    assert answer.usage.input > 0
    assert answer.cost_usd == answer.replies[0].cost_usd > 0


def test_json_mode_asks_in_the_prompt_and_in_the_parameter_and_gives_data():
    data, (request,) = glm(
        ['{"a": [1, 2]}'], lambda model: model.complete("Give me a.", system="Hi.", output=dict)
    )
    assert data == {"a": [1, 2]}
    assert request["response_format"] == {"type": "json_object"}
    system = request["messages"][0]["content"]
    assert system.startswith("Hi.")
    assert "JSON" in system


@pytest.mark.parametrize(
    ("output", "said", "expected"),
    [
        (City, '{"name": "A", "people": 36}', City(name="A", people=36)),
        (City, '```json\n{"name": "A", "people": "36"}\n```', City(name="A", people=36)),
        (City, 'Here it is: {"name": "A", "people": 1} Enjoy!', City(name="A", people=1)),
        (Point, '{"x": 1, "y": 2.5}', Point(1.0, 2.5)),
        (list[City], '{"value": [{"name": "A", "people": 1}]}', [City(name="A", people=1)]),
        (list[int], "[1, 2]", [1, 2]),
        (int, '{"value": 7}', 7),
        (bool, '{"value": true}', True),
        (dict, '{"value": 1}', {"value": 1}),
    ],
)
def test_typed_output_is_checked_and_converted(output, said, expected):
    data, (request,) = glm([said], lambda model: model.complete("Go.", output=output))
    assert data == expected
    assert type(data) is type(expected)
    if output is City:
        assert '"people"' in request["messages"][0]["content"]


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        ('{"name": "Florence"', "not valid JSON"),
        ("Florence has many people.", "not valid JSON"),
        ('{"name": "Florence", "people": "many"}', "people"),
        ("[]", "answer"),
    ],
)
def test_an_answer_that_does_not_fit_is_asked_for_again_once_with_the_fault(bad, word):
    good = '{"name": "Florence", "people": 1}'
    answer, requests = glm([bad, good], lambda model: model.answer("Go.", output=City))
    assert answer.output == City(name="Florence", people=1)
    assert len(answer.replies) == 2
    assert answer.usage.output == sum(reply.usage.output for reply in answer.replies)
    first, second = (request["messages"] for request in requests)
    assert second[: len(first)] == first
    assert second[-2]["content"] == bad
    assert word in second[-1]["content"]
    assert answer.usage.cached > 0 or len(str(first)) < 400
    with pytest.raises(OutputInvalid, match=word):
        glm([bad, bad], lambda model: model.complete("Go.", output=City))


def test_json_cut_at_max_tokens_is_not_asked_for_again():
    with pytest.raises(OutputInvalid, match="max_tokens"):
        glm(
            [Say('{"name": "Flor', finish_reason="length")],
            lambda model: model.complete("Go.", output=City),
        )


def test_wrong_use_is_refused_before_anything_is_sent():
    for use in (
        lambda model: model.complete("  "),
        lambda model: model.complete("x", output=asyncio.Queue),
    ):
        with pytest.raises(ConfigError):
            glm([], use)


def test_a_tool_call_where_no_tools_are_is_an_error_that_says_so():
    script = [Say(calls=[Call("look_up", {})])]
    with pytest.raises(OutputInvalid, match="instead of answering"):
        glm(script, lambda model: model.complete("Go."))


async def read(model, prompt="Go."):
    stream = model.stream(prompt)
    pieces = [piece async for piece in stream]
    return pieces, stream.reply


def test_a_stream_gives_the_text_in_pieces_and_the_reply_at_the_end():
    text = "One, two, three, and a few words more. " * 5
    (pieces, reply), _ = glm([Say(text, thinking="hm")], read)
    assert "".join(pieces) == text
    assert len(pieces) > 5
    assert reply.message.thinking == "hm"
    assert reply.cost_usd > 0


def test_a_stream_raises_the_typed_error():
    with pytest.raises(Overloaded):
        glm(lambda _: Refuse(429, "1305", "busy"), read)


def test_a_stream_that_broke_and_was_sent_again_repeats_nothing():
    text = "The same words come again, as greedy decoding does. " * 4
    (pieces, _), requests = glm([Say(text, cut=4), text], read)
    assert "".join(pieces) == text
    assert len(requests) == 2


@pytest.mark.parametrize("other", ["Other words altogether.", "The"])
def test_a_stream_that_broke_and_goes_on_in_other_words_is_an_error_not_a_mixture(other):
    text = "The words of the first answer are these, and they are not few. "
    with pytest.raises(StreamBroken, match="already read"):
        glm([Say(text, cut=4), other], read)


def test_leaving_a_stream_early_ends_its_request():
    async def main():
        async with GLMServer(lambda _: Say("word " * 400), chunk_seconds=0.02) as server:
            model = GLM(base_url=server.base_url)
            before = asyncio.all_tasks()
            async for piece in model.stream("Go."):
                assert piece
                break
            gc.collect()
            for _ in range(50):
                await asyncio.sleep(0)
            stream = model.stream("Go.")
            await anext(stream)
            await stream.aclose()
            left = asyncio.all_tasks() - before
            assert not [task for task in left if "_accept" not in repr(task)]  # the server's own

    asyncio.run(main())
