"""Redaction: arguments that are secrets are taken out of events before they are stored.

`@tool(redact=("password",))` marks parameters. Their values are replaced in everything that the log
keeps and subscribers are told of a call: the model's own text in `Replied`, `ToolStarted` and
`ApprovalAsked`. The running process goes on with the true values, so that the call gets its secret
and the model its own words, byte for byte. What that costs is paid at a resume: the prompt that is
folded from the log has the mark where the secret was, so the cache is lost from that call on, and a
call that was cut off cannot be run again: it is refused, and the model told to write it anew.

What is not marked is not touched: the secret in a user message, in thinking, in a tool's result. A
secret that the model need not know is better fixed with `functools.partial`, and then in no event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import orjson

from agentkit.events import ApprovalAsked, Body, Replied, ToolStarted
from agentkit.messages import ToolCall
from agentkit.tool.base import REDACTED, Tool


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


def _call(call: ToolCall, tools: Mapping[str, Tool]) -> ToolCall:
    tool = tools.get(call.name)
    if tool is None or not tool.redact:
        return call
    try:
        given: Any = orjson.loads(call.arguments)
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, dict):  # who knows where the secret is in it
        return replace(call, arguments=orjson.dumps(REDACTED).decode())
    hidden = _arguments(cast("dict[str, Any]", given), tool.redact)
    return call if hidden == given else replace(call, arguments=orjson.dumps(hidden).decode())


def _arguments(given: Mapping[str, Any], names: tuple[str, ...]) -> Mapping[str, Any]:
    return {**given, **{name: REDACTED for name in names if name in given}}
