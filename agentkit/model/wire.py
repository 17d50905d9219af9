"""Requests as bytes: messages encoded once, bodies joined from them.

Whatever the model wrote, what is sent back is valid: arguments that are no JSON object go back as
`{}` and impossible tool names are made possible. The log keeps what the model really wrote.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, cast

import orjson

from agentkit.errors import ConfigError
from agentkit.messages import (
    Assistant,
    Content,
    Image,
    Message,
    System,
    Text,
    ToolCall,
    ToolOutput,
    User,
)
from agentkit.model import thinking
from agentkit.model.base import Request
from agentkit.model.catalog import ModelInfo
from agentkit.model.dialect import Dialect
from agentkit.model.parameters import Parameters
from agentkit.model.providers import Provider

MAX_TOOLS = 128
"""Functions in one request (docs.z.ai chat-completion)."""

_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def encode(message: Message, dialect: Dialect, info: ModelInfo | None = None) -> bytes:
    """Return one message as JSON, in the dialect's spelling.

    Raises:
        ConfigError: an image for a model that is known to read text only.
    """
    match message:
        case System(content):
            return orjson.dumps({"role": "system", "content": content})
        case User(content):
            return orjson.dumps({"role": "user", "content": _content(content, info)})
        case ToolOutput(call_id, content):
            return orjson.dumps({"role": "tool", "tool_call_id": call_id, "content": content})
        case Assistant(content, _, calls):
            body = {"role": "assistant", "content": content, **_thinking(message, dialect)}
            if calls:
                body["tool_calls"] = [_call(call) for call in calls]
            return orjson.dumps(body)


def _thinking(message: Assistant, dialect: Dialect) -> dict[str, Any]:
    if dialect.blocks and message.thinking_blocks:
        return {"reasoning_details": orjson.Fragment(message.thinking_blocks)}
    if message.thinking:
        return dict.fromkeys(dialect.replay, message.thinking)
    return {}


def _content(content: Content, info: ModelInfo | None) -> Any:
    if isinstance(content, str):
        return content
    if not any(isinstance(part, Image) for part in content):
        # The content of a text model is documented as plain text only.
        return "".join(part.text for part in content if isinstance(part, Text))
    if info is not None:
        info.refuse_images()
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
    model: str,
    parameters: Parameters,
    provider: Provider,
    *,
    info: ModelInfo | None = None,
    stream: bool,
    tools: bool,
) -> bytes:
    """Return the body's fields other than messages and tools, as JSON without braces.

    Args:
        model: id of the model at this provider.
        parameters: checked ones (`agentkit.model.parameters.check`).
        provider: no field that it does not take is in the result.
        info: what is known of the model, or None.
        stream: whether the answer is streamed.
        tools: whether the request has tools.

    Raises:
        ConfigError: thinking or effort that the model or the provider cannot honour.
    """
    fields: dict[str, Any] = {"model": model, "stream": stream, **parameters}
    for name in ("thinking", "effort", "clear_thinking"):
        fields.pop(name, None)
    fields |= thinking.fields(parameters, provider, info)
    if "response_format" in parameters:
        fields["response_format"] = {"type": parameters["response_format"]}
    if not tools:  # the Z.ai backend answers 1210 to tool fields without tools
        fields.pop("tool_choice", None)
    if not (tools and stream):
        fields.pop("tool_stream", None)
    if stream:
        fields["stream_options"] = {"include_usage": True}
    fields["usage"] = {"include": True}
    taken = {name: value for name, value in fields.items() if name in provider.dialect.fields}
    return orjson.dumps(taken, option=orjson.OPT_SORT_KEYS)[1:-1]


def body(request: Request, parameters: bytes) -> bytes:
    """Return a whole request body: one join over bytes that exist already.

    Raises:
        ConfigError: tools that the model refuses: too many, or with an impossible name.
    """
    if request.tools:
        _check_tools(request.tools)
    head = b'{"messages":[' + b",".join(request.messages) + b"],"
    tools = b'"tools":' + request.tools + b"," if request.tools else b""
    return b"".join((head, tools, parameters, b"}"))


@lru_cache(maxsize=64)
def _check_tools(tools: bytes) -> None:
    """Refuse a tool list that did not come from agentkit.tool, once for each list."""
    listed = cast("list[dict[str, Any]]", orjson.loads(tools))
    if len(listed) > MAX_TOOLS:
        raise ConfigError(
            f"The request has {len(listed)} tools, and GLM takes {MAX_TOOLS}. Give the agent fewer."
        )
    for tool in listed:
        function: dict[str, Any] = tool.get("function") or {}
        name = function.get("name")
        if tool.get("type") == "function" and not _TOOL_NAME.fullmatch(str(name or "")):
            raise ConfigError(
                f"The tool name {name!r} is refused by GLM. Expected 1 to 64 of the characters "
                "a-z, A-Z, 0-9, _ and -."
            )
