"""Where the image's base comes from: a registry, or the distribution's packages.

Each way says what it does and why before it does it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from agentkit_sandbox.base import SandboxUnavailable
from agentkit_sandbox.daemon import api_of, connect, present, translated
from agentkit_sandbox.settings import may_install

if TYPE_CHECKING:
    from docker import DockerClient

Way = Literal["registry", "mmdebstrap", "debootstrap"]
Report = Callable[[str], None]

REGISTRY_BASE: Final = "python:3.12-slim"
DEFAULT_SUITE: Final = "bookworm"
INCLUDE: Final = "python3,ca-certificates"
REGISTRY_SECONDS: Final = 8.0  # a registry that answers at all answers within this
PULL_SECONDS: Final = 900.0
BOOTSTRAP_SECONDS: Final = 1200.0


def obtain(client: DockerClient, report: Report, way: Way | None, mirror: str | None) -> str:
    """Return the name of a base image on the daemon, made or fetched where it is missing.

    Args:
        client: the daemon.
        report: told what is done, before it is done.
        way: the way to take; None chooses.
        mirror: package mirror for the bootstrap; None takes the tool's default.

    Raises:
        SandboxUnavailable: no way leads to a base here; the text lists what was tried.
    """
    suite = host_suite()
    bootstrapped = f"agentkit-sandbox-base:{suite}"
    for name, fits in ((REGISTRY_BASE, "registry"), (bootstrapped, "any")):
        # One that was asked for by its tool is made again: that is how an old one is renewed.
        if way in (None, fits) and present(client, name):
            report(f"Base: {name}, already on this daemon.")
            return name
    if way in (None, "registry"):
        reason = _registry_fault()
        if reason is None:
            report(f"Base: pulling {REGISTRY_BASE} (about 50 MB): a registry can be reached.")
            with translated(f"{REGISTRY_BASE} could not be pulled"):
                connect(PULL_SECONDS).images.pull(REGISTRY_BASE)
            return REGISTRY_BASE
        if way == "registry":
            raise SandboxUnavailable(f"{REGISTRY_BASE} cannot be pulled: {reason}.")
        report(f"{REGISTRY_BASE} cannot be pulled ({reason}); the base is made from packages.")
    tool = _tool(way, report)
    report(f"Base: {bootstrapped}, made by {tool} (about 100 MB of packages, one to two minutes).")
    _bootstrap(tool, suite, bootstrapped, mirror)
    return bootstrapped


def host_suite() -> str:
    """Return the release to bootstrap: the host's own, whose keys it has, else bookworm."""
    try:
        lines = Path("/etc/os-release").read_text("utf-8").splitlines()
    except OSError:
        return DEFAULT_SUITE
    fields = dict(line.split("=", 1) for line in lines if "=" in line)
    known = fields.get("ID", "").strip('"') in ("debian", "ubuntu")
    return (fields.get("VERSION_CODENAME", "").strip('"') if known else "") or DEFAULT_SUITE


def _registry_fault() -> str | None:
    """Return why the registry cannot be used, or None when it answers quickly."""
    try:
        with translated("no"):
            api_of(connect(REGISTRY_SECONDS)).inspect_distribution(REGISTRY_BASE)
    except SandboxUnavailable as error:
        text = str(error)
        if "timed out" in text.lower() or "timeout" in text.lower():
            return f"no answer within {REGISTRY_SECONDS:g} seconds"
        return text.rsplit(": ", 1)[-1].strip()[:120]
    return None


def _tool(way: Way | None, report: Report) -> str:
    for tool in ("mmdebstrap", "debootstrap"):
        if way in (None, tool) and shutil.which(tool):
            if tool == "debootstrap" and os.geteuid() != 0:
                break
            return tool
    wanted = "debootstrap" if way == "debootstrap" else "mmdebstrap"
    if os.geteuid() == 0 and shutil.which("apt-get"):
        if may_install():
            report(f"Installing the package {wanted} with apt-get.")
            _run(["apt-get", "update", "-qq"], "the package lists could not be read")
            command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", wanted]
            _run(command, f"{wanted} could not be installed")
            return wanted
        reason = "AGENTKIT_NO_INSTALL is set"
    else:
        reason = "only root can install it with apt-get"
    raise SandboxUnavailable(
        f"No base image can be had: no registry answers, {wanted} is missing and {reason}. "
        f"Install {wanted}, or load {REGISTRY_BASE} with `docker load`, and build again."
    )


def _bootstrap(tool: str, suite: str, name: str, mirror: str | None) -> None:
    repository, tag = name.split(":")
    with tempfile.TemporaryDirectory(prefix="agentkit-base-") as folder:
        archive = Path(folder, "base.tar")
        if tool == "mmdebstrap":
            command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={INCLUDE}"]
            command += ["--dpkgopt=path-exclude=/usr/share/doc/*", suite, str(archive)]
            command += [mirror] if mirror else []
            _run(command, "mmdebstrap failed")
        else:
            root = Path(folder, "root")
            command = ["debootstrap", "--variant=minbase", f"--include={INCLUDE}", suite, str(root)]
            command += [mirror] if mirror else []
            _run(command, "debootstrap failed")
            left_out = ["--exclude=./var/cache/apt/*", "--exclude=./var/lib/apt/lists/*"]
            command = ["tar", "-C", str(root), *left_out, "-cf", str(archive), "."]
            _run(command, "the base could not be packed")
        with translated("The base could not be loaded into the daemon"):
            api = api_of(connect(BOOTSTRAP_SECONDS))
            label = ["LABEL agentkit.image=base"]
            api.import_image_from_file(str(archive), repository=repository, tag=tag, changes=label)


def _run(command: list[str], failure: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}  # noqa: TID251 (passed on)
    done = subprocess.run(  # noqa: S603 (fixed programs, no shell)
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=BOOTSTRAP_SECONDS,
        env=environment,
    )
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise SandboxUnavailable(
            f"The sandbox base was not made: {failure}: {' '.join(last)[:400]}"
        )
