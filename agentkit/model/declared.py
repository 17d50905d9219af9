"""The tools that a request declares: read only when an answer has to be mended by them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final, cast

import orjson

_Json = dict[str, Any]

_PYTHON: Final[Mapping[str, Any]] = {"True": True, "False": False, "None": None}
_DEEPEST = 8


class Declared:
    """Names and argument schemas of a request's tools.

    Args:
        tools: the request's tool definitions as JSON; parsed at the first question.
    """

    def __init__(self, tools: bytes = b"") -> None:
        self._tools = tools

    def __bool__(self) -> bool:
        return bool(self._tools)

    def __contains__(self, name: object) -> bool:
        return name in self._schemas

    @cached_property
    def _schemas(self) -> Mapping[str, _Json]:
        found: dict[str, _Json] = {}
        try:
            tools: Any = orjson.loads(self._tools)
        except orjson.JSONDecodeError:
            return found
        for tool in cast("list[object]", tools) if isinstance(tools, list) else ():
            function = _fields(tool).get("function")
            if isinstance(name := _fields(function).get("name"), str):
                found[name] = _fields(_fields(function).get("parameters"))
        return found

    def properties(self, name: str) -> Mapping[str, Any]:
        """Return the schemas of a tool's arguments by name."""
        return _fields(self._schemas.get(name, {}).get("properties"))

    def required(self, name: str) -> set[str]:
        """Return the names of the arguments that a tool must have."""
        found = self._schemas.get(name, {}).get("required")
        listed = cast("list[object]", found) if isinstance(found, list) else []
        return {one for one in listed if isinstance(one, str)}

    def longest_at(self, text: str) -> str:
        """Return the longest declared name that the text begins with, or ""."""
        return max((name for name in self._schemas if text.startswith(name)), key=len, default="")

    def completed(self, start: str) -> str:
        """Return the one declared name that begins with `start`, or "" when none or several do."""
        found = [name for name in self._schemas if name.startswith(start)]
        return found[0] if len(found) == 1 else ""

    def value(self, name: str, key: str, text: str) -> Any:
        """Return what GLM's template means by an argument's text: strings raw, all else JSON.

        Where the schema allows a string and something else, JSON of the other type wins; without
        a schema any JSON does.
        """
        schema = self._schemas.get(name, {})
        types = _types(self.properties(name).get(key), schema, _DEEPEST)
        if types == {"string"}:
            return text
        stripped = text.strip()
        if stripped in _PYTHON and types and "string" not in types:
            value = _PYTHON[stripped]
        else:
            try:
                value = json.loads(stripped, parse_constant=_refuse)
                json.dumps(value, ensure_ascii=False).encode()
            except (ValueError, RecursionError):
                return text
        if "string" in types and (isinstance(value, str) or not _type_names(value) & types):
            return text
        return value


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _fields(value: object) -> _Json:
    return cast("_Json", value) if isinstance(value, dict) else {}


_TYPE_NAMES: Final[Mapping[type, set[str]]] = {
    type(None): {"null"},
    bool: {"boolean"},
    int: {"integer", "number"},
    float: {"number"},
    str: {"string"},
    list: {"array"},
    dict: {"object"},
}


def _type_names(value: object) -> set[str]:
    return _TYPE_NAMES.get(type(value), set())


def _types(schema: object, root: _Json, depth: int) -> set[str]:
    """Return the JSON types that a schema allows; empty when it does not say."""
    fields = _fields(schema)
    match fields:
        case {"type": str(name)}:
            return {name}
        case {"type": list()}:
            return {str(name) for name in cast("list[object]", fields["type"])}
        case {"enum": list()}:
            values = cast("list[object]", fields["enum"])
            return {name for one in values for name in _type_names(one)}
        case {"const": value}:
            return _type_names(value)
        case {"$ref": str(path)} if depth:
            return _types(_at(path, root), root, depth - 1)
        case _:
            words = ("anyOf", "oneOf", "allOf") if depth else ()
            found = [fields[word] for word in words if isinstance(fields.get(word), list)]
            return {
                name
                for branches in found
                for branch in cast("list[object]", branches)
                for name in _types(branch, root, depth - 1)
            }


def _at(path: str, root: _Json) -> object:
    """Return what a local reference such as "#/$defs/Filter" points at, or None."""
    target: object = root
    for step in path.removeprefix("#/").split("/"):
        target = _fields(target).get(step)
    return target
