"""Advice: what is wrong with a call and what is right, in words that a model can act on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final, cast

from pydantic_core import ErrorDetails, ValidationError, to_json

from agentkit.tool.base import ArgumentFault, Problem
from agentkit.tool.example import example
from agentkit.tool.shape import Path, Schema, branches, schema_at, types_of, values_of

_SHOWN_PROBLEMS: Final = 8
_SHOWN_VALUE: Final = 80
_SHOWN_EXAMPLE: Final = 400
_SHOWN_EXPECTED: Final = 600
_SHOWN_VALUES: Final = 20


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
    text = f"required, but missing ({words(wanted, schema)})"
    description = str(wanted.get("description", ""))
    return Problem(path, f"{text}: {description}" if description else text, "missing")


def extra(path: Path, schema: Schema, value: Any) -> Problem:
    """Return the problem of an argument that the tool does not have."""
    around = branches(schema_at(schema, path[:-1]), schema)
    names = [str(name) for one in around for name in one.get("properties", {})]
    text = "no such argument"
    if close := closest(str(path[-1]), names):
        text += f"; did you mean {close}?"
    else:
        text += f"; there are: {', '.join(names)}" if names else "; it takes none"
    return Problem(path, text, "extra", value)


def wrong(path: Path, expected: str, value: Any) -> Problem:
    """Return the problem of a value that does not fit."""
    if len(expected) > _SHOWN_EXPECTED:
        expected = f"{expected[:_SHOWN_EXPECTED]}..."
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
    properties = cast("Mapping[str, Schema]", schema.get("properties", {}))
    if not properties:
        return "It takes no arguments: {}" if schema.get("additionalProperties") is False else ""
    required = set(schema.get("required", ()))
    for wanted in ({*required, *faulty} & set(properties) or set(properties), required):
        made = {name: example(properties[name], schema) for name in properties if name in wanted}
        text = show(made, _SHOWN_EXAMPLE)
        if len(text) <= _SHOWN_EXAMPLE:
            break
    rest = [name for name in properties if name not in made]
    text = f"The right form is {text}"
    return f"{text} (optional: {', '.join(rest)})." if rest else f"{text}."


def words(schema: Schema, root: Schema) -> str:
    """Return a few words on what a schema allows."""
    values = [value for branch in branches(schema, root) for value in values_of(branch)]
    if not values:
        return " or ".join(sorted(types_of(schema, root))) or "any value"
    shown = ", ".join(map(show, values[:_SHOWN_VALUES]))
    more = f" and {len(values) - _SHOWN_VALUES} more" if len(values) > _SHOWN_VALUES else ""
    return f"one of {shown}{more}"


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
