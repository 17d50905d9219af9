"""`agentkit sandbox`: build the image, see what lives, remove orphans, run programs."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from agentkit_sandbox import daemon, docker
from agentkit_sandbox.base import (
    ExecResult,
    PolicyNotInForce,
    Sandbox,
    SandboxError,
    SandboxLost,
    SandboxPolicy,
    SandboxUnavailable,
)
from agentkit_sandbox.bubblewrap import LACKS
from agentkit_sandbox.image import builder, derived
from agentkit_sandbox.image.base import Way
from agentkit_sandbox.reaper import MARK, is_orphan
from agentkit_sandbox.settings import docker_host
from agentkit_sandbox.support import support

FAILED: Final = 1  # a program did not end well
UNAVAILABLE: Final = 3  # nothing was run: no daemon, no image


@click.group()
def sandbox() -> None:
    """Run code in a hardened container; build its image; clean up."""


@sandbox.command()
@click.option(
    "--base",
    "way",
    type=click.Choice(["registry", "mmdebstrap", "debootstrap"]),
    help="Where the base comes from; by default the first way that works.",
)
@click.option("--mirror", help="Package mirror for mmdebstrap and debootstrap.")
@click.option(
    "--package",
    "packages",
    multiple=True,
    help="Build the image with this package, too: NAME or NAME==VERSION; may be repeated.",
)
@click.option("--force", is_flag=True, help="Build even when the image is there.")
@click.option("--check", is_flag=True, help="Build nothing; exit 1 when the image is missing.")
def build(
    way: Way | None, mirror: str | None, packages: tuple[str, ...], *, force: bool, check: bool
) -> None:
    """Build the sandbox image; quick and offline when it is there already."""

    def tell(line: str) -> None:
        click.echo(line, err=True)

    try:
        if check:
            there = daemon.present(daemon.connect(), derived.image_name(packages))
            sys.exit(0 if there else FAILED)
        builder.build(tell, way=way, mirror=mirror, force=force)
        if packages:
            derived.build(daemon.connect(builder.BUILD_SECONDS), packages, tell)
    except SandboxUnavailable as error:
        _stop(error)


@sandbox.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(*, as_json: bool) -> None:
    """Show the daemon, its live sandboxes and networks, and whether the image is there."""
    try:
        client = daemon.connect()
        found = support(daemon.api_of(client).info())
        built = builder.is_built(client)
        live = [_summary(each) for each in docker.live(client)]
        networks = [_summary(each) for each in docker.networks(client)]
    except SandboxUnavailable as error:
        _stop(error)
    facts = {
        "daemon": docker_host(),
        "kind": found.kind,
        "refusal": found.refusal,
        "runtimes": found.runtimes,
        "bubblewrap": shutil.which("bwrap") is not None,
        "image": builder.image_name(),
        "built": built,
    }
    if as_json:
        click.echo(json.dumps(facts | {"sandboxes": live, "networks": networks}))
        return
    presence = "present" if built else "missing; run `agentkit sandbox build`"
    able = f"no sandbox can run there: {found.refusal}" if found.refusal else "fit for sandboxes"
    click.echo(f"Daemon {facts['daemon']} ({found.kind}): {able}.")
    click.echo(f"Runtimes: {', '.join(found.runtimes)}.")
    second = "installed" if facts["bubblewrap"] else "not installed"
    click.echo(f'Bubblewrap (isolation="bwrap"): {second}; it has {LACKS}.')
    click.echo(f"Image {builder.image_name()}: {presence}.")
    click.echo(f"Live sandboxes: {len(live)}. Networks of their own: {len(networks)}.")
    for each in [*live, *networks]:
        owner = "orphan" if each["orphan"] else f"of process {each['pid']} on {each['host']}"
        state = f"{each['state']}, {each['status']}" if each["state"] else "network"
        memory = f", {each['memory_mb']} MiB" if each["memory_mb"] else ""
        click.echo(f"  {each['name']}  {state}{memory}, {owner}")


@sandbox.command()
@click.option("--images", is_flag=True, help="Remove outdated sandbox images, too.")
def gc(*, images: bool) -> None:
    """Remove the sandboxes, proxies and networks whose owner is gone."""
    try:
        client = daemon.connect()
        count = docker.reap(client)
        outdated = builder.remove_outdated(client) if images else []
    except SandboxUnavailable as error:
        _stop(error)
    click.echo(f"Removed {count} orphaned sandbox{'' if count == 1 else 'es'}.")
    for name in outdated:
        click.echo(f"Removed the image {name}.")


@sandbox.command(name="exec")
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
    help="Seconds for each file.",
)
@click.option(
    "--output",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the files that the programs make; without it only their names are shown.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line for each file.")
def execute(files: Sequence[Path], timeout: float, folder: Path | None, *, as_json: bool) -> None:
    """Run Python FILES ("-" is standard input) one after the other in one session.

    Exit code 0 when every file ended well, 1 when one did not, 3 when no sandbox can be had.
    """
    try:
        good = asyncio.run(_run_files(files, timeout, folder, as_json=as_json))
    except (SandboxUnavailable, PolicyNotInForce, SandboxLost) as error:
        _stop(error)
    except KeyboardInterrupt:
        click.echo("Interrupted; the sandbox is removed.", err=True)
        sys.exit(130)
    sys.exit(0 if good else FAILED)


async def _run_files(
    files: Sequence[Path],
    timeout: float,  # noqa: ASYNC109 (enforced inside the sandbox)
    folder: Path | None,
    *,
    as_json: bool,
) -> bool:
    backend, policy, good = docker.DockerBackend(), SandboxPolicy(), True
    session: Sandbox = await backend.start(policy)
    try:
        for file in files:
            try:
                code = (sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()).decode(
                    "utf-8", "replace"
                )
                result = await session.execute(code, timeout)
            except ValueError as error:
                result = ExecResult("error", error=str(error))
            except SandboxLost as error:
                # The next file gets a fresh session, and is told so by this one's result.
                result = ExecResult("crashed", detail=str(error), state_lost=True)
                session = await backend.start(policy)
            paths = _save(result, folder)
            click.echo(_as_json(file, result, paths) if as_json else _as_text(file, result, paths))
            good = good and result.status == "ok"
    finally:
        await session.close()
    return good


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
        "status": result.status,
        "output": result.stdout + result.stderr,
        "value": result.value,
        "error": result.error,
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


def _summary(container: dict[str, Any]) -> dict[str, Any]:
    labels = docker.labels_of(container)
    return {
        "name": str((container.get("Names") or [container.get("Name")])[0]).lstrip("/"),
        "state": container.get("State"),
        "status": container.get("Status"),
        "memory_mb": labels.get(f"{MARK}.memory"),
        "pid": labels.get(f"{MARK}.pid"),
        "host": labels.get(f"{MARK}.host"),
        "orphan": is_orphan(labels),
    }


def _stop(error: SandboxError) -> NoReturn:
    click.echo(str(error), err=True)
    sys.exit(UNAVAILABLE)
