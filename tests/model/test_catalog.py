"""The catalog: what is known of each model, under every spelling of its name."""

from __future__ import annotations

import asyncio

import pytest

from agentkit import GLM, Price
from agentkit.errors import ConfigError
from agentkit.messages import Image, Text, User
from agentkit.model import Request
from agentkit.model.catalog import MODELS, find
from agentkit.testing import GLMServer
from agentkit.usage import Usage

PICTURE = User((Text("What is this?"), Image("https://example.com/a.png")))


def test_every_model_has_its_window_its_limits_and_its_source():
    assert len({info.name for info in MODELS}) == len(MODELS)
    for info in MODELS:
        assert info.window >= info.max_output >= 16_384
        assert info.source
        assert info.as_of[:2] == "20"
        assert info.vision or info.price is not None
        if info.price:
            assert info.price.cached <= info.price.input <= info.price.output


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("glm-5", "glm-5"),
        ("GLM-5", "glm-5"),
        ("z-ai/glm-5", "glm-5"),
        ("z-ai/glm5", "glm-5"),
        ("zai-org/GLM-5", "glm-5"),
        ("zai-org/GLM-5-FP8", "glm-5"),
        ("zai.glm-5", "glm-5"),
        ("glm-5:cloud", "glm-5"),
        ("z-ai/glm-5:free", "glm-5"),
        ("z-ai/glm-5-turbo-20260315", "glm-5-turbo"),
        ("accounts/fireworks/models/glm-5p2", "glm-5.2"),
        ("glm-5p3-flash", "glm-5.3-flash"),
        ("glm-5.2[1m]", "glm-5.2"),
        ("z-ai/glm-5.3", "glm-5.3"),
        ("THUDM/GLM-4-32B-0414", "glm-4-32b-0414-128k"),
        ("glm-4.5-air", "glm-4.5-air"),
        ("glm-5v-turbo", "glm-5v-turbo"),
    ],
)
def test_the_spellings_of_other_providers_find_their_model(name, known):
    found = find(name)
    assert found is not None
    assert found.name == known


@pytest.mark.parametrize("name", ["glm-6", "glm-5.35", "gpt-5", "glm", "chatglm3-6b", ""])
def test_an_unknown_model_is_not_taken_for_another(name):
    assert find(name) is None


def test_an_unknown_model_works_with_one_warning_and_without_a_price(capfd):
    async def main():
        async with GLMServer(["one", "two"]) as server:
            model = GLM("glm-9-mega", base_url=server.base_url)
            request = Request([model.encode(PICTURE)])
            return model, await model.ask(request), await model.ask(request)

    model, first, second = asyncio.run(main())
    assert (model.window, model.price, first.cost_usd, second.cost_usd) == (None, None, None, None)
    captured = capfd.readouterr()
    assert (captured.out + captured.err).count("model.unknown") == 1
    assert "glm-9-mega" in captured.out + captured.err


def test_a_known_model_gives_no_warning(capfd):
    GLM("z-ai/glm-5", base_url="https://openrouter.ai/api/v1")
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


@pytest.mark.parametrize("name", [info.name for info in MODELS])
def test_images_are_taken_by_vision_models_and_refused_by_text_models_with_a_name(name):
    model = GLM(name, base_url="https://api.z.ai/api/paas/v4")
    if find(name).vision:
        assert b"image_url" in model.encode(PICTURE)
    else:
        with pytest.raises(ConfigError, match=r"glm-5\.3-flash"):
            model.encode(PICTURE)


def test_the_list_price_holds_where_it_is_paid_and_can_be_overridden():
    hosted = GLM("glm-5", base_url="https://api.z.ai/api/paas/v4")
    assert hosted.price == Price(1.0, 0.2, 3.2)
    own = GLM("zai-org/GLM-5", base_url="http://10.0.0.1:8000/v1", provider="vllm")
    assert own.price is None
    assert own.window == hosted.window
    mine = Price(0.5, 0.1, 1.0)
    assert GLM("glm-5", base_url="http://10.0.0.1/v1", provider="vllm", price=mine).price == mine
    assert mine.cost(Usage(input=2_000_000, cached=1_000_000, output=1_000_000)) == 1.6
