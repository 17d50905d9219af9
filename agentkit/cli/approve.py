"""Approval on a terminal: the question, and the keys that answer it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import click
import orjson

from agentkit.cli.lines import Lines, question_lines
from agentkit.cli.live import View
from agentkit.tool import Answer, Approver, Question

_CHOICES = "[y]es, [n]o, [a]lways this tool, [d]eny always, [l]ater: "
_LONGEST = 2000


def terminal_approver(view: View) -> Approver | None:
    """Return what asks the person at the terminal; None where there is none, so runs pause."""
    lines = question_lines()
    return None if lines is None else person_approver(view, lines)


def person_approver(view: View, lines: Lines) -> Callable[[Question], Awaitable[Answer | None]]:
    """Return what asks a person, one question at a time; a question at which the input ends waits.

    It raises `Cancelled` where `lines` do.
    """
    one_at_a_time = asyncio.Lock()  # sub-agents ask, too

    async def ask(question: Question) -> Answer | None:
        async with one_at_a_time:
            with view.hidden():
                _put(question)
                return await _answered(lines)

    return ask


def _put(question: Question) -> None:
    arguments = orjson.dumps(question.arguments, default=str, option=orjson.OPT_INDENT_2).decode()
    if len(arguments) > _LONGEST:
        arguments = f"{arguments[:_LONGEST]}... ({len(arguments)} characters)"
    why = f" ({question.reason})" if question.reason else ""
    click.secho(f"\nAllow {question.tool}{why}?", fg="yellow", bold=True, err=True)
    click.echo(click.unstyle(arguments), err=True)


async def _answered(lines: Lines) -> Answer | None:
    while (said := await lines.ask(_CHOICES)) is not None:
        match said.strip().lower()[:1]:
            case "y" | "a" as key:
                return Answer(approved=True, remember=key == "a")
            case "n" | "d" as key:
                reason = await lines.ask("Why not: ")
                return Answer(approved=False, reason=reason or "", remember=key == "d")
            case "l":
                return None
            case _:
                click.echo("Answer y, n, a, d or l.", err=True)
    return None
