"""`agentkit sandbox`: build the image, see what lives, remove orphans, run programs."""

from __future__ import annotations

import json
import sys
from typing import Any, NoReturn, cast

import click

from agentkit_sandbox import daemon, docker
from agentkit_sandbox.base import (
    SandboxError,
    SandboxUnavailable,
)
from agentkit_sandbox.cli_exec import FAILED, UNAVAILABLE, execute
from agentkit_sandbox.image import builder
from agentkit_sandbox.image.base import Way
from agentkit_sandbox.reaper import MARK, is_orphan


@click.group()
def sandbox() -> None:
    """Run code in a hardened container; build its image; clean up."""


sandbox.add_command(execute)


@sandbox.command()
@click.option(
    "--base",
    "way",
    type=click.Choice(["registry", "mmdebstrap", "debootstrap"]),
    help="Where the base comes from; by default the first way that works.",
)
@click.option("--mirror", help="Package mirror for mmdebstrap and debootstrap.")
@click.option("--force", is_flag=True, help="Build even when the image is there.")
@click.option("--check", is_flag=True, help="Build nothing; exit 1 when the image is missing.")
def build(way: Way | None, mirror: str | None, *, force: bool, check: bool) -> None:
    """Build the sandbox image; quick and offline when it is there already."""
    try:
        if check:
            sys.exit(0 if builder.is_built() else FAILED)
        builder.build(lambda line: click.echo(line, err=True), way=way, mirror=mirror, force=force)
    except SandboxUnavailable as error:
        _stop(error)


@sandbox.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(*, as_json: bool) -> None:
    """Show the daemon's live sandboxes and whether the image is there."""
    try:
        client = daemon.connect()
        built = builder.is_built(client)
        found = [_summary(each) for each in docker.live(client)]
    except SandboxUnavailable as error:
        _stop(error)
    if as_json:
        click.echo(json.dumps({"image": builder.image_name(), "built": built, "sandboxes": found}))
        return
    presence = "present" if built else "missing; run `agentkit sandbox build`"
    click.echo(f"Image {builder.image_name()}: {presence}.")
    click.echo(f"Live sandboxes: {len(found)}.")
    for each in found:
        owner = "orphan" if each["orphan"] else f"of process {each['pid']} on {each['host']}"
        click.echo(f"  {each['name']}  {each['state']}, {each['status']}, {owner}")


@sandbox.command()
@click.option("--images", is_flag=True, help="Remove outdated sandbox images, too.")
def gc(*, images: bool) -> None:
    """Remove the sandboxes whose owner is gone."""
    try:
        client = daemon.connect()
        count = docker.reap(client)
        outdated = builder.remove_outdated(client) if images else []
    except SandboxUnavailable as error:
        _stop(error)
    click.echo(f"Removed {count} orphaned sandbox{'' if count == 1 else 'es'}.")
    for name in outdated:
        click.echo(f"Removed the image {name}.")


def _summary(container: dict[str, Any]) -> dict[str, Any]:
    labels = cast("dict[str, str]", container.get("Labels") or {})
    return {
        "name": str((container.get("Names") or ["?"])[0]).lstrip("/"),
        "state": container.get("State"),
        "status": container.get("Status"),
        "pid": labels.get(f"{MARK}.pid"),
        "host": labels.get(f"{MARK}.host"),
        "orphan": is_orphan(labels),
    }


def _stop(error: SandboxError) -> NoReturn:
    click.echo(str(error), err=True)
    sys.exit(UNAVAILABLE)
