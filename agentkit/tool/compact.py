"""Compaction of JSON Schema: every token of it is paid for in every run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

_LOCAL = "#/$defs/"
# Keywords whose values are schemas by name, lists of schemas, or one schema.
_BY_NAME = ("properties", "patternProperties", "dependentSchemas")
_LISTS = ("anyOf", "allOf", "oneOf", "prefixItems")
_SINGLE = ("items", "additionalProperties", "contains", "propertyNames", "not", "if", "then")


_NEEDLESS = (("default", None),)
# Pydantic's word for bytes that are the UTF-8 of a text, and JSON Schema's.
_BINARY = ("format", "binary")
_TEXT = ("contentMediaType", "text/plain; charset=utf-8")


def compact(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema of the same meaning without titles and without needless `$defs`.

    Local definitions are put in place where they are used; only those that contain themselves
    stay in `$defs`. A default of null is dropped: leaving the argument out says the same.
    """
    definitions: Mapping[str, Any] = schema.get("$defs", {})
    recursive = {name for name in definitions if name in _reachable(definitions[name], definitions)}
    top = {key: value for key, value in schema.items() if key != "$defs"}
    result = _rewrite(top, definitions, recursive)
    kept: dict[str, Any] = {}
    wanted = _references(result)
    while wanted:
        name = min(wanted)
        kept[name] = _rewrite(definitions[name], definitions, recursive)
        wanted = (wanted | _references(kept[name])) - kept.keys()
    if kept:
        result["$defs"] = dict(sorted(kept.items()))
    return result


def subschemas(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the schemas that stand directly inside a schema."""
    found: list[Any] = [schema.get(key) for key in _SINGLE]
    for key in _BY_NAME:
        found += dict(schema.get(key, {})).values()
    for key in _LISTS:
        found += schema.get(key, [])
    return [cast("Mapping[str, Any]", inner) for inner in found if isinstance(inner, Mapping)]


def _rewrite(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], recursive: set[str]
) -> dict[str, Any]:
    name = str(schema.get("$ref", "")).removeprefix(_LOCAL)
    if name in definitions and name not in recursive:
        beside = {key: value for key, value in schema.items() if key not in ("$ref", "required")}
        whole = _requiring({**definitions[name], **beside}, schema.get("required", ()))
        return _rewrite(whole, definitions, recursive)
    if tag := schema.get("discriminator", {}).get("propertyName"):
        # Pydantic wants the tag even where it has a default.
        schema = {**schema, "oneOf": [_requiring(one, [tag]) for one in schema["oneOf"]]}

    def inner(value: Any) -> Any:
        # A schema may be a bare true or false.
        if not isinstance(value, Mapping):
            return value
        return _rewrite(cast("Mapping[str, Any]", value), definitions, recursive)

    result: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("title", "discriminator") or (key, value) in _NEEDLESS:
            continue
        if key in _BY_NAME:
            result[key] = {name: inner(one) for name, one in value.items()}
        elif key in _LISTS:
            result[key] = [inner(one) for one in value]
        elif key in _SINGLE:
            result[key] = inner(value)
        else:
            result.update([_TEXT if (key, value) == _BINARY else (key, value)])
    return result


def _requiring(schema: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    required = list(dict.fromkeys([*schema.get("required", ()), *names]))
    return {**schema, "required": required} if required else dict(schema)


def _references(schema: Mapping[str, Any]) -> set[str]:
    found = {name for inner in subschemas(schema) for name in _references(inner)}
    reference = str(schema.get("$ref", ""))
    if reference.startswith(_LOCAL):
        found.add(reference.removeprefix(_LOCAL))
    return found


def _reachable(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> set[str]:
    found: set[str] = set()
    wanted = _references(schema)
    while wanted:
        found |= wanted
        wanted = {name for one in wanted for name in _references(definitions.get(one, {}))} - found
    return found
