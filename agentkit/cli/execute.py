"""Running an agent from the command line: live view, answer, artifacts, JSON lines, signals."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import orjson

from agentkit.agent import Agent, Result, Run
from agentkit.agent.below import label
from agentkit.cli.command import TOPIC
from agentkit.cli.files import save
from agentkit.cli.live import View, spending
from agentkit.errors import LimitExceeded, ModelError, RunError
from agentkit.events import Ephemeral, Event, Noted, RunFinished, dump_line
from agentkit.usage import Spent

TERMINATED = 128 + signal.SIGTERM
"""Exit code after SIGTERM, as shells give it."""


PAUSED = 3
"""Exit code of a run that waits for an approval."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done.

    Attributes:
        agent: who does it.
        content: a user message; None goes on with a run as it stands.
        run_id: of the run that goes on; None for a new one.
        answers: to calls of a paused run; see `Agent.resume`.
        accept_changes: see `Agent.open`.
        note: stands in the log of a new run.
    """

    agent: Agent[Any]
    content: str | None
    run_id: str | None = None
    answers: Mapping[str, bool | str] = field(default_factory=dict[str, bool | str])
    accept_changes: bool = False
    note: Noted | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run that ended or paused, and the paths of its saved artifacts."""

    result: Result[Any]
    paths: tuple[Path, ...]


async def execute(job: Job, view: View, *, as_json: bool, artifacts: Path) -> Outcome:
    """Do a job.

    The live view goes to stderr. The answer goes to stdout, or with `as_json` every durable event
    as one JSON line, the last one the finished run with the paths of its artifacts.
    """
    last: list[Event] = []

    def subscriber(event: Event | Ephemeral) -> None:
        view(event)
        if as_json and isinstance(event, Event):
            if isinstance(event.body, RunFinished):
                last.append(event)
            else:
                _write(dump_line(event))

    opening = job.agent.open(subscriber, run_id=job.run_id, accept_changes=job.accept_changes)
    with terminated_like_interrupted(), view.shown():
        async with opening as run:
            view.catch_up(run.events)
            if job.note is not None:
                await run.append([job.note])
            await run.answer(job.answers)
            try:
                result = await (run.resume() if job.content is None else run.send(job.content))
            except (ModelError, RunError) as error:
                error.add_note(_going_on(run, error))
                raise
            except asyncio.CancelledError as error:
                click.echo(_going_on(run, error), err=True)
                raise
    if not as_json and not result.pending:
        answer(result.output)
    paths = tuple(save(artifact, artifacts) for artifact in result.artifacts)
    if last:
        _write(_with_paths(last[0], paths))
    return Outcome(result, paths)


_OPTIONS = {"turns": " --turns N", "cost_usd": " --cost USD", "seconds": " --seconds N"}


def _going_on(run: Run[Any], error: BaseException) -> str:
    """Return how to go on with a run that did not end well."""
    if not any(isinstance(e.body, Noted) and e.body.topic == TOPIC for e in run.events):
        return f"run {run.id}"
    more = _OPTIONS[error.limit] if isinstance(error, LimitExceeded) else ""
    return f"go on with: agentkit resume {run.id}{more}"


def summarize(outcome: Outcome) -> None:
    """Print on stderr what the run cost, where its artifacts lie, and what it waits for."""
    result = outcome.result
    for path in outcome.paths:
        click.echo(f"saved {path}", err=True)
    spent = Spent(result.turns, result.usage, result.cost_usd)
    line = f"{spending(spent)} · {result.seconds:.1f} s · run {result.run_id}"
    click.echo(line, err=True)
    if result.pending:
        for question in result.pending:
            inside = f" of run {question.run_id}" if question.run_id != result.run_id else ""
            call = label(question, result.pending)
            click.echo(f"waits for approval: {question.tool}, call {call}{inside}", err=True)
        first = label(result.pending[0], result.pending)
        click.echo(f"go on with: agentkit resume {result.run_id} --approve {first}", err=True)
        raise click.exceptions.Exit(PAUSED)


def answer(output: Any) -> None:
    """Print a run's output on stdout: as Markdown on a terminal, else as it is."""
    text = output if isinstance(output, str) else orjson.dumps(output, default=str).decode()
    if not sys.stdout.isatty():
        click.echo(text)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(text))


def _write(line: bytes) -> None:
    sys.stdout.write(line.decode())
    sys.stdout.flush()


def _with_paths(event: Event, paths: tuple[Path, ...]) -> bytes:
    data = orjson.loads(dump_line(event))
    for artifact, path in zip(data["body"]["artifacts"], paths, strict=True):
        artifact["path"] = str(path)
    return orjson.dumps(data, option=orjson.OPT_APPEND_NEWLINE)


@contextmanager
def terminated_like_interrupted() -> Generator[None]:
    """Let SIGTERM end the run as Ctrl-C does: the log says so and no container stays."""
    task = asyncio.current_task()
    assert task is not None
    terminated: list[bool] = []

    def terminate() -> None:
        terminated.append(True)
        task.cancel()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, terminate)
    try:
        yield
    except asyncio.CancelledError:
        if terminated:
            raise click.exceptions.Exit(TERMINATED) from None
        raise
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
