"""`agentkit setup`, as a command of the installed program."""

from __future__ import annotations

import sys

import click

from agentkit.cli.setup import set_up
from agentkit.cli.setup_parts import PARTS


@click.command(short_help="Install what agentkit needs: packages, Docker, sandbox image.")
@click.option("--dev", is_flag=True, help="Install what the tests need, too.")
@click.option(
    "--docker",
    type=click.Choice(["auto", "require", "skip"]),
    default="auto",
    show_default=True,
    help="auto goes on without Docker where none can be had, require fails there.",
)
@click.option(
    "--with",
    "parts",
    type=click.Choice(["all", *sorted(PARTS)]),
    multiple=True,
    help="An optional part, too; may be given several times.",
)
def setup(*, dev: bool, docker: str, parts: tuple[str, ...]) -> None:
    """Install what agentkit needs on this machine, and say what before it is done.

    Packages into the checkout's .venv, the Docker engine (root on Debian or Ubuntu), the sandbox
    image. The second time it changes nothing and needs no network. AGENTKIT_NO_INSTALL=1 checks
    everything, installs nothing and stops at the first thing that is missing.
    """
    sys.exit(set_up(dev=dev, docker=docker, parts=parts))
