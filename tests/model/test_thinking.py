"""Thinking, effort and presets: what each wish becomes for each model and provider."""

from __future__ import annotations

import json

import pytest

from agentkit import GLM
from agentkit.errors import ConfigError
from agentkit.model.catalog import MODELS
from agentkit.model.presets import PRESETS
from agentkit.model.providers import PROVIDERS

URL = "http://127.0.0.1:9/v1"
PLAIN = {"model", "messages", "stream", "stream_options", "usage"}


def said(name, provider="zai", **options):
    """Return what a request says beside the plain fields."""
    model = GLM(name, base_url=URL, provider=provider, **options)
    fields = json.loads(b"{" + model._fields[False] + b"}")
    return {key: value for key, value in fields.items() if key not in PLAIN}


ON = {"thinking": {"type": "enabled", "clear_thinking": False}}
OFF = {"thinking": {"type": "disabled", "clear_thinking": False}}


def kwargs(**arguments):
    return {"chat_template_kwargs": {"clear_thinking": False, **arguments}}


@pytest.mark.parametrize(
    ("name", "provider", "effort", "expected"),
    [
        ("glm-5.2", "zai", "none", OFF),
        ("glm-5.2", "zai", "minimal", ON | {"reasoning_effort": "minimal"}),
        ("glm-5.3", "zai", "medium", ON | {"reasoning_effort": "medium"}),
        ("glm-5.3-flash", "bigmodel", "xhigh", ON | {"reasoning_effort": "xhigh"}),
        # Templates turn every word that they do not know into max, so they get words they know.
        ("glm-5.2", "vllm", "none", kwargs(enable_thinking=False)),
        ("glm-5.2", "vllm", "minimal", kwargs(enable_thinking=False)),
        ("glm-5.2", "vllm", "low", kwargs(reasoning_effort="high")),
        ("glm-5.2", "sglang", "medium", kwargs(reasoning_effort="high")),
        ("glm-5.2", "sglang", "xhigh", kwargs(reasoning_effort="max")),
        ("glm-5.3", "vllm", "minimal", kwargs(reasoning_effort="low")),
        ("glm-5.3", "vllm", "medium", kwargs(reasoning_effort="high")),
        ("glm-5.3", "sglang", "max", kwargs(reasoning_effort="max")),
        ("my-own-name", "vllm", "none", kwargs(enable_thinking=False)),
        ("my-own-name", "vllm", "minimal", kwargs(reasoning_effort="low")),
        ("my-own-name", "vllm", "medium", kwargs(reasoning_effort="high")),
        ("z-ai/glm-5.3", "nim", "medium", kwargs() | {"reasoning_effort": "high"}),
        ("z-ai/glm-5.2", "nim", "none", kwargs(enable_thinking=False)),
        ("z-ai/glm-5.3", "openrouter", "max", {"reasoning": {"effort": "max"}}),
        ("z-ai/glm-5.2", "openrouter", "none", {"reasoning": {"enabled": False}}),
        (
            "glm-5p2",
            "fireworks",
            "low",
            {"reasoning_history": "preserved", "reasoning_effort": "high"},
        ),
        (
            "glm-5p3",
            "fireworks",
            "low",
            {"reasoning_history": "preserved", "reasoning_effort": "low"},
        ),
        (
            "glm-5p2",
            "fireworks",
            "none",
            {"reasoning_history": "preserved", "reasoning_effort": "none"},
        ),
    ],
)
def test_an_effort_is_said_in_words_that_the_other_side_knows(name, provider, effort, expected):
    assert said(name, provider, effort=effort) == expected


def test_no_template_is_ever_sent_an_effort_that_it_would_take_for_max():
    for info in MODELS:
        for provider in ("vllm", "sglang"):
            for effort in info.efforts:
                sent = said(info.name, provider, effort=effort)["chat_template_kwargs"]
                assert sent.get("reasoning_effort", "low") in {"low", "high", "max"}


@pytest.mark.parametrize("name", ["glm-5.3", "glm-5.3-flash"])
@pytest.mark.parametrize("wish", [{"thinking": False}, {"effort": "none"}])
@pytest.mark.parametrize(
    "provider", [one.name for one in PROVIDERS if one.dialect.effort != "none"]
)
def test_5_3_cannot_be_switched_off_and_says_what_to_do(name, wish, provider):
    with pytest.raises(ConfigError) as caught:
        GLM(name, base_url=URL, provider=provider, **wish)
    assert "always thinks" in str(caught.value)
    assert "effort='low'" in str(caught.value)
    assert "glm-5.2" in str(caught.value)


def test_thinking_of_5_3_on_your_own_server_needs_no_switch():
    assert said("glm-5.3", "vllm", thinking=True) == kwargs()


@pytest.mark.parametrize(
    ("name", "provider", "options", "words"),
    [
        ("glm-5", "zai", {"effort": "low"}, "glm-5.3, glm-5.3-flash, glm-5.2"),
        ("glm-5", "zai", {"effort": "none"}, "thinking=False"),
        ("glm-5.2", "zai", {"thinking": False, "effort": "high"}, "contradict"),
        ("glm-5.2", "zai", {"thinking": True, "effort": "none"}, "contradict"),
        ("glm-4-32b-0414-128k", "zai", {"thinking": True}, "does not think"),
        ("glm-5", "openai", {"thinking": False}, "provider='zai'"),
        ("glm-5.3", "openai", {"effort": "low"}, "no known field"),
        ("glm-5.3", "alibaba", {"effort": "low"}, "no known field"),
        ("glm-5", "openrouter", {"clear_thinking": True}, "clear_thinking"),
        ("glm-5", "openai", {"clear_thinking": True}, "clear_thinking"),
    ],
)
def test_a_wish_that_cannot_be_honoured_is_refused(name, provider, options, words):
    with pytest.raises(ConfigError) as caught:
        GLM(name, base_url=URL, provider=provider, **options)
    assert words in str(caught.value)


def test_a_model_without_thinking_is_sent_no_switch():
    assert said("glm-4-32b-0414-128k") == {}
    assert said("glm-4-32b-0414-128k", thinking=False) == {}


@pytest.mark.parametrize("provider", [one for one in PROVIDERS if one.dialect.can_clear])
def test_earlier_thinking_is_kept_everywhere_unless_told_otherwise(provider):
    keeps = json.dumps(said("glm-5", provider.name))
    clears = json.dumps(said("glm-5", provider.name, clear_thinking=True))
    assert '"clear_thinking": false' in keeps or '"preserved"' in keeps
    assert '"clear_thinking": true' in clears or '"interleaved"' in clears


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("coding", {"temperature": 0.7, "top_p": 0.95, "max_tokens": 16_384}),
        ("agent", {"temperature": 1.0, "top_p": 0.95, "max_tokens": 65_536}),
        ("extraction", {"temperature": 0.2}),
        ("writing", {"temperature": 0.8}),
        ("creative", {"temperature": 1.0}),
        ("math", {"temperature": 1.0, "top_p": 0.95, "max_tokens": 131_072}),
    ],
)
def test_a_preset_is_its_documented_advice(preset, expected):
    assert said("glm-5", preset=preset) == ON | expected


def test_coding_raises_the_effort_where_there_is_one():
    assert said("glm-5.2", preset="coding")["reasoning_effort"] == "max"
    assert said("glm-5.3", "vllm", preset="coding")["chat_template_kwargs"] == {
        "clear_thinking": False,
        "reasoning_effort": "max",
    }


def test_what_the_caller_says_goes_before_the_preset():
    body = said("glm-5.2", preset="coding", temperature=0.1, thinking=False)
    assert body == OFF | {"temperature": 0.1, "top_p": 0.95, "max_tokens": 16_384}
    assert said("glm-5.2", preset="agent", effort="none")["thinking"]["type"] == "disabled"


@pytest.mark.parametrize("provider", [one.name for one in PROVIDERS])
def test_every_preset_suits_every_model_at_every_provider(provider):
    for info in MODELS:
        for preset in PRESETS:
            assert "temperature" in said(info.name, provider, preset=preset)
