"""Arguments: from the text that the model wrote to keyword arguments, or to good advice.

An argument that the tool does not have is refused with a suggestion rather than ignored: a
misspelt option that is silently dropped gives a wrong result that the model cannot see.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson
from pydantic_core import from_json, to_json

from agentkit.tool.advice import form, place, schema_at, show, types_of, types_of_value
from agentkit.tool.base import REDACTED, ArgumentFault, Problem, Tool
from agentkit.tool.results import describe

_NOTHING = object()  # null is a value


@dataclass(frozen=True, slots=True)
class Arguments:
    """A call's arguments after parsing, repair and validation.

    Attributes:
        given: JSON values as the log keeps them.
        keywords: what the function is called with.
        repairs: what was mended, in words.
    """

    given: Mapping[str, Any]
    keywords: dict[str, Any]
    repairs: tuple[str, ...] = ()


def bind(tool: Tool, text: str) -> Arguments:
    """Parse, repair and validate the arguments of one call.

    Args:
        tool: the tool that was called.
        text: what the model wrote; empty text stands for no arguments.

    Raises:
        ArgumentFault: and nothing else, whatever the text.
    """
    given, repairs = parse(text, tool)
    if lost := [name for name in tool.redact if given.get(name) == REDACTED]:
        raise ArgumentFault(
            f"Nothing was run: {', '.join(lost)} of {tool.name} was redacted from the log and is "
            "not known any more. Send the call again with the true value."
        )
    try:
        keywords = _validate(tool, given)
    except ArgumentFault as first:
        mended, done = mend(given, first.problems, tool.parameters)
        if not done:
            raise
        keywords = _validate(tool, mended)
        given, repairs = mended, (*repairs, *done)
    return Arguments(_storable(given), keywords, repairs)


def _validate(tool: Tool, given: dict[str, Any]) -> dict[str, Any]:
    try:
        return tool.validate(given)
    except ArgumentFault:
        raise
    except Exception as error:
        # A validator of the user's, or a foreign schema with a broken $ref or pattern.
        raise ArgumentFault(
            f"The arguments of {tool.name} could not be checked: {describe(error)}. Nothing was "
            f"run. {form(tool.parameters)}"
        ) from error


def parse(text: str, tool: Tool) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the JSON object that the model wrote and what had to be mended to read it.

    Raises:
        ArgumentFault: the text is no JSON object.
    """
    if not text.strip():
        return {}, ()
    repairs: tuple[str, ...] = ()
    try:
        value = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        value = _parse_leniently(text, error, tool)
        repairs = ("arguments: accepted raw control characters inside a string",)
    if isinstance(value, str):
        # Some servers encode the object twice.
        try:
            value = from_json(value, allow_inf_nan=False)
        except ValueError:
            pass
        else:
            repairs += ("arguments: decoded a JSON object that was written as a string",)
    if value is None:
        return {}, repairs
    if not isinstance(value, dict):
        raise ArgumentFault(
            f"The arguments of {tool.name} have to be one JSON object, got "
            f"{show(value)}. {form(tool.parameters)}"
        )
    return cast("dict[str, Any]", value), repairs


def _parse_leniently(text: str, error: ValueError, tool: Tool) -> Any:
    try:
        value = json.loads(text, strict=False)
        # A parser that lets more through must not let through what cannot be sent on: NaN, half
        # a surrogate pair, endless nesting.
        return from_json(to_json(value), allow_inf_nan=False)
    except (ValueError, RecursionError):
        reason = str(error)
    if reason.startswith("EOF"):
        what = (
            f"The arguments of {tool.name} stop in the middle ({reason}); they end with "
            f"{text[-40:]!r}. Nothing was run. Send the whole call again, in smaller pieces "
            "if it is long."
        )
    else:
        what = (
            f"The arguments of {tool.name} are no valid JSON: {reason}, near "
            f"{_near(text, reason)!r}. Nothing was run. Send the call again with the JSON mended."
        )
    raise ArgumentFault(f"{what} {form(tool.parameters)}") from None


def _near(text: str, reason: str) -> str:
    """Return the text around the "line L column C" that a parser's message ends with."""
    words = reason.split()
    lines = text.split("\n")
    if len(words) < 4 or not (words[-1].isdigit() and words[-3].isdigit()):
        return text[:40]
    line = lines[min(int(words[-3]), len(lines)) - 1]
    # The parser counts bytes; for a hint to the eye that is near enough.
    column = min(int(words[-1]), len(line))
    return line[max(0, column - 20) : column + 20]


def mend(
    given: Mapping[str, Any], problems: Sequence[Problem], schema: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the arguments with harmless slips undone, and what was done.

    A JSON text where the schema wants no string is decoded; null for an optional argument that
    takes no null is left out. Nothing is guessed.
    """
    mended = from_json(to_json(given))  # a deep copy that deep nesting cannot break
    done: list[str] = []
    for problem in problems:
        if problem.kind != "wrong" or not problem.path:
            continue
        *parents, key = problem.path
        holder: Any = mended
        for step in parents:
            holder = holder[step]
        value = holder[key]
        if value is None and isinstance(key, str):
            if key not in schema_at(schema, tuple(parents)).get("required", ()):
                del holder[key]
                done.append(f"{place(problem.path)}: left out null for an optional argument")
        elif isinstance(value, str):
            decoded = _decoded(value, types_of(schema_at(schema, problem.path), schema))
            if decoded is not _NOTHING:
                holder[key] = decoded
                done.append(f"{place(problem.path)}: decoded JSON that was written as a string")
    return mended, tuple(done)


def _decoded(text: str, types: set[str]) -> Any:
    """Return the value of a JSON text when its type is wanted and a string is not."""
    if not types or "string" in types:
        return _NOTHING
    try:
        value = from_json(text, allow_inf_nan=False)
    except ValueError:
        return _NOTHING
    return value if types_of_value(value) & types else _NOTHING


def _storable(given: dict[str, Any]) -> dict[str, Any]:
    """Return arguments that the log can hold: integers beyond 64 bits become text."""
    try:
        orjson.dumps(given)
    except TypeError:
        return json.loads(json.dumps(given), parse_int=_parse_int)
    return given


def _parse_int(digits: str) -> int | str:
    value = int(digits)
    return value if -(2**63) <= value < 2**64 else digits
