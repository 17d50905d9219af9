"""Finding one's way in a JSON Schema: what it says of a place, and which types it allows there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

Path = tuple[str | int, ...]
"""Keys and indexes from the arguments to a place."""

Schema = Mapping[str, Any]

_DEEPEST: Final = 16
_TYPES: Final[Mapping[type, frozenset[str]]] = {
    bool: frozenset({"boolean"}),
    int: frozenset({"integer", "number"}),
    list: frozenset({"array"}),
    str: frozenset({"string"}),
    type(None): frozenset({"null"}),
}


def schema_at(schema: Schema, path: Path) -> Schema:
    """Return the schema of a place, {} when the schema does not say."""
    here = [schema]
    for step in path:
        here = [
            inner
            for one in here
            for branch in branches(one, schema)
            if (inner := _step(branch, step)) is not None
        ]
    return here[0] if len(here) == 1 else {"anyOf": here} if here else {}


def branches(schema: Schema, root: Schema, depth: int = _DEEPEST) -> list[Schema]:
    """Return the alternatives of a schema, with local references followed."""
    reference = str(schema.get("$ref", ""))
    if reference.startswith("#/") and depth:
        target = _target(root, reference)
        return branches(target, root, depth - 1) if target is not None else []
    inner = [
        cast("Schema", one)
        for word in ("anyOf", "oneOf", "allOf")
        for one in schema.get(word, ())
        if isinstance(one, Mapping) and depth
    ]
    if not inner:
        return [schema]
    # What stands beside the alternatives holds for each of them.
    beside = [schema] if "properties" in schema or "items" in schema else []
    return [*beside, *(branch for one in inner for branch in branches(one, root, depth - 1))]


def types_of(schema: Schema, root: Schema) -> set[str]:
    """Return the JSON types that a schema allows, as far as it says."""
    found: set[str] = set()
    for branch in branches(schema, root):
        said = branch.get("type", ())
        found |= {said} if isinstance(said, str) else set(said)
        if not said:
            found |= {kind for value in values_of(branch) for kind in types_of_value(value)}
    return found


def values_of(schema: Schema) -> Sequence[Any]:
    """Return the values that one alternative of a schema lists."""
    return [schema["const"]] if "const" in schema else schema.get("enum", ())


def types_of_value(value: Any) -> frozenset[str]:
    """Return the JSON types that a value belongs to: 2 and 2.0 are numbers and integers."""
    if isinstance(value, float):
        return frozenset({"number", "integer"} if value.is_integer() else {"number"})
    return _TYPES.get(cast("type[object]", type(value)), frozenset({"object"}))


def _target(root: Schema, reference: str) -> Schema | None:
    target: Any = root
    for key in reference.removeprefix("#/").split("/"):
        if not isinstance(target, Mapping):
            return None
        plain = key.replace("~1", "/").replace("~0", "~")
        target = cast("Schema", target).get(plain)
    return cast("Schema", target) if isinstance(target, Mapping) else None


def _step(schema: Schema, step: str | int) -> Schema | None:
    inner: Any = None
    if isinstance(step, int):
        items: Any = schema.get("items")
        # A tuple is prefixItems today and was a list of items up to draft 2019-09.
        prefix: Any = schema.get("prefixItems", ())
        first = cast("Sequence[Any]", items if isinstance(items, list) else prefix)
        inner = first[step] if step < len(first) else schema.get("items")
    else:
        inner = schema.get("properties", {}).get(step, schema.get("additionalProperties"))
    return cast("Schema", inner) if isinstance(inner, Mapping) else None
