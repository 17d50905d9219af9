"""`agentkit export`: stored runs as data for training, or as OpenTelemetry spans."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, BinaryIO

import click
import orjson

from agentkit.cli.files import write_file
from agentkit.cli.stored import with_store
from agentkit.errors import AgentkitError
from agentkit.store import Store
from agentkit.trace import Recorded, atif, jsonl, openai, read_run, sharegpt

FORMATS: dict[str, Callable[[Recorded, float | None], dict[str, Any]]] = {
    "openai": openai,
    "sharegpt": sharegpt,
    "atif": atif,
}


@click.command()
@click.argument("run_ids", nargs=-1, metavar="[RUN]...")
@click.option(
    "--format",
    "name",
    type=click.Choice([*FORMATS, "jsonl", "otlp"]),
    default="openai",
    show_default=True,
    help="openai, sharegpt and atif: a run is a line of JSON; jsonl: an event is one.",
)
@click.option("--all", "every", is_flag=True, help="All runs of the store, oldest first.")
@click.option("--reward", type=float, help="Kept with each run, for reinforcement learning.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Default: stdout."
)
@click.option("--endpoint", metavar="URL", help="otlp: where to; default http://localhost:4318.")
@click.option("--content", is_flag=True, help="otlp: send what was said, too.")
def export(
    *,
    run_ids: tuple[str, ...],
    name: str,
    every: bool,
    reward: float | None,
    output: Path | None,
    endpoint: str | None,
    content: bool,
) -> None:
    """Write stored runs as training data or OpenTelemetry spans.

    RUN is an id or the beginning of one. A run that cannot be read is named on stderr and left
    out; the exit code is then 1.

    \b
    agentkit export 01a2 --format atif -o run.json
    agentkit export --all --format openai --reward 1 > train.jsonl
    agentkit export 01a2 --format otlp --endpoint http://localhost:4318
    """
    if bool(run_ids) == every:
        raise click.UsageError("Name runs, or pass --all. `agentkit runs list` shows them.")
    if reward is not None and name not in FORMATS:
        raise click.UsageError(f"--format {name} has no place for a reward.")
    failed: list[str] = []
    asked = with_store(lambda store: _read(store, run_ids, failed, prompt=name in FORMATS))
    if name == "otlp":
        from agentkit.trace.otel import export as send

        click.echo(f"{send(_whole(asked), endpoint, content=content)} spans sent", err=True)
    else:
        runs = _whole(asked) if name == "atif" else asked
        write = jsonl if name == "jsonl" else _lines(name, reward)
        _write(output, b"".join(write(run) for run in runs))
    if failed:
        sys.exit(1)


def _lines(name: str, reward: float | None) -> Callable[[Recorded], bytes]:
    make = FORMATS[name]
    return lambda run: orjson.dumps(
        make(run, reward), default=str, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS
    )


def _whole(runs: list[Recorded]) -> list[Recorded]:
    """Leave out runs that stand inside another one, as those of sub-agents do."""
    inside = {child.events[0].run_id for run in runs for child in run.children}
    return [run for run in runs if run.events[0].run_id not in inside]


async def _read(
    store: Store, run_ids: tuple[str, ...], failed: list[str], *, prompt: bool
) -> list[Recorded]:
    found: list[Recorded] = []
    async for run_id in _wanted(store, run_ids):
        try:
            found.append(await read_run(store, run_id, prompt=prompt))
        except AgentkitError as error:
            failed.append(run_id)
            click.echo(f"Left out {run_id}: {error}", err=True)
    return found


async def _wanted(store: Store, run_ids: tuple[str, ...]) -> AsyncIterator[str]:
    for run_id in run_ids:
        yield run_id
    if not run_ids:
        for run in reversed(await store.runs(sys.maxsize)):
            yield run.run_id


def _write(output: Path | None, data: bytes) -> None:
    if output is not None:
        write_file(output, data)
        return
    stream: BinaryIO = sys.stdout.buffer
    stream.write(data)
    stream.flush()
