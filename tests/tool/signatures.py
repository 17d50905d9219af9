"""Strategies: any function signature, and arguments that fit its schema or nearly do."""

from __future__ import annotations

import dataclasses
import itertools
import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NotRequired
from uuid import UUID

from hypothesis import strategies as st
from jsonschema import FormatChecker
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from typing_extensions import TypedDict

from agentkit.tool import tool

_numbers = itertools.count()


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 3


class Node(BaseModel):
    title: str
    children: list[Node] = []


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: Annotated[int, Field(ge=0, le=9)]


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    name: str = "Rex"


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


def _bounded(kind, names, low, high):
    """Return annotated types with one or two bounds from low to high."""

    def make(drawn):
        bounds = dict(zip(names, sorted(drawn[:2]), strict=True))
        return Annotated[kind, Field(**{name: bounds[name] for name in drawn[2]})]

    whole = st.integers(low, high)
    return st.tuples(whole, whole, st.sampled_from([names, names[:1], names[1:]])).map(make)


plain = st.sampled_from(
    (
        *(int, float, str, bool, None, Any, bytes, Path, UUID, date, datetime, time, timedelta),
        *(Decimal, Colour, Level, Literal["a", "B"], Literal[1, "x"], Literal[True]),
    )
)
constrained = st.one_of(
    _bounded(int, ("ge", "le"), -3, 3),
    _bounded(int, ("gt", "lt"), -3, 3),
    _bounded(float, ("ge", "lt"), -3, 3),
    _bounded(str, ("min_length", "max_length"), 0, 4),
    _bounded(list[int], ("min_length", "max_length"), 0, 3),
    _bounded(dict[str, int], ("min_length", "max_length"), 0, 2),
    st.just(Annotated[int, Field(multiple_of=3)]),
    st.just(Annotated[str, Field(pattern="^a+$")]),
)
whole = st.sampled_from(
    (
        *(Node, Pet, Cat, set[int], frozenset[str], set[Literal["a", "b"]], dict[int, str]),
        *(dict[Literal["a", "b"], int], dict[Colour, int], tuple[int, str], tuple[str, ...]),
    )
)


def _fields(inner):
    return st.lists(st.tuples(inner, st.booleans()), min_size=1, max_size=3)


def _model(fields):
    extra = [None, None, "ignore", "forbid", "allow"][next(_numbers) % 5]
    return create_model(
        f"Model{next(_numbers)}",
        __config__=ConfigDict(extra=extra) if extra else None,
        **{f"f{at}": (hint, ... if need else None) for at, (hint, need) in enumerate(fields)},
    )


def _dataclass(fields):
    ordered = sorted(fields, key=lambda pair: not pair[1])
    return dataclasses.make_dataclass(
        f"Data{next(_numbers)}",
        [
            (f"f{at}", hint) if need else (f"f{at}", hint, dataclasses.field(default=None))
            for at, (hint, need) in enumerate(ordered)
        ],
    )


def _typed_dict(fields):
    shape = {
        f"f{at}": hint if need else NotRequired[hint] for at, (hint, need) in enumerate(fields)
    }
    return TypedDict(f"Typed{next(_numbers)}", shape)


def _named_tuple(fields):
    return NamedTuple(
        f"Named{next(_numbers)}", [(f"f{at}", one[0]) for at, one in enumerate(fields)]
    )


hints = st.recursive(
    plain | constrained | whole,
    lambda inner: st.one_of(
        inner.map(lambda one: list[one]),
        inner.map(lambda one: dict[str, one]),
        inner.map(lambda one: one | None if one is not None else one),
        st.tuples(inner, inner).map(lambda pair: pair[0] | pair[1] if all(pair) else Any),
        st.tuples(inner, inner).map(lambda pair: tuple[pair]),
        _fields(inner).map(_model),
        _fields(inner).map(_dataclass),
        _fields(inner).map(_typed_dict),
        _fields(inner).map(_named_tuple),
    ),
    max_leaves=5,
)
signatures = st.lists(
    st.tuples(plain | constrained | whole | hints, st.booleans()), min_size=1, max_size=2
)


def function_of(parameters):
    """Return a tool whose parameters p0, p1, ... have the hints; True makes one required."""
    hints = [hint for hint, _ in parameters]
    head = ", ".join(
        f"p{at}: hints[{at}]" + ("" if need else " = None")
        for at, (_, need) in enumerate(parameters)
    )
    scope = {"hints": hints}
    exec(f"def f(*, {head}): ..." if head else "def f(): ...", scope)
    return tool(scope["f"])


junk = st.sampled_from(
    (
        *(None, True, False, 0, 1, 2, 1.0, 2.5, "", "a", "A", "red", "RED", "1", "2.0", "true"),
        *("[1]", '{"a": 1}', "None", [], [1], ["a"], {}, {"a": 1}, {"title": "t"}),
    )
)
_formats = {
    "date": ["2026-01-31", "2026-02-30"],
    "date-time": ["2026-01-31T12:00:00Z", "2026-01-31"],
    "time": ["12:00:00", "25:00"],
    "duration": ["PT1H", "P1Y1", "1"],
    "uuid": ["12345678-1234-5678-1234-567812345678", "1234"],
    "decimal": ["1.50", "-1e5", "one"],
}


def fitting(schema, root):
    """Values that fit a schema; half of them have one slip."""
    return _fitting(schema, root, 4).flatmap(lambda value: st.just(value) | slips(value))


@st.composite
def slips(draw, value):
    """A value with one thing in it changed: as models slip, or to the nearest wrong one."""
    if isinstance(value, dict) and value and draw(st.integers(0, 3)):
        key = draw(st.sampled_from(sorted(value)))
        changed = draw(slips(value[key]))
        return draw(
            st.sampled_from(
                [{**value, key: changed}] * 3
                + [{name: one for name, one in value.items() if name != key}]
                + [{**value, f"{key}_": changed}, {**value, key.upper(): changed}]
            )
        )
    if isinstance(value, list) and value and draw(st.integers(0, 2)):
        at = draw(st.integers(0, len(value) - 1))
        changed = draw(slips(value[at]))
        return draw(
            st.sampled_from(
                [[*value[:at], changed, *value[at + 1 :]]] * 2
                + [value[1:], [*value, value[at]], [*value, changed]]
            )
        )
    match value:
        case bool():
            near = [int(value), str(value), str(value).lower()]
        case int() | float():
            near = [str(value), float(value), value + 1, value - 1, -value, value + 0.5, True]
        case str():
            near = [value.upper(), value + "a", value[1:], [value], json.dumps(value)]
        case None:
            near = ["null", "None", ""]
        case _:
            near = [json.dumps(value), [value]]
    return draw(st.sampled_from(near) | junk)


@st.composite
def _fitting(draw, schema, root, depth):  # noqa: C901, PLR0911 - one case for each type
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        return draw(_fitting(root["$defs"][name], root, depth))
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return draw(_fitting(draw(st.sampled_from(schema[word])), root, depth))
    if "const" in schema or "enum" in schema:
        return draw(st.sampled_from(schema.get("enum") or [schema["const"]]))
    match schema.get("type"):
        case "object":
            return draw(_objects(schema, root, depth))
        case "array":
            return draw(_arrays(schema, root, depth))
        case "integer" | "number":
            bounds = [value for key, value in schema.items() if key.lower().endswith("imum")]
            step = schema.get("multipleOf", 1)
            near = [bound + step for bound in bounds or [0] for step in (-1, 0, 1)]
            return draw(st.sampled_from(near)) * step
        case "string":
            text = "a" * draw(st.integers(schema.get("minLength", 0), schema.get("maxLength", 5)))
            return draw(st.sampled_from(_formats.get(schema.get("format"), [text])))
        case "boolean":
            return draw(st.booleans())
        case "null":
            return None
        case _:
            return draw(junk)


@st.composite
def _objects(draw, schema, root, depth):
    properties = schema.get("properties", {})
    required = schema.get("required", [])
    made = {
        name: draw(_fitting(one, root, depth - 1))
        for name, one in properties.items()
        if name in required or (depth > 0 and draw(st.booleans()))
    }
    rest = schema.get("additionalProperties")
    if isinstance(rest, dict) and depth > 0:
        listed = schema.get("propertyNames", {}).get("enum")
        names = st.sampled_from(listed or ["1", "-2", "a"])
        least = schema.get("minProperties", 0)
        for name in draw(st.lists(names, min_size=least, max_size=least + 1, unique=True)):
            made[name] = draw(_fitting(rest, root, depth - 1))
    return made


@st.composite
def _arrays(draw, schema, root, depth):
    items = schema.get("prefixItems")
    if items is None:
        least = schema.get("minItems", 0)
        count = draw(st.integers(least, schema.get("maxItems", least + 2))) if depth > 0 else least
        items = [schema.get("items", {})] * count
    return [draw(_fitting(one, root, depth - 1)) for one in items]


def _is(hint):
    adapter = TypeAdapter(hint)

    def check(value):
        if isinstance(value, str):
            try:
                adapter.validate_json(f'"{value}"', strict=True)
            except ValidationError:
                return False
        return True

    return check


# A format says which texts are meant, and pydantic reads them; what it reads defines it here.
FORMATS = FormatChecker(())
for _name, _hint in {
    "date": date,
    "date-time": datetime,
    "time": time,
    "duration": timedelta,
    "uuid": UUID,
    "decimal": Decimal,
}.items():
    FORMATS.checks(_name)(_is(_hint))
