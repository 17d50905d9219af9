"""Running an agent from the command line: live view, answer, artifacts, JSON lines, signals."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import orjson

from agentkit.agent import Agent, Result
from agentkit.cli.live import View, spending
from agentkit.events import Ephemeral, Event, RunFinished, dump_line
from agentkit.usage import Spent

TERMINATED = 128 + signal.SIGTERM
"""Exit code after SIGTERM, as shells give it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished run and the paths of its saved artifacts."""

    result: Result
    paths: tuple[Path, ...]


async def execute(agent: Agent, task: str, *, as_json: bool, artifacts: Path) -> Outcome:
    """Run the agent on a task.

    The live view goes to stderr. The answer goes to stdout, or with `as_json` every durable event
    as one JSON line, the last one the finished run with the paths of its artifacts.
    """
    from rich.console import Console

    view = View(Console(stderr=True, quiet=as_json))
    last: list[Event] = []

    def subscriber(event: Event | Ephemeral) -> None:
        view(event)
        if as_json and isinstance(event, Event):
            if isinstance(event.body, RunFinished):
                last.append(event)
            else:
                _write(dump_line(event))

    with terminated_like_interrupted(), view.shown():
        result = await agent.run(task, subscriber)
    paths = tuple(result.save_artifacts(artifacts))
    if as_json:
        _write(_with_paths(last[0], paths))
    else:
        _answer(result.output)
    return Outcome(result, paths)


def summarize(outcome: Outcome) -> None:
    """Print what the run cost and where its artifacts lie, on stderr."""
    result = outcome.result
    for path in outcome.paths:
        click.echo(f"saved {path}", err=True)
    spent = Spent(result.turns, result.usage, result.cost_usd)
    line = f"{spending(spent)} · {result.seconds:.1f} s · run {result.run_id}"
    click.echo(line, err=True)


def _answer(text: str) -> None:
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
