"""Advice: what is wrong with a call and what is right, in words that a model can act on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, cast

from pydantic_core import ErrorDetails, ValidationError, to_json

from agentkit.tool.base import ArgumentFault, Problem

_SHOWN_PROBLEMS = 8
_SHOWN_VALUE = 80

_TYPES: Mapping[type, str] = {
    bool: "boolean",
    int: "integer",
    list: "array",
    str: "string",
    type(None): "null",
}

_EXAMPLES: Mapping[str, Any] = {"array": [], "boolean": True, "null": None, "object": {}}

Path = tuple[str | int, ...]
Schema = Mapping[str, Any]


def fault(tool_name: str, problems: Iterable[Problem], schema: Schema) -> ArgumentFault:
    """Return the fault that tells the model all problems at once, and the right form."""
    found = tuple(problems)
    lines = [f"- {place(problem.path)}: {problem.text}" for problem in found[:_SHOWN_PROBLEMS]]
    if len(found) > _SHOWN_PROBLEMS:
        lines.append(f"- and {len(found) - _SHOWN_PROBLEMS} more")
    head = f"The arguments of {tool_name} do not fit; nothing was run."
    faulty = {str(problem.path[0]) for problem in found if problem.path}
    return ArgumentFault("\n".join([head, *lines, form(schema, faulty)]), found)


def missing(path: Path, schema: Schema) -> Problem:
    """Return the problem of a required argument that is not there."""
    wanted = schema_at(schema, path)
    text = f"required, but missing ({_words(wanted, schema)})"
    description = str(wanted.get("description", ""))
    return Problem(path, f"{text}: {description}" if description else text, "missing")


def extra(path: Path, schema: Schema, value: Any) -> Problem:
    """Return the problem of an argument that the tool does not have."""
    names = list(schema_at(schema, path[:-1]).get("properties", {}))
    text = "no such argument"
    if close := closest(str(path[-1]), names):
        text += f"; did you mean {close}?"
    else:
        text += f"; there are: {', '.join(names)}" if names else "; it takes none"
    return Problem(path, text, "extra", value)


def wrong(path: Path, expected: str, value: Any) -> Problem:
    """Return the problem of a value that does not fit."""
    return Problem(path, f"{expected}, got {show(value)}", "wrong", value)


def pydantic_problems(
    error: ValidationError, given: Mapping[str, Any], schema: Schema
) -> list[Problem]:
    """Return pydantic's errors as problems, one for each place."""
    places: dict[Path, list[ErrorDetails]] = {}
    for one in error.errors(include_url=False, include_context=False):
        # Beyond the last step that exists in the data, loc names branches of a union.
        path = _walk(one["loc"], given)
        if one["type"] == "missing" and len(path) < len(one["loc"]):
            path = (*path, one["loc"][-1])
        places.setdefault(path, []).append(one)
    problems: list[Problem] = []
    for path, errors in places.items():
        first = errors[0]
        if first["type"] == "missing":
            problems.append(missing(path, schema))
        elif all(one["type"] == "extra_forbidden" for one in errors):
            problems.append(extra(path, schema, first["input"]))
        else:
            expected = dict.fromkeys(_expected(one["msg"]) for one in errors)
            problems.append(wrong(path, ", or ".join(expected), first["input"]))
    return problems


def closest(name: str, names: Iterable[str]) -> str | None:
    """Return the name that was probably meant, or None."""
    plain = {_plain(one): one for one in names}
    found = difflib.get_close_matches(_plain(name), plain, 1, 0.6)
    return plain[found[0]] if found else None


def show(value: Any, limit: int = _SHOWN_VALUE) -> str:
    """Return a value as JSON of at most about `limit` characters."""
    try:
        text = to_json(value).decode()
    except ValueError:
        text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def place(path: Path) -> str:
    """Return a path as Python would write it: filters[0].name."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".") or "arguments"


def form(schema: Schema, faulty: AbstractSet[str] = frozenset()) -> str:
    """Return an example of the right arguments: the required and the faulty ones, or all."""
    properties = cast("dict[str, Schema]", schema.get("properties", {}))
    wanted = [name for name in properties if name in {*schema.get("required", ()), *faulty}]
    if not properties:
        return "It takes no arguments: {}" if schema.get("additionalProperties") is False else ""
    example = {name: _example(properties[name], schema, 3) for name in wanted or properties}
    rest = [name for name in properties if name not in example]
    text = f"The right form is {show(example, 400)}"
    return f"{text} (optional: {', '.join(rest)})." if rest else f"{text}."


def schema_at(schema: Schema, path: Path) -> Schema:
    """Return the schema of a place, {} when the schema does not say."""
    here = [schema]
    for step in path:
        here = [
            inner
            for one in here
            for branch in _branches(one, schema)
            if (inner := _step(branch, step)) is not None
        ]
    return here[0] if here else {}


def types_of(schema: Schema, root: Schema) -> set[str]:
    """Return the JSON types that a schema allows, as far as it says."""
    found: set[str] = set()
    for branch in _branches(schema, root):
        said = branch.get("type", ())
        found |= {said} if isinstance(said, str) else set(said)
        values = [branch["const"]] if "const" in branch else branch.get("enum", ())
        for value in values:
            found |= types_of_value(value)
    # Every integer is a number too.
    return found | {"integer"} if "number" in found else found


def types_of_value(value: Any) -> set[str]:
    """Return the JSON types that a value belongs to: 2.0 is a number and an integer."""
    if isinstance(value, float):
        return {"number", "integer"} if value.is_integer() else {"number"}
    return {_TYPES.get(cast("type[object]", type(value)), "object")}


def _branches(schema: Schema, root: Schema) -> list[Schema]:
    """Return the alternatives of a schema, with local references followed."""
    reference = str(schema.get("$ref", ""))
    if reference.startswith("#/"):
        target: Any = root
        for key in reference.removeprefix("#/").split("/"):
            target = target.get(key, {})
        return _branches(target, root) if target is not schema else []
    alternatives = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    if not alternatives:
        return [schema]
    return [branch for one in alternatives for branch in _branches(one, root)]


def _step(schema: Schema, step: str | int) -> Schema | None:
    if isinstance(step, int):
        prefix = schema.get("prefixItems", ())
        inner = prefix[step] if step < len(prefix) else schema.get("items")
    else:
        inner = schema.get("properties", {}).get(step, schema.get("additionalProperties"))
    return cast("Schema", inner) if isinstance(inner, Mapping) else None


def _example(schema: Schema, root: Schema, depth: int) -> Any:
    """Return a value that shows the shape; it need not satisfy patterns and formats."""
    branch = next(iter(_branches(schema, root)), schema)
    for key in ("default", "const"):
        if key in branch:
            return branch[key]
    for key in ("enum", "examples"):
        if branch.get(key):
            return branch[key][0]
    kind = min(types_of(branch, root), default="string")
    if kind == "object" and depth:
        properties = cast("dict[str, Schema]", branch.get("properties", {}))
        names = [name for name in branch.get("required", ()) if name in properties]
        return {name: _example(properties[name], root, depth - 1) for name in names}
    if kind == "array" and depth and isinstance(branch.get("items"), Mapping):
        return [_example(branch["items"], root, depth - 1)]
    if kind in ("integer", "number"):
        return branch.get("minimum", 1)
    return _EXAMPLES.get(kind, branch.get("format", "..."))


def _words(schema: Schema, root: Schema) -> str:
    """Return a few words on what a schema allows."""
    values = [value for branch in _branches(schema, root) for value in branch.get("enum", ())]
    if values:
        return f"one of {', '.join(map(show, values))}"
    return " or ".join(sorted(types_of(schema, root))) or "any value"


def _walk(steps: Path, given: Any) -> Path:
    path: list[str | int] = []
    for step in steps:
        if isinstance(given, dict) and step in given:
            given = cast("dict[Any, Any]", given)[step]
        elif isinstance(given, list) and isinstance(step, int):
            given = cast("list[Any]", given)[step]
        else:
            continue
        path.append(step)
    return tuple(path)


def _expected(message: str) -> str:
    for opening in ("Input should be ", "Value should be "):
        if message.startswith(opening):
            return f"expected {message.removeprefix(opening)}"
    return message[:1].lower() + message[1:]


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
