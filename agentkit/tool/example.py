"""Examples: a value that a JSON Schema accepts, to show a model the right form."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from agentkit.tool.shape import Schema, branches, values_of

_DEPTH: Final = 4
_FILLER: Final = "..."
_MOST_ITEMS: Final = 8
_FORMATS: Final[Mapping[str, str]] = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "duration": "PT1H30M",
    "email": "name@example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "time": "12:00:00",
    "uri": "https://example.com/",
    "uuid": "12345678-1234-5678-1234-567812345678",
}


def example(schema: Schema, root: Schema, depth: int = _DEPTH) -> Any:
    """Return a value that a schema accepts; of a pattern it knows nothing.

    A default and the first of the listed values come before anything made up.
    """
    # A default may stand beside the reference or the alternatives that describe it.
    found = [schema, *(one for one in branches(schema, root) if one is not schema)]
    listed = [value for one in found for value in _listed(one)]
    if listed:
        return listed[0]
    typed = [one for one in found if one.get("type") or "properties" in one]
    branch = typed[0] if typed else schema
    said = branch.get("type", "object" if "properties" in branch else "string")
    kind = said if isinstance(said, str) else next(iter(said))
    match kind:
        case "object":
            return _object(branch, root, depth)
        case "array":
            return _array(branch, root, depth)
        case "integer" | "number":
            return _number(branch, whole=kind == "integer")
        case _:
            return _text(branch) if kind == "string" else {"boolean": True}.get(kind)


def _listed(schema: Schema) -> Sequence[Any]:
    """Return values that a schema names itself, the best first."""
    default = schema.get("default")
    first = [] if default in (None, "", [], {}) else [default]
    return [*first, *values_of(schema), *schema.get("examples", ())]


def _object(schema: Schema, root: Schema, depth: int) -> dict[str, Any]:
    properties = cast("Mapping[str, Schema]", schema.get("properties", {}))
    names = [name for name in schema.get("required", ()) if name in properties]
    if not depth:
        return {}
    made = {name: example(properties[name], root, depth - 1) for name in names}
    values: Any = schema.get("additionalProperties")
    if not properties and isinstance(values, Mapping) and schema.get("maxProperties") != 0:
        least = max(int(schema.get("minProperties", 1)), 1)
        for name in _names(schema)[:least]:
            made[name] = example(cast("Schema", values), root, depth - 1)
    return made


def _names(schema: Schema) -> Sequence[str]:
    """Return names for the members of an object that may have any."""
    said = cast("Schema", schema.get("propertyNames", {}))
    if listed := said.get("enum"):
        return [str(one) for one in listed]
    numbers = [str(one) for one in range(1, _MOST_ITEMS + 1)]
    return numbers if "pattern" in said else [f"name_{one}" for one in numbers]


def _array(schema: Schema, root: Schema, depth: int) -> list[Any]:
    least = int(schema.get("minItems", 0))
    items: Any = schema.get("items")
    # A tuple is prefixItems today and was a list of items up to draft 2019-09.
    first = cast(
        "list[Schema]", items if isinstance(items, list) else schema.get("prefixItems", [])
    )
    if not depth or schema.get("maxItems") == 0:
        return []
    made = [example(one, root, depth - 1) for one in first]
    if not first and isinstance(items, Mapping):
        made = [example(cast("Schema", items), root, depth - 1)]
        made *= min(max(least, 1), _MOST_ITEMS)
        if schema.get("uniqueItems"):
            made = _different(made, cast("Schema", items), root)
    return made


def _different(made: list[Any], items: Schema, root: Schema) -> list[Any]:
    listed = [value for one in branches(items, root) for value in values_of(one)]
    if listed:
        return listed[: len(made)]
    return [
        one + index if isinstance(one, int | float) else f"{one}{index or ''}"
        for index, one in enumerate(made)
    ]


def _number(schema: Schema, *, whole: bool) -> int | float:
    step = schema.get("multipleOf", 1 if whole else 0)
    lowest = _bound(schema, "minimum", "exclusiveMinimum", step or 0.5)
    highest = _bound(schema, "maximum", "exclusiveMaximum", -(step or 0.5))
    value: float = step or 1
    if lowest is not None and value < lowest:
        value = math.ceil(lowest / step) * step if step else lowest
    if highest is not None and value > highest:
        value = math.floor(highest / step) * step if step else highest
        if not step and lowest is not None:
            value = (lowest + highest) / 2
    return int(value) if whole or value == int(value) else value


def _bound(schema: Schema, including: str, excluding: str, step: float) -> float | None:
    """Return the limit that counts; an excluded one is moved by a step."""
    if (value := schema.get(including)) is not None and not isinstance(value, bool):
        return value
    if (value := schema.get(excluding)) is not None and not isinstance(value, bool):
        return value + step
    return None


def _text(schema: Schema) -> str:
    text = _FORMATS.get(str(schema.get("format", "")), _FILLER)
    least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
    if len(text) < least:
        text += "." * (least - len(text))
    return text if most is None else text[: int(most)]
