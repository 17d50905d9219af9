"""Elicitation on a terminal: what an MCP server asks the user, field by field."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import click

from agentkit.mcp import Elicit, Elicitation

_TYPES: Mapping[str, Any] = {"boolean": click.BOOL, "integer": click.INT, "number": click.FLOAT}


def terminal_elicit(
    hidden: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Elicit | None:
    """Return what asks the person at the terminal; None where there is none: servers are declined.

    Args:
        hidden: leaves the terminal to the questions while it is entered.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None

    async def ask(question: Elicitation) -> Mapping[str, Any] | None:
        with hidden():
            return _ask(question)

    return ask


def _ask(question: Elicitation) -> Mapping[str, Any] | None:
    # The server's words are untrusted: no control characters, and its name beside them.
    click.secho(f"\nThe MCP server {question.server!r} asks:", fg="yellow", bold=True, err=True)
    click.echo(_plain(question.message), err=True)
    if question.url is not None:
        click.echo(_plain(question.url), err=True)
        return {} if click.confirm("Have you done it there", err=True) else None
    if not click.confirm("Answer", default=True, err=True):
        return None
    required = question.schema.get("required", ())
    fields: Mapping[str, Any] = question.schema.get("properties", {})
    answers = {name: _field(name, one, required=name in required) for name, one in fields.items()}
    return {name: value for name, value in answers.items() if value is not None}


def _field(name: str, schema: Mapping[str, Any], *, required: bool) -> Any:
    """Ask for one field until the answer fits; None for an optional one that is left empty."""
    label = _plain(schema.get("description") or schema.get("title") or name)
    kind = _TYPES.get(schema.get("type", ""), click.STRING)
    if values := schema.get("enum"):
        kind = click.Choice([str(value) for value in values])
        label += f" ({', '.join(map(_plain, values))})"

    def taken(text: Any) -> Any:
        if text == "" and not required:
            return None
        if schema.get("type") == "array" and isinstance(text, str):
            return [part.strip() for part in text.split(",")]
        return kind.convert(text, None, None)

    default = schema.get("default", None if required else "")
    return click.prompt(label, default=default, value_proc=taken, err=True)


def _plain(text: object) -> str:
    words = click.unstyle(str(text))
    return "".join(letter for letter in words if letter.isprintable() or letter == "\n")
