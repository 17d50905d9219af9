"""`agentkit sandbox exec`: run programs from files."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from agentkit_sandbox.base import (
    Backend,
    ExecResult,
    PolicyNotInForce,
    Sandbox,
    SandboxError,
    SandboxLost,
    SandboxPolicy,
    SandboxUnavailable,
)
from agentkit_sandbox.channel import MAX_CODE
from agentkit_sandbox.docker import DockerBackend
from agentkit_sandbox.pool import Pool

FAILED: Final = 1  # a program did not end well
UNAVAILABLE: Final = 3  # nothing was run: no daemon, no image
INTERRUPTED: Final = 130


@click.command(name="exec")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, max=3600, min_open=True),
    default=30.0,
    show_default=True,
    help="Seconds for each file; then it is interrupted, and killed a second later.",
)
@click.option(
    "--output",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the files that the programs make; without it only their names are shown.",
)
@click.option("--fresh", is_flag=True, help="Give each file a sandbox of its own.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line for each file.")
def execute(
    files: Sequence[Path], timeout: float, folder: Path | None, *, fresh: bool, as_json: bool
) -> None:
    """Run FILES in one session: Python, or shell in *.sh.

    "-" is standard input. Variables and files stay from file to file; where a program ends the
    whole sandbox, the next one gets a new one.

    \b
    Fields of a JSON object:
      file        as it was given
      ok          whether status is "ok"
      status      ok, error, timeout, cancelled or crashed
      output      what it printed, standard error after standard output
      stdout, stderr
      value       repr of the last expression, or null
      error       a short traceback, or null
      exit_code   of a shell command that ended by itself, or null
      detail      why it died or was killed, or ""
      state_lost  whether the variables from before are gone
      artifacts   names, or paths below --output, of the files that it made or changed
      skipped     name and reason of each changed file that did not leave the sandbox
      seconds     wall time inside the sandbox

    Exit code 0 when every file ended well, 1 when one did not, 2 for wrong arguments, 3 when no
    sandbox can be had.
    """
    try:
        good = asyncio.run(_run(files, timeout, folder, fresh=fresh, as_json=as_json))
    except (SandboxUnavailable, PolicyNotInForce, SandboxLost) as error:
        _stop(error)
    except KeyboardInterrupt:
        click.echo("Interrupted; the sandbox is removed.", err=True)
        sys.exit(INTERRUPTED)
    sys.exit(0 if good else FAILED)


async def _run(
    files: Sequence[Path],
    timeout: float,  # noqa: ASYNC109 (enforced inside the sandbox)
    folder: Path | None,
    *,
    fresh: bool,
    as_json: bool,
) -> bool:
    backend: Backend = DockerBackend()
    policy, good = SandboxPolicy(), True
    session: Sandbox | None = None
    async with AsyncExitStack() as stack:
        if fresh and len(files) > 1:  # the next one starts while this one runs
            backend = await stack.enter_async_context(Pool(backend, policy))
        try:
            for file in files:
                if session is None:
                    session = await backend.start(policy)
                result, lives = await _run_file(session, file, timeout)
                if fresh or not lives:
                    await session.close()
                    session = None
                paths = _save(result, folder)
                show = _as_json if as_json else _as_text
                click.echo(show(file, result, paths))
                good = good and result.status == "ok"
        finally:
            if session is not None:
                await session.close()
    return good


async def _run_file(
    session: Sandbox,
    file: Path,
    timeout: float,  # noqa: ASYNC109 (enforced inside the sandbox)
) -> tuple[ExecResult, bool]:
    """Return the result of one file, and whether the session can be used for another."""
    try:
        text = _read(file)
        run = session.shell if file.suffix == ".sh" else session.execute
        return await run(text, timeout), True
    except (OSError, ValueError) as error:
        return ExecResult("error", error=str(error)), True
    except SandboxLost as error:
        return ExecResult("crashed", detail=str(error), state_lost=True), False


def _read(file: Path) -> str:
    """Read a program, and of one that is too long only enough to see that it is."""
    if str(file) == "-":
        return sys.stdin.buffer.read(MAX_CODE + 1).decode("utf-8", "replace")
    with file.open("rb") as source:
        return source.read(MAX_CODE + 1).decode("utf-8", "replace")


def _save(result: ExecResult, folder: Path | None) -> list[str]:
    """Write the artifacts into the folder; never over a file, never through a link."""
    if folder is None:
        return [file.name for file in result.artifacts]
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[str] = []
    for file in result.artifacts:
        path, number = folder / file.name, 1
        while True:
            try:
                with path.open("xb") as target:
                    target.write(file.data)
                break
            except FileExistsError:
                number += 1
                path = folder / f"{Path(file.name).stem}-{number}{Path(file.name).suffix}"
        paths.append(str(path))
    return paths


def _as_json(file: Path, result: ExecResult, paths: list[str]) -> str:
    fields: dict[str, Any] = {
        "file": str(file),
        "ok": result.status == "ok",
        "status": result.status,
        "output": result.stdout + result.stderr,
        "stdout": result.stdout,
        "stderr": result.stderr,
        "value": result.value,
        "error": result.error,
        "exit_code": result.exit_code,
        "detail": result.detail,
        "state_lost": result.state_lost,
        "artifacts": paths,
        "skipped": [list(pair) for pair in result.skipped],
        "seconds": round(result.seconds, 6),
    }
    return json.dumps(fields, ensure_ascii=False)


def _as_text(file: Path, result: ExecResult, paths: list[str]) -> str:
    lost = ", state lost" if result.state_lost else ""
    detail = f" ({result.detail})" if result.detail else ""
    lines = [f"{file}: {result.status}{detail}{lost}, {result.seconds:.3f} s"]
    lines += [text.rstrip("\n") for text in (result.stdout, result.stderr) if text]
    lines += [text for text in (result.value, result.error) if text]
    lines += [f"file: {path}" for path in paths]
    return "\n".join(lines)


def _stop(error: SandboxError) -> NoReturn:
    click.echo(str(error), err=True)
    sys.exit(UNAVAILABLE)
