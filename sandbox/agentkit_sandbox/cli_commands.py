"""`agentkit sandbox build`, `status` and `gc`: the image, what lives, and what nobody owns."""

from __future__ import annotations

import json
import shutil
import sys
from typing import Any, NoReturn

import click

from agentkit_sandbox import daemon, docker
from agentkit_sandbox.base import (
    SandboxError,
    SandboxUnavailable,
)
from agentkit_sandbox.bubblewrap import LACKS
from agentkit_sandbox.cli_exec import FAILED, UNAVAILABLE
from agentkit_sandbox.image import builder, derived
from agentkit_sandbox.image.base import Way
from agentkit_sandbox.reaper import MARK, is_orphan
from agentkit_sandbox.settings import docker_host
from agentkit_sandbox.support import support


@click.command()
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
    """Build the sandbox image, unless it is there already."""

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


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(*, as_json: bool) -> None:
    """Show the daemon, its sandboxes and networks, and the image."""
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


@click.command()
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
