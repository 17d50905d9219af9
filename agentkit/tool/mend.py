"""Mending values that are right but for their type or spelling, where one reading fits the schema.

Nothing is guessed: a name that the tool does not have is never changed into one it has, text never
becomes a number by leaving something of it out, and true is no 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from pydantic_core import from_json, to_json

from agentkit.tool.advice import place, show
from agentkit.tool.base import Problem, Tool
from agentkit.tool.lenient import read
from agentkit.tool.shape import (
    Schema,
    branches,
    schema_at,
    types_of,
    types_of_value,
    values_of,
)

_WRAPPINGS: Final = frozenset({"arguments", "parameters", "args", "kwargs", "input"})
_BESIDE: Final = frozenset({"name", "tool", "tool_name", "function", "type", "id"})
_SEPARATORS: Final = frozenset(",;|\n")
_WORDS: Final = {"true": True, "false": False, "null": None, "none": None}


@dataclass(frozen=True, slots=True)
class Repair:
    """One thing that was mended.

    Attributes:
        text: what was done.
        matters: whether the model should know: its words could have meant something else.
    """

    text: str
    matters: bool = False


@dataclass(frozen=True, slots=True)
class _New:
    """A value in the place of another; without words it is the same JSON value."""

    value: Any
    words: str = ""
    matters: bool = False


def mend(
    given: Mapping[str, Any], problems: Sequence[Problem], schema: Schema
) -> tuple[dict[str, Any], bool, list[Repair]]:
    """Return the arguments with slips undone, whether anything changed, and what was done."""
    mended = from_json(to_json(given))  # a deep copy that deep nesting cannot break
    changed = False
    done: list[Repair] = []
    for problem in problems:
        if problem.kind != "wrong" or not problem.path:
            continue
        *parents, key = problem.path
        holder: Any = mended
        for step in parents:
            holder = holder[step]
        where = place(problem.path)
        if holder[key] is None:
            around = branches(schema_at(schema, tuple(parents)), schema)
            if isinstance(key, str) and all(key not in one.get("required", ()) for one in around):
                del holder[key]
                changed = True
                done.append(Repair(f"{where}: left out null for an optional argument"))
        elif new := _replacement(holder[key], schema_at(schema, problem.path), schema):
            holder[key] = new.value
            changed = True
            if new.words:
                done.append(Repair(f"{where}: {new.words}", new.matters))
    return mended, changed, done


def unwrapped(given: Mapping[str, Any], tool: Tool) -> tuple[dict[str, Any], Repair] | None:
    """Return the arguments inside {"name": ..., "arguments": {...}}, if that is what was given."""
    properties = cast("Mapping[str, Any]", tool.parameters.get("properties", {}))
    keys = _WRAPPINGS & given.keys()
    if len(keys) != 1 or given.keys() & properties.keys() or given.keys() - keys - _BESIDE:
        return None
    if any(given[name] != tool.name for name in ("name", "tool", "tool_name") if name in given):
        return None
    (key,) = keys
    inner: Any = given[key]
    if isinstance(inner, str):
        try:
            inner = from_json(inner, allow_inf_nan=False)
        except ValueError:
            return None
    if not isinstance(inner, dict):
        return None
    return cast("dict[str, Any]", inner), Repair(f"arguments: taken out of {key!r}", matters=True)


def _replacement(value: Any, wanted: Schema, root: Schema) -> _New | None:
    """Return what a value that does not fit stands for, where only one thing is possible."""
    types = types_of(wanted, root)
    match value:
        case bool():
            return None
        case float() if value.is_integer() and types & {"integer", "number"} == {"integer"}:
            return _New(int(value))
        case int() if "string" in types and not types & {"integer", "number", "boolean"}:
            return _New(str(value), f"read the number {value} as text")
        case str():
            return _from_text(value, wanted, types, root)
        case list():
            return _without_doubles(cast("list[Any]", value), wanted, root)
        case _:
            return _wrapped(value, wanted, types, root)


def _from_text(text: str, wanted: Schema, types: set[str], root: Schema) -> _New | None:
    listed = [one for branch in branches(wanted, root) for one in values_of(branch)]
    plain = text.strip().casefold()
    alike = [one for one in listed if isinstance(one, str) and one.strip().casefold() == plain]
    if len(alike) == 1:
        return _New(alike[0], f"read {show(text)} as {show(alike[0])}")
    if not types or "string" in types:
        return None
    try:
        value, _ = read(text) if text.strip()[:1] in ("{", "[") else (_scalar(text), None)
    except ValueError:
        return _wrapped(text, wanted, types, root)
    if isinstance(value, float) and value.is_integer() and "number" not in types:
        value = int(value)
    if not types_of_value(value) & types:
        return _wrapped(text, wanted, types, root)
    if isinstance(value, dict | list):
        return _New(value, "decoded JSON that was written as a string")
    return _New(value, f"read the text {show(text)} as {show(value)}")


def _scalar(text: str) -> Any:
    """Return the number, boolean or null that a text is.

    Raises:
        ValueError: it is none of them.
    """
    if (plain := text.strip().casefold()) in _WORDS:
        return _WORDS[plain]
    return from_json(plain, allow_inf_nan=False)


def _wrapped(value: Any, wanted: Schema, types: set[str], root: Schema) -> _New | None:
    """Return a list of one where a list of such values is wanted."""
    if "array" not in types or (isinstance(value, str) and _SEPARATORS & set(value)):
        return None
    for branch in branches(wanted, root):
        items: Any = branch.get("items")
        if isinstance(items, Mapping) and "prefixItems" not in branch:
            inner = types_of(cast("Schema", items), root)
            if types_of_value(value) & inner:
                return _New([value], "made a list of the one value", matters=True)
    return None


def _without_doubles(items: list[Any], wanted: Schema, root: Schema) -> _New | None:
    if not any(one.get("uniqueItems") for one in branches(wanted, root)):
        return None
    single: dict[bytes, Any] = {}
    for item in items:
        single.setdefault(to_json(item), item)
    left = len(items) - len(single)
    return _New(list(single.values()), f"left out {left} of equal items") if left else None
