"""Approval on a terminal: the question, and the keys that answer it."""

from __future__ import annotations

import sys

import click
import orjson

from agentkit.cli.live import View
from agentkit.tool import Answer, Approver, Question

_CHOICES = "[y]es, [n]o, [a]lways this tool, [d]eny always, [l]ater"
_LONGEST = 2000


def terminal_approver(view: View) -> Approver | None:
    """Return what asks the person at the terminal; None where there is none, so runs pause."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None

    def ask(question: Question) -> Answer | None:
        with view.hidden():
            return _ask(question)

    return ask


def _ask(question: Question) -> Answer | None:
    arguments = orjson.dumps(question.arguments, default=str, option=orjson.OPT_INDENT_2).decode()
    if len(arguments) > _LONGEST:
        arguments = f"{arguments[:_LONGEST]}... ({len(arguments)} characters)"
    why = f" ({question.reason})" if question.reason else ""
    click.secho(f"\nAllow {question.tool}{why}?", fg="yellow", bold=True, err=True)
    click.echo(click.unstyle(arguments), err=True)
    while True:
        said = click.prompt(_CHOICES, default="n", err=True).strip().lower()
        match said[:1]:
            case "y" | "a":
                return Answer(approved=True, remember=said[0] == "a")
            case "n" | "d":
                reason = click.prompt("Why not", default="", show_default=False, err=True)
                return Answer(approved=False, reason=reason, remember=said[0] == "d")
            case "l":
                return None
            case _:
                click.echo("Answer y, n, a, d or l.", err=True)
