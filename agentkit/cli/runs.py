"""`agentkit runs`: what is in the log, one run event by event, a live tail, and pruning."""

from __future__ import annotations

import asyncio
import re
import sys
from datetime import timedelta
from typing import Any

import click
import orjson

from agentkit.cli.stored import with_store
from agentkit.errors import RunNotFound
from agentkit.events import (
    ApprovalAnswered,
    ApprovalAsked,
    Body,
    Event,
    Noted,
    Reminder,
    Replied,
    RunFailed,
    RunFinished,
    RunInterrupted,
    RunPaused,
    RunResumed,
    RunStarted,
    ToolFinished,
    ToolStarted,
    UserMessage,
    dump_line,
)
from agentkit.messages import plain_text
from agentkit.store import RunSummary, Store

_STATES = {
    "run_finished": "finished",
    "run_failed": "failed",
    "run_interrupted": "interrupted",
    "run_paused": "paused",
}
_NONE = "There are no runs yet. `agentkit demo` makes one, without a key."
_POLL_SECONDS = 0.3
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@click.group()
def runs() -> None:
    """Look at stored runs, follow one, delete old ones."""


@runs.command("list")
@click.option(
    "-n", "--limit", type=click.IntRange(1), default=20, help="How many.", show_default=True
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each run.")
def list_(*, limit: int, as_json: bool) -> None:
    """List the latest runs, newest first."""
    found = with_store(lambda store: store.runs(limit))
    if not found:
        click.echo(_NONE, err=True)
    for run in _grouped(found):
        if as_json:
            click.echo(orjson.dumps(run).decode())
            continue
        state = _STATES.get(run.last_kind, "unfinished")
        agent = f"  ↳ {run.agent}" if run.parent_run else run.agent
        when = run.started_at[:16].replace("T", " ")
        line = f"{run.run_id}  {when}  {run.events:>5}  {state:<11}  {agent}: {run.task[:60]}"
        click.echo(_printable(line))


def _grouped(found: list[RunSummary]) -> list[RunSummary]:
    """Return runs with those of sub-agents below the run that they serve, where that is listed."""
    listed = {run.run_id for run in found}
    below: dict[str | None, list[RunSummary]] = {}
    for run in found:
        parent = run.parent_run if run.parent_run in listed else None
        below.setdefault(parent, []).append(run)

    def walk(parent: str | None) -> list[RunSummary]:
        return [one for run in below.pop(parent, ()) for one in (run, *walk(run.run_id))]

    return walk(None)


@runs.command()
@click.argument("run_id", metavar="RUN")
@click.option("--json", "as_json", is_flag=True, help="Print the events as JSON lines.")
def show(*, run_id: str, as_json: bool) -> None:
    """Print the events of RUN, one line each.

    RUN is an id or the beginning of one.
    """
    with_store(lambda store: _follow(store, run_id, as_json=as_json, follow=False))


@runs.command()
@click.argument("run_id", metavar="[RUN]", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends, or Ctrl-C.")
@click.option(
    "-n", "--lines", type=click.IntRange(0), default=10, help="How many events.", show_default=True
)
@click.option("--json", "as_json", is_flag=True, help="Print the events as JSON lines.")
def tail(*, run_id: str | None, follow: bool, lines: int, as_json: bool) -> None:
    """Print the last events of RUN, by default of the latest run.

    With -f what comes is printed, too.
    """
    with_store(lambda store: _follow(store, run_id, as_json=as_json, follow=follow, lines=lines))


@runs.command("prune")
@click.option("--older-than", metavar="AGE", help="Such as 30d, 12h, 2w: by the last event.")
@click.option("--keep", type=click.IntRange(0), help="So many of the newest stay, whatever age.")
@click.option("--dry-run", is_flag=True, help="Delete nothing, say what would go.")
def prune_(*, older_than: str | None, keep: int | None, dry_run: bool) -> None:
    """Delete old runs and the blobs that nothing names any more.

    Sub-agents' runs go with the run they served. Runs that somebody works on stay.
    """
    if older_than is None and keep is None:
        raise click.UsageError("Say what may go: --older-than 30d, --keep 100, or both.")
    age = _age(older_than) if older_than is not None else None
    from agentkit.store import prune

    pruned = with_store(lambda store: prune(store, older_than=age, keep=keep or 0, dry_run=dry_run))
    for run in pruned.runs:
        line = f"{run.run_id}  {run.started_at[:16].replace('T', ' ')}  {run.task[:60]}"
        click.echo(_printable(line))
    verb = "would be deleted" if dry_run else "deleted"
    freed = "" if dry_run else f", {pruned.bytes:,} bytes of blobs freed"
    click.echo(f"{len(pruned.runs)} runs {verb}{freed}", err=True)


def _age(text: str) -> timedelta:
    found = re.fullmatch(r"(\d+)([mhdw])", text)
    if not found:
        raise click.UsageError(f"--older-than {text!r}: expected a number and m, h, d or w.")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


async def _follow(
    store: Store, run_id: str | None, *, as_json: bool, follow: bool, lines: int | None = None
) -> None:
    if run_id is None:
        latest = await store.runs(1)
        if not latest:
            raise RunNotFound(_NONE)
        run_id = latest[0].run_id
    events = await store.load(run_id)
    last = events[-1]
    if lines is not None:
        events = events[max(0, len(events) - lines) :]
    while True:
        for event in events:
            _print(event, as_json=as_json)
            last = event
        if not follow or last.kind in _STATES:
            return
        await asyncio.sleep(_POLL_SECONDS)
        events = await store.load(last.run_id, last.seq)


def _print(event: Event, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(dump_line(event).decode())
        sys.stdout.flush()
    else:
        text = " ".join(_words(event.body).split())
        line = f"{event.seq:>5}  {event.at[11:23]}  {event.kind:<17}  {text[:200]}"
        click.echo(_printable(line))


def _printable(text: str) -> str:
    """Return text without what could move a terminal's cursor: tools and models wrote it."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def _words(body: Body) -> str:  # noqa: C901, PLR0911, PLR0912 - one line for each kind
    match body:
        case RunStarted() | RunResumed():
            return f"{body.model} at {body.provider}"
        case UserMessage():
            return plain_text(body.content)
        case Reminder():
            return f"{body.topic}: {body.content}"
        case Replied():
            return _reply(body)
        case ToolStarted() | ApprovalAsked():
            return f"{body.name} {_json(body.arguments)}"
        case ToolFinished():
            return f"{body.name} {body.status} {body.seconds:.2f} s: {body.content}"
        case ApprovalAnswered():
            return f"{body.name} {'approved' if body.approved else 'denied'} {body.reason}"
        case Noted():
            return f"{body.topic}: {body.text}"
        case RunPaused():
            return f"{body.reason} of {', '.join(body.calls)}"
        case RunInterrupted():
            return body.reason
        case RunFailed():
            return f"{body.error}: {body.message}"
        case RunFinished():
            return body.output if isinstance(body.output, str) else _json(body.output)
        case _:  # a kind that has no words of its own here
            return _json(body)


def _reply(body: Replied) -> str:
    calls = ", ".join(call.name for call in body.message.tool_calls)
    said = body.message.content or (f"calls {calls}" if calls else "(thinking only)")
    return f"[{body.usage.input} in, {body.usage.cached} cached, {body.usage.output} out] {said}"


def _json(value: Any) -> str:
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
