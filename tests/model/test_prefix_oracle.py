"""The cache proof: the prompt that GLM's own templates render from our requests only ever grows.

The oracle is the PyPI package `renderers`, a mirror of the chat templates of GLM-5, 5.1 and 5.3. It
shares no code with agentkit and reads the decoded bodies that a server got. One character is one
token here; a template's mark is a token too.
"""

from __future__ import annotations

import asyncio
import itertools
import json

import pytest
from renderers import GLM5Renderer, GLM51Renderer, GLM53Renderer
from renderers.configs import GLM5RendererConfig, GLM51RendererConfig, GLM53RendererConfig

from agentkit import GLM, Agent, MemoryStore, tool
from agentkit.messages import Assistant
from agentkit.model.providers import PROVIDERS
from agentkit.testing import Call, GLMServer, Say

MARKS = [
    "[gMASK]",
    "<sop>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|observation|>",
    "<|endoftext|>",
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
    "<arg_key>",
    "</arg_key>",
    "<arg_value>",
    "</arg_value>",
]
FIRST_MARK = 0xE000  # characters for private use, so that a mark is one character too


class Characters:
    """A tokenizer whose tokens are characters, and the template's marks."""

    name_or_path = "characters"
    unk_token_id = None
    eos_token_id = None

    def encode(self, text, **_):
        return [ord(character) for character in text]

    def decode(self, ids, **_):
        return "".join(map(chr, ids))

    def convert_tokens_to_ids(self, mark):
        return FIRST_MARK + MARKS.index(mark)


TOKENIZER = Characters()
TEMPLATES = {
    "glm-5": (GLM5Renderer, GLM5RendererConfig),
    "glm-5.1": (GLM51Renderer, GLM51RendererConfig),
    "glm-5.3": (GLM53Renderer, GLM53RendererConfig),
}


def marked(text):
    """Return the text with each mark as its one character."""
    for mark in MARKS:
        text = text.replace(mark, chr(TOKENIZER.convert_tokens_to_ids(mark)))
    return text


def common(one, other):
    """Return what two prompts begin with."""
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return "".join(before for before, _ in pairs)


def render(body, **change):
    """Render a request body as the server would, by what the body says of thinking."""
    renderer, config = TEMPLATES[body["model"]]
    said = {"clear_thinking": body["thinking"]["clear_thinking"]}
    if body["model"] == "glm-5.3":
        said["reasoning_effort"] = body.get("reasoning_effort", "max")
    else:
        said["enable_thinking"] = body["thinking"]["type"] == "enabled"
    prompt = renderer(TOKENIZER, config(**{**said, **change})).render_ids(
        body["messages"], tools=body.get("tools"), add_generation_prompt=True
    )
    return TOKENIZER.decode(prompt)


def written(say):
    """Return what the model wrote after the prompt, if it answered so, as it wrote it."""
    calls = "".join(
        f"<tool_call>{call.name}"
        + "".join(
            f"<arg_key>{name}</arg_key><arg_value>"
            f"{value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
            "</arg_value>"
            for name, value in call.arguments.items()
        )
        + "</tool_call>"
        for call in say.calls
    )
    return marked(f"{say.thinking}</think>{say.text}{calls}")


@tool
async def look(place: str, depth: int = 1, tags: list[str] | None = None) -> str:
    """Look somewhere."""
    return f"Seen: {place} \n{depth} {tags}"


@tool
async def note(text: str) -> str:
    """Take a note."""
    return "Noted."


SCRIPT = (
    Say(
        "I will look.",
        "First I look,\nthen I think.",
        [Call("look", {"place": "Köln", "depth": 2})],
    ),
    Say(
        "",
        "Two at once: 一二.",
        [
            Call("look", {"place": "a <b> & c", "tags": ["x", "y"]}),
            Call("note", {"text": 'He said "no",\n  twice.'}),
        ],
    ),
    Say("It is there.", "Enough seen."),
    Say("", "The user asks more.", [Call("note", {"text": "more"})]),
    Say("Done.", "Now I am done."),
    Say("You are welcome.", "A thank-you needs no tool."),
)
TURNS = ("Where is it?", "And now?", "Thanks!")


def converse(name="glm-5", script=SCRIPT, turns=TURNS, **options):
    """Hold a conversation over HTTP; return the bodies that the server got."""

    async def main():
        async with GLMServer(list(script)) as server:
            model = GLM(name, base_url=server.base_url, **options)
            agent = Agent(model, tools=[look, note], store=MemoryStore(), strict=True)
            async with agent.open() as talk:
                for turn in turns:
                    await talk.send(turn)
            return server.requests

    return asyncio.run(main())


@pytest.mark.parametrize("name", ["glm-5", "glm-5.3"])
@pytest.mark.parametrize("stream", [True, False])
def test_every_prompt_begins_with_the_last_one_and_all_that_the_model_wrote_after_it(name, stream):
    """Tool loops, parallel calls and new user messages alike."""
    bodies = converse(name, stream=stream)
    assert len(bodies) == len(SCRIPT)
    prompts = [render(body) for body in bodies]
    for (before, after), say in zip(itertools.pairwise(prompts), SCRIPT, strict=False):
        assert after.startswith(before + written(say))


def test_the_prompt_of_5_1_grows_too():
    """Its template differs from GLM-5's in the tool list and in replies without thinking."""
    prompts = [render(body) for body in converse("glm-5.1")]
    for (before, after), say in zip(itertools.pairwise(prompts), SCRIPT, strict=False):
        assert after.startswith(before + written(say))


@pytest.mark.parametrize("effort", ["low", "high", "max"])
def test_an_effort_stands_at_the_head_of_every_prompt_of_5_3(effort):
    prompts = [render(body) for body in converse("glm-5.3", effort=effort)]
    for before, after in itertools.pairwise(prompts):
        assert after.startswith(before)
        assert f"Reasoning Effort: {effort.capitalize()}" in before[:60]


def test_with_thinking_switched_off_the_prompt_only_grows():
    script = [Say(say.text, "", say.calls) for say in SCRIPT]
    prompts = [render(body) for body in converse(script=script, thinking=False)]
    for before, after in itertools.pairwise(prompts):
        assert after.startswith(before)


def test_5_3_gets_its_thinking_back_to_the_last_space():
    script = [Say(say.text, f"  {say.thinking} \n", say.calls) for say in SCRIPT]
    prompts = [render(body) for body in converse("glm-5.3", script)]
    for (before, after), say in zip(itertools.pairwise(prompts), script, strict=False):
        assert after.startswith(before + written(say))


@pytest.mark.parametrize("name", ["glm-5", "glm-5.1"])
def test_the_oracle_fails_when_earlier_thinking_is_cleared(name):
    """What `clear_thinking=True` costs: the prefix breaks at each new user message, and only there.

    The thinking of the turn before is dropped, back to its first reply.
    """
    bodies = converse(name, clear_thinking=True)
    prompts = [render(body) for body in bodies]
    breaks = [
        index
        for index, (before, after) in enumerate(itertools.pairwise(prompts), 1)
        if not after.startswith(before)
    ]
    new_turns = [
        index
        for index, body in enumerate(bodies)
        if index and body["messages"][-1]["role"] == "user"
    ]
    assert new_turns == [3, 5]
    assert breaks == new_turns
    left = common(prompts[2], prompts[3])
    assert left.endswith(marked("<|user|>Where is it?<|assistant|>"))


def test_the_oracle_fails_when_the_thinking_of_5_3_is_trimmed():
    script = [Say(say.text, f"  {say.thinking} \n", say.calls) for say in SCRIPT]
    bodies = converse("glm-5.3", script)
    for body in bodies[1:]:
        for message in body["messages"]:
            if message["role"] == "assistant":
                message["reasoning_content"] = message["reasoning_content"].strip()
    prompts = [render(body) for body in bodies]
    assert not prompts[1].startswith(prompts[0] + written(script[0]))
    for body, before, say in zip(bodies[1:], prompts, script, strict=False):
        body["messages"][2].pop("reasoning_content")
        assert not render(body).startswith(before + written(say))


def test_the_oracle_fails_when_the_effort_of_5_3_changes_in_mid_run():
    first, second = converse("glm-5.3")[:2]
    assert not render(second, reasoning_effort="high").startswith(render(first))


def test_the_cost_of_clearing_is_seen_in_the_share_of_the_prompt_that_survives():
    """Printed as a figure for the report; asserted only in which is larger."""

    def share(**options):
        bodies = converse(**options)
        before, after = render(bodies[2]), render(bodies[3])
        return len(common(before, after)) / len(before)

    kept, cleared = share(), share(clear_thinking=True)
    print(
        f"\nshare of the old prompt at a new user message: {kept:.1%} kept, {cleared:.1%} cleared"
    )
    assert kept == 1.0 > cleared


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
@pytest.mark.parametrize("name", ["glm-5", "glm-5.3"])
def test_every_dialect_carries_the_thinking_back_so_that_the_same_prompt_is_rendered(
    provider, name
):
    """What a server makes of its dialect's own field is Z.ai's field, with the same text."""
    (*_, last) = converse(name)
    model = GLM(name, base_url="http://127.0.0.1:9/v1", provider=provider)
    messages = []
    for message in last["messages"]:
        if message["role"] == "assistant":
            thought = message["reasoning_content"]
            blocks = json.dumps([{"type": "reasoning.text", "text": thought, "index": 0}])
            said = json.loads(model.encode(Assistant(message["content"], thought, (), blocks)))
            assert said.pop("content") == message["content"]
            assert said.pop("role") == "assistant"
            details = said.pop("reasoning_details", None)
            texts = {details[0]["text"]} if details else set(said.values())
            assert len(texts) == 1
            message = {**message, "reasoning_content": texts.pop()}  # noqa: PLW2901
        messages.append(message)
    assert render({**last, "messages": messages}) == render(last)
    if provider.dialect.thinking == "template":
        fields = json.loads(b"{" + model._fields[True] + b"}")
        assert fields["chat_template_kwargs"]["clear_thinking"] is False
