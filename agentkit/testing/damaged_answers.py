"""Failures that change what is said: lost, cut, glued and misplaced calls, texts and reasons."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import orjson

from agentkit.testing.failure import failure
from agentkit.testing.prompt import call_text
from agentkit.testing.script import Answer, Call, Json, Refuse, Say

_INNER = "</arg_value>"


def _arguments(call: Call) -> Json:
    return cast("Json", orjson.loads(call.text() or "{}"))


def _written(say: Say) -> str:
    return "".join(call_text(call.name, _arguments(call)) for call in say.calls)


def _rewritten(say: Say, change: Callable[[Call, str], str]) -> Say:
    """Return the answer with the arguments of its calls as text that `change` gives."""
    return replace(say, calls=[Call(call.name, change(call, call.text())) for call in say.calls])


@failure("answer", 1)
def zero_argument_crash(_: Say) -> Answer:
    """The server's parser crashes on a call without arguments: HTTP 500 (vllm#32213)."""
    return Refuse(500, "", "TypeError: expected string or bytes-like object, got 'NoneType'")


@failure("answer", 2)
def call_lost(say: Say) -> Say:
    """finish_reason `tool_calls`, but no call is sent (vllm#44326)."""
    return replace(say, calls=(), finish_reason="tool_calls")


@failure("answer", 3)
def name_cut(say: Say) -> Say:
    """A tool's name stops at its first underscore (vllm#39757: `get` for `get_weather`)."""
    return replace(say, calls=[Call(call.name.split("_")[0], call.text()) for call in say.calls])


@failure("answer", 4)
def arguments_lost(say: Say) -> Say:
    """A piece in the middle of the arguments is missing (vllm#34449)."""
    return _rewritten(say, lambda _, text: text.replace('":"', "", 1))


@failure("answer", 5)
def call_in_thinking(say: Say) -> Say:
    """The calls stand as GLM's own text in the thinking, finish `stop` (vllm#46040)."""
    return Say("", f"{say.thinking}\n{_written(say)}", finish_reason="stop", cut=say.cut)


@failure("answer", 6)
def answer_in_thinking(say: Say) -> Say:
    """The whole answer is in the thinking, the content empty, finish `stop` (sglang#37645)."""
    return replace(say, text="", thinking=say.thinking + say.text)


@failure("answer", 7)
def key_glued_to_name(say: Say) -> Say:
    """The first key's opening tag is missing: name and key are one word (vllm PR #47190)."""
    text = _written(say).replace("<arg_key>", "", 1)
    return replace(say, text=say.text + text, calls=(), finish_reason="stop")


@failure("answer", 8)
def tag_in_name(say: Say) -> Say:
    """A template tag stands at the end of a name (fw-ai-external/python-sdk#119)."""
    return replace(
        say, calls=[Call(f"{call.name}</arg_value>", call.arguments) for call in say.calls]
    )


@failure("answer", 9)
def call_in_content(say: Say) -> Say:
    """The calls stand as GLM's own text in the content: no parser (zai-org/GLM-5#84)."""
    return replace(say, text=say.text + _written(say), calls=(), finish_reason="stop")


@failure("answer", 9)
def call_in_name(say: Say) -> Say:
    """The whole call stands in the name, the arguments are empty (zai-org/GLM-5#84)."""
    calls = [
        Call(call_text(call.name, _arguments(call)).removeprefix("<tool_call>"), "{}")
        for call in say.calls
    ]
    return replace(say, calls=calls)


@failure("answer", 10)
def strings_unquoted(say: Say) -> Say:
    """String values in the arguments lack both quotes (sglang#35564)."""
    return _rewritten(say, lambda _, text: re.sub(r':"([^"]*)"', r":\1", text))


@failure("answer", 10)
def opening_brace_missing(say: Say) -> Say:
    """The arguments lack their opening brace (sglang PR #36688)."""
    return _rewritten(say, lambda _, text: text[1:])


@failure("answer", 11)
def opening_quote_missing(say: Say) -> Say:
    """A string value lacks its opening quote (vllm-ascend#12261)."""
    return _rewritten(say, lambda _, text: text.replace(':"', ":", 1))


@failure("answer", 12)
def values_as_strings(say: Say) -> Say:
    """Numbers, booleans and lists in the arguments are strings (antirez/ds4#569)."""

    def text(call: Call, _: str) -> str:
        given = _arguments(call)
        return orjson.dumps(
            {
                key: value if isinstance(value, str) else orjson.dumps(value).decode()
                for key, value in given.items()
            }
        ).decode()

    return _rewritten(say, text)


@failure("answer", 13)
def objects_joined(say: Say) -> Say:
    """Several calls' arguments come joined as those of one call (sglang#16371)."""
    joined = "".join(call.text() for call in say.calls)
    return replace(say, calls=[Call(say.calls[0].name, joined)] if say.calls else [])


@failure("answer", 14)
def closing_brace_missing(say: Say) -> Say:
    """The arguments lack their closing brace (sglang#19345)."""
    return _rewritten(say, lambda _, text: text[:-1])


@failure("answer", 15)
def arguments_incomplete(say: Say) -> Say:
    """The arguments stop in the middle of a string (zai-org/GLM-4.5#146)."""
    return _rewritten(say, lambda _, text: text[: text.rfind('"') - 1])


@failure("answer", 17)
def stop_tokens(say: Say) -> Say:
    """Stop tokens and U+FFFD stand at the end of the content (vllm PR #46159)."""
    return replace(say, text=say.text + "\ufffd<|observation|><|user|>")


@failure("answer", 19)
def parallel_calls_refused(_: Say) -> Answer:
    """A second call is an error inside the stream (LM Studio, lmstudio-bug-tracker#1528)."""
    return Refuse(200, "", "Failed to parse tool call: extra content after it", streamed=True)


@failure("answer", 22)
def repetition(say: Say) -> Say:
    """The content repeats a passage until max_tokens (zai-org/GLM-5#42)."""
    return replace(say, text=say.text + "and then the same thing again, " * 1000)


@failure("answer", 22)
def repetition_in_thinking(say: Say) -> Say:
    """The thinking repeats a passage until max_tokens (zai-org/GLM-5#42)."""
    return replace(say, thinking=say.thinking + "wait, let me check that again. " * 1000)


@failure("answer", 23)
def none_before_calls(say: Say) -> Say:
    """The word None stands before the calls: a template's null content."""
    return replace(say, text="None")


@failure("answer", 25)
def unknown_finish_reason(say: Say) -> Say:
    """The finish reason is a word that no list has (any-llm#1200)."""
    return replace(say, finish_reason="end_of_turn")


@failure("answer")
def length(say: Say) -> Say:
    """max_tokens was reached."""
    return replace(say, finish_reason="length")


@failure("answer")
def sensitive(say: Say) -> Say:
    """The content policy ended the answer."""
    return replace(say, finish_reason="sensitive")


@failure("answer")
def network_error(say: Say) -> Say:
    """The provider failed in the middle of the answer."""
    return replace(say, finish_reason="network_error")


@failure("answer")
def model_context_window_exceeded(say: Say) -> Say:
    """The window is full (any-llm#1200)."""
    return replace(say, finish_reason="model_context_window_exceeded")


@failure("answer")
def thinking_in_content(say: Say) -> Say:
    """The thinking stands in the content with its closing tag: no reasoning parser."""
    return replace(say, text=f"{say.thinking}</think>\n\n{say.text}", thinking="")


@failure("answer")
def value_tag_missing(say: Say) -> Say:
    """The calls stand in the content, without their opening value tags (vllm#49248)."""
    text = _written(say).replace("<arg_value>", "")
    return replace(say, text=text, calls=(), finish_reason="stop")


@failure("answer")
def tags_in_keys(say: Say) -> Say:
    """Template tags stand in the arguments' keys (vllm PR #54971)."""
    return _rewritten(say, lambda _, text: re.sub(r'([{,]"[^"]+)":', r"\1</arg_key>" + '":', text))


@failure("answer")
def tags_in_values(say: Say) -> Say:
    """Template tags stand at the end of string values (vllm PR #47190)."""
    return _rewritten(say, lambda _, text: re.sub(r'"([,}])', r"</arg_value>" + r'"\1', text))


@failure("answer", 27)
def name_padded(say: Say) -> Say:
    """A name has spaces around it."""
    return replace(say, calls=[Call(f" {call.name} ", call.arguments) for call in say.calls])
