"""Requests as bytes: messages encoded once, bodies joined from them.

Whatever the model wrote, what is sent back is valid: arguments that are no JSON object go back as
`{}` and impossible tool names are made possible. The log keeps what the model really wrote.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, TypedDict

import orjson

from agentkit.errors import ConfigError
from agentkit.messages import Assistant, Content, Message, System, Text, ToolCall, ToolOutput, User
from agentkit.model.base import Request
from agentkit.model.providers import Dialect

_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class Parameters(TypedDict, total=False):
    """Request parameters of GLM-5; one that is absent is not sent, so the provider's default holds.

    Ranges and defaults: docs.z.ai chat-completion reference.
    """

    max_tokens: int
    """Tokens of the answer, 1 to 131,072."""
    temperature: float
    """0.0 to 1.0, default 1.0. Tune this or top_p, not both."""
    top_p: float
    """0.01 to 1.0, default 0.95."""
    do_sample: bool
    """False is greedy decoding; temperature and top_p are then ignored. Default True."""
    thinking: bool
    """Whether the model thinks before it answers. Default True."""
    clear_thinking: bool
    """Whether the server drops the thinking of earlier user turns. We send False unless told
    otherwise, because True breaks the cached prefix at every user message."""
    tool_stream: bool
    """Stream tool arguments in pieces; needs streaming. Default False."""
    tool_choice: Literal["auto"]
    """Only "auto" is documented; sent only together with tools."""
    stop: list[str]
    """Strings that end the answer; the international endpoint takes one."""
    response_format: Literal["text", "json_object"]
    """"json_object" asks for JSON; say so in the prompt too."""
    request_id: str
    """6 to 64 characters, unique for each request: for single requests, not for agents."""
    user_id: str
    """6 to 128 characters."""


def check(parameters: Parameters) -> None:
    """Refuse parameters that GLM-5 refuses.

    Raises:
        ConfigError: an unknown name, or a value out of its documented range.
    """
    unknown = sorted(set(parameters) - set(Parameters.__annotations__))
    if unknown:
        known = ", ".join(Parameters.__annotations__)
        raise ConfigError(f"Unknown model parameter {unknown[0]!r}. Expected one of: {known}.")
    bounds: dict[str, tuple[float, float]] = {
        "max_tokens": (1, 131_072),
        "temperature": (0.0, 1.0),
        "top_p": (0.01, 1.0),
    }
    for name, (low, high) in bounds.items():
        value = parameters.get(name)
        if value is not None and not (_is_number(value) and low <= value <= high):
            raise ConfigError(f"{name}={value!r} is out of range. Expected {low} to {high}.")
    lengths = {"request_id": (6, 64), "user_id": (6, 128)}
    for name, (low, high) in lengths.items():
        text = parameters.get(name)
        if text is not None and not (isinstance(text, str) and low <= len(text) <= high):
            raise ConfigError(f"{name}={text!r}: expected a string of {low} to {high} characters.")
    _check_choices(parameters)


def _check_choices(parameters: Parameters) -> None:
    for name in ("thinking", "clear_thinking", "do_sample", "tool_stream"):
        if not isinstance(parameters.get(name, True), bool):
            raise ConfigError(f"{name}={parameters.get(name)!r}: expected True or False.")
    choices = {"tool_choice": ("auto",), "response_format": ("text", "json_object")}
    for name, allowed in choices.items():
        if parameters.get(name, allowed[0]) not in allowed:
            raise ConfigError(
                f"{name}={parameters.get(name)!r}: expected one of {', '.join(allowed)}."
            )
    stop: object = parameters.get("stop", [])
    if not isinstance(stop, list):
        raise ConfigError(f"stop={stop!r}: expected a list of strings.")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def encode(message: Message, dialect: Dialect) -> bytes:
    """Return one message as JSON, in the dialect's spelling."""
    match message:
        case System(content):
            return orjson.dumps({"role": "system", "content": content})
        case User(content):
            return orjson.dumps({"role": "user", "content": _content(content)})
        case ToolOutput(call_id, content):
            return orjson.dumps({"role": "tool", "tool_call_id": call_id, "content": content})
        case Assistant(content, thinking, calls):
            body: dict[str, Any] = {"role": "assistant", "content": content}
            if thinking:
                body.update(dict.fromkeys(dialect.replay, thinking))
            if calls:
                body["tool_calls"] = [_call(call) for call in calls]
            return orjson.dumps(body)


def _content(content: Content) -> Any:
    if isinstance(content, str):
        return content
    return [
        {"type": "text", "text": part.text}
        if isinstance(part, Text)
        else {"type": "image_url", "image_url": {"url": part.url}}
        for part in content
    ]


def _call(call: ToolCall) -> dict[str, Any]:
    name = call.name
    if not _TOOL_NAME.fullmatch(name):
        name = re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:64] or "unknown"
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": name, "arguments": _arguments(call.arguments)},
    }


def _arguments(text: str) -> str:
    try:
        valid = isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        valid = False
    return text if valid else "{}"


def parameter_bytes(
    model: str, parameters: Parameters, dialect: Dialect, *, stream: bool, tools: bool
) -> bytes:
    """Return the body's fields other than messages and tools, as JSON without braces."""
    fields: dict[str, Any] = {"model": model, "stream": stream, **parameters}
    fields.pop("thinking", None)
    fields.pop("clear_thinking", None)
    fields |= _thinking(parameters, dialect)
    if "response_format" in parameters:
        fields["response_format"] = {"type": parameters["response_format"]}
    if not tools:  # the Z.ai backend answers 1210 to tool fields without tools
        fields.pop("tool_choice", None)
        fields.pop("tool_stream", None)
    if not stream:
        fields.pop("tool_stream", None)
    else:
        fields["stream_options"] = {"include_usage": True}
    taken = {name: value for name, value in fields.items() if name in dialect.fields}
    return orjson.dumps(taken, option=orjson.OPT_SORT_KEYS)[1:-1]


def _thinking(parameters: Parameters, dialect: Dialect) -> Mapping[str, Any]:
    enabled = parameters.get("thinking", True)
    clear = parameters.get("clear_thinking", False)
    match dialect.thinking:
        case "zai":
            kind = "enabled" if enabled else "disabled"
            return {"thinking": {"type": kind, "clear_thinking": clear}}
        case "openrouter":
            return {"reasoning": {"enabled": enabled}, "usage": {"include": True}}
        case "template":
            return {"chat_template_kwargs": {"enable_thinking": enabled, "clear_thinking": clear}}
        case "none":
            return {}


def body(request: Request, parameters: bytes) -> bytes:
    """Return a whole request body: one join over bytes that exist already."""
    head = b'{"messages":[' + b",".join(request.messages) + b"],"
    tools = b'"tools":' + request.tools + b"," if request.tools else b""
    return b"".join((head, tools, parameters, b"}"))
