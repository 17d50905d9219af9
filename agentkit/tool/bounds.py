"""Bounds: what is kept of a result of any size, so that no tool can fill the memory or the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, cast

from agentkit.errors import ToolError
from agentkit.tool.base import Artifact, Postponed, ToolResult
from agentkit.tool.policy import DispatchPolicy
from agentkit.tool.results import Outcome, raised, returned

_PLAIN = (str, int, float, bool, type(None))
_WHOLE = (Artifact, bytes, bytearray, memoryview)
"""What is looked at elsewhere, as a file."""

_ITEM = 8
"""Bytes that are counted for a value besides its text."""

_CONTAINER = 64
"""Bytes that are counted for a container besides what it holds."""

_DEEPEST = 50


def finished(value: object, policy: DispatchPolicy) -> Outcome:
    """Return the outcome of a tool that returned, however large its value is."""
    if value.__class__ is str or value is None:
        return returned(value, policy.max_result_characters)
    if isinstance(value, Postponed):
        return Outcome("unknown", "", postponed=True)
    left_out: list[str] = []
    value = _bounded(value, policy.max_result_bytes, left_out)
    outcome = returned(value, policy.max_result_characters)
    if outcome.artifacts:
        outcome = _with_fitting_artifacts(outcome, policy.max_artifact_bytes, left_out)
    if left_out:
        outcome = replace(outcome, content="\n\n".join([outcome.content, *left_out]))
    return outcome


def failed(error: BaseException, policy: DispatchPolicy) -> tuple[Outcome, bool]:
    """Return the outcome of a tool that raised, and whether another attempt makes sense."""
    again = isinstance(error, Exception) and not isinstance(error, ToolError)
    return raised(error, policy.max_result_characters), again


def _bounded(value: object, size: int, left_out: list[str]) -> object:
    """Return the value, or the beginning of it when its text would be larger than `size`."""
    kind = type(value)
    if kind in _PLAIN or kind in _WHOLE:
        return value
    if isinstance(value, ToolResult):
        content = cast("object", value.content)
        inner = _bounded(content, size, left_out)
        return value if inner is content else replace(value, content=cast("str", inner))
    if _weigh(value, size) <= size:
        return value
    left_out.append(
        f"[The result is larger than {size} bytes as text; only its beginning was looked at. Ask "
        "for less at once.]"
    )
    return _beginning(value, [size])


def _weigh(value: object, most: int) -> int:
    """Return about how many bytes a value has as JSON; stop counting beyond `most`."""
    weight = 0
    stack: list[object] = [value]
    if isinstance(value, list | tuple):  # files among its items are bounded as files
        items = cast("list[object]", value)
        stack = [one for one in items if type(one) not in _WHOLE]
    while stack and weight <= most:
        one = stack.pop()
        weight += _ITEM
        if isinstance(one, str | bytes | bytearray):
            weight += len(one)
            continue
        parts = _parts(one)
        if parts is None:
            continue
        weight += _CONTAINER
        if len(parts) * _ITEM > most - weight:
            return most + 1
        stack += parts
    return weight


def _parts(value: object) -> list[Any] | None:
    """Return what a container holds, or None for what is none."""
    if isinstance(value, Mapping):
        mapping = cast("Mapping[Any, Any]", value)
        return [*mapping, *mapping.values()]
    if isinstance(value, list | tuple | set | frozenset):
        return list(cast("list[Any]", value))
    if isinstance(value, _PLAIN):
        return None
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, one.name, None) for one in fields(value)]
    inner = getattr(value, "__dict__", None)  # a pydantic model
    return list(cast("dict[str, Any]", inner).values()) if isinstance(inner, dict) else None


def _beginning(value: object, left: list[int], depth: int = 0) -> object:
    """Return a copy of the value's beginning with at most `left[0]` bytes, which it uses up."""
    left[0] -= _ITEM
    if depth == 1 and type(value) in _WHOLE:
        return value
    if isinstance(value, str):
        text = value[: max(left[0], 0)]
        left[0] -= len(text)
        return text
    parts = _parts(value)
    if parts is None or depth == _DEEPEST:
        return value if isinstance(value, _PLAIN) else f"[{type(value).__name__}]"
    if isinstance(value, Mapping):
        kept: dict[Any, Any] = {}
        for key, one in cast("Mapping[Any, Any]", value).items():
            if left[0] <= 0:
                break
            kept[_beginning(key, left, depth + 1)] = _beginning(one, left, depth + 1)
        return kept
    items: list[object] = []
    for one in parts:
        if left[0] <= 0:
            break
        items.append(_beginning(one, left, depth + 1))
    return items


def _with_fitting_artifacts(outcome: Outcome, size: int, left_out: list[str]) -> Outcome:
    kept: list[Artifact] = []
    for artifact in outcome.artifacts:
        if len(artifact.data) <= size:
            size -= len(artifact.data)
            kept.append(artifact)
        else:
            left_out.append(
                f"[The file {artifact.name} was left out: with its {len(artifact.data)} bytes the "
                "result is larger than what is kept.]"
            )
    return replace(outcome, artifacts=tuple(kept))
