"""Arguments: from the text that the model wrote to keyword arguments, or to good advice.

In this order: the text is parsed, or read leniently; the values are checked against the schema,
strictly; what does not fit is mended where one reading is left, and checked again. Every repair is
reported, and what is used always fits the published schema.

An argument that the tool does not have is refused with a suggestion rather than ignored or renamed:
a misspelt option that is silently dropped gives a wrong result that the model cannot see.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import orjson
from pydantic_core import from_json, to_json

from agentkit.tool.advice import form, show
from agentkit.tool.base import REDACTED, ArgumentFault, Tool
from agentkit.tool.lenient import read
from agentkit.tool.mend import Repair, mend, unwrapped
from agentkit.tool.results import describe

_ROUNDS: Final = 4
"""Mending one level may show what is wrong a level deeper."""

_MATTERS: Final = ("left out", "closed")
"""Beginnings of the lenient reader's reports that the model should know of."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """A call's arguments after parsing, repair and validation.

    Attributes:
        given: JSON values as the log keeps them; they fit the tool's schema.
        keywords: what the function is called with.
        repairs: what was mended, in words.
        note: what of that the model should read with the result; mostly "".
    """

    given: Mapping[str, Any]
    keywords: dict[str, Any]
    repairs: tuple[str, ...] = ()
    note: str = ""

    def copied(self) -> dict[str, Any]:
        """Return keywords that a tool may change, and still be called again with the same."""
        return copy.deepcopy(self.keywords)


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
    except ArgumentFault as fault:
        given, keywords = _mended(tool, given, fault, repairs)
    return Arguments(
        _storable(given), keywords, tuple([one.text for one in repairs]), _note(repairs)
    )


def _mended(
    tool: Tool, given: dict[str, Any], fault: ArgumentFault, repairs: list[Repair]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return arguments that fit, and the keywords they become; or raise what is still wrong."""
    if taken := unwrapped(given, tool):
        given, repair = taken
        repairs.append(repair)
        try:
            return given, _validate(tool, given)
        except ArgumentFault as inner:
            fault = inner
    for _ in range(_ROUNDS):
        given, changed, done = mend(given, fault.problems, tool.parameters)
        if not changed:
            break
        repairs += done
        try:
            return given, _validate(tool, given)
        except ArgumentFault as deeper:
            fault = deeper
    raise fault


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


def parse(text: str, tool: Tool) -> tuple[dict[str, Any], list[Repair]]:
    """Return the JSON object that the model wrote and what had to be mended to read it.

    Raises:
        ArgumentFault: the text is no JSON object.
    """
    repairs: list[Repair] = []
    if not text or text.isspace():
        return {}, repairs
    try:
        value = from_json(text, allow_inf_nan=False)
    except (ValueError, TypeError) as error:  # half a surrogate pair is no text to the parser
        value = _read_leniently(text, error, tool, repairs)
    if isinstance(value, str):
        # Some servers encode the object twice.
        try:
            value = from_json(value, allow_inf_nan=False)
        except ValueError:
            pass
        else:
            repairs.append(Repair("arguments: decoded JSON that was written as a string"))
    if isinstance(value, list) and len(items := cast("list[Any]", value)) == 1:
        value = items[0]
        repairs.append(Repair("arguments: taken out of a list", matters=True))
    if value is None:
        return {}, repairs
    if not isinstance(value, dict):
        raise ArgumentFault(
            f"The arguments of {tool.name} have to be one JSON object, got "
            f"{show(value)}. {form(tool.parameters)}"
        )
    return cast("dict[str, Any]", value), repairs


def _read_leniently(text: str, error: Exception, tool: Tool, repairs: list[Repair]) -> Any:
    try:
        value, said = read(text)
        # What is let through here must not be what cannot be sent on.
        value = from_json(to_json(value), allow_inf_nan=False)
    except ValueError:
        reason = str(error)
    else:
        repairs += [Repair(f"arguments: {one}", one.startswith(_MATTERS)) for one in said]
        return value
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


def _note(repairs: list[Repair]) -> str:
    """Return what the model should know of the repairs, to ride at the end of the result."""
    said = [one.text for one in repairs if one.matters]
    return f"\n\n[The arguments were mended before use: {'; '.join(said)}]" if said else ""


def _storable(given: dict[str, Any]) -> dict[str, Any]:
    """Return arguments that the log can hold: integers beyond 64 bits become text.

    They share nothing with what the tool gets, which may change it.
    """
    try:
        return orjson.loads(orjson.dumps(given))
    except TypeError:
        return json.loads(json.dumps(given), parse_int=_parse_int)


def _parse_int(digits: str) -> int | str:
    value = int(digits)
    return value if -(2**63) <= value < 2**64 else digits
