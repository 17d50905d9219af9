"""What Z.ai refuses in a request, as a test server checks it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

import orjson

from agentkit.model.providers import ZAI_FIELDS
from agentkit.testing.script import Json, Refuse


def request_fault(request: Any, fields: Collection[str] | None = ZAI_FIELDS) -> Refuse | None:
    """Return the error that Z.ai gives for a wrong request, or None for a right one.

    Args:
        request: the decoded body.
        fields: the request fields that are known; None takes any.
    """
    if not isinstance(request, dict):
        return Refuse(400, "1210", "the body is no JSON object")
    body = cast("Json", request)
    unknown = sorted(set(body) - set(fields)) if fields is not None else []
    if unknown:
        return Refuse(400, "1210", f"unknown field {unknown[0]}")
    for name in ("model", "messages"):
        if not body.get(name):
            return Refuse(400, "1213", f"the field {name} is missing")
    if not any(message.get("role") == "user" for message in body["messages"]):
        return Refuse(400, "1214", "messages: no user message")
    return _parameter_fault(body) or _pairing_fault(body["messages"])


def _parameter_fault(body: Json) -> Refuse | None:
    if body.get("tool_choice") and not body.get("tools"):
        return Refuse(400, "1210", "tool_choice without tools")
    if not 0 <= body.get("temperature", 1.0) <= 1:
        return Refuse(400, "1210", "temperature out of range 0 to 1")
    if len(body.get("tools") or ()) > 128:
        return Refuse(400, "1210", "more than 128 tools")
    return None


def _pairing_fault(messages: list[Json]) -> Refuse | None:
    """Check what an agent gets wrong: calls and results that do not pair, broken arguments."""
    open_calls: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            if message.get("tool_call_id") not in open_calls:
                return Refuse(400, "1214", "messages: a tool result without its call")
            open_calls.remove(message["tool_call_id"])
            continue
        if open_calls:
            return Refuse(400, "1214", f"messages: no result for call {open_calls[0]}")
        for call in message.get("tool_calls") or ():
            open_calls.append(call["id"])
            try:
                orjson.loads(call["function"]["arguments"])
            except orjson.JSONDecodeError:
                return Refuse(400, "1214", "messages: tool call arguments are no JSON")
    if open_calls:
        return Refuse(400, "1214", f"messages: no result for call {open_calls[0]}")
    return None
