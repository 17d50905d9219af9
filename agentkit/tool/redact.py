"""Redaction: arguments that are secrets are taken out of events before they are stored.

`@tool(redact=("password",))` marks parameters. Their values are replaced in everything that the log
keeps and subscribers are told of a call: the model's own text in `Replied`, `ToolStarted` and
`ApprovalAsked`. The running process goes on with the true values, so that the call gets its secret
and the model its own words, byte for byte. What that costs is paid at a resume: the prompt that is
folded from the log has the mark where the secret was, so the cache is lost from that call on, and a
call that was cut off cannot be run again: it is refused, and the model told to write it anew.

What is not marked is not touched: the secret in a user message, in thinking, in a tool's result. A
secret that the model need not know is better fixed with `functools.partial`, and then in no event.
Only what the model says of it in a summary, which the framework asks for, is masked: `hidden`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

import orjson

from agentkit.events import ApprovalAsked, Body, Replied, ToolStarted
from agentkit.messages import ToolCall
from agentkit.tool.base import REDACTED, Tool

_SHORTEST = 4
"""Characters from which a secret is told from an ordinary word or figure."""


def redacted(body: Body, tools: Mapping[str, Tool]) -> Body:
    """Return a body as it may be stored; the same one where nothing is to be taken out."""
    if isinstance(body, Replied):
        calls = tuple(_call(call, tools) for call in body.message.tool_calls)
        if calls == body.message.tool_calls:
            return body
        return replace(body, message=replace(body.message, tool_calls=calls))
    if isinstance(body, ToolStarted | ApprovalAsked) and (tool := tools.get(body.name)):
        return replace(body, arguments=_arguments(body.arguments, tool.redact))
    return body


def hidden(body: Body, stored: Body) -> Iterator[str]:
    """Yield the texts and figures that were taken out of a body, if they can be known by sight.

    Args:
        body: with its arguments.
        stored: the same as `redacted` left it.
    """
    if isinstance(body, Replied) and isinstance(stored, Replied):
        calls = zip(body.message.tool_calls, stored.message.tool_calls, strict=True)
        for call, kept in calls:
            if call is not kept:
                yield from _differing(_object(call.arguments) or {}, _object(kept.arguments) or {})
    elif isinstance(body, ToolStarted) and isinstance(stored, ToolStarted):
        yield from _differing(body.arguments, stored.arguments)


def _differing(given: Mapping[str, Any], kept: Mapping[str, Any]) -> Iterator[str]:
    for name, value in given.items():
        if kept.get(name) == REDACTED and value != REDACTED:
            yield from _leaves(value)


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = list(cast("Mapping[Any, Any]", value).values())
    if isinstance(value, list | tuple):
        for one in cast("list[Any]", value):
            yield from _leaves(one)
    elif len(text := str(value)) >= _SHORTEST:
        yield text


def _object(text: str) -> dict[str, Any] | None:
    try:
        given: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return cast("dict[str, Any]", given) if isinstance(given, dict) else None


def _call(call: ToolCall, tools: Mapping[str, Tool]) -> ToolCall:
    tool = tools.get(call.name)
    if tool is None or not tool.redact:
        return call
    given = _object(call.arguments)
    if given is None:  # who knows where the secret is in it
        return replace(call, arguments=orjson.dumps(REDACTED).decode())
    left = _arguments(given, tool.redact)
    return call if left == given else replace(call, arguments=orjson.dumps(left).decode())


def _arguments(given: Mapping[str, Any], names: tuple[str, ...]) -> Mapping[str, Any]:
    return {**given, **{name: REDACTED for name in names if name in given}}
