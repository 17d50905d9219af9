"""`agentkit trace`: a stored run as one HTML page."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click

from agentkit.errors import ConfigError
from agentkit.store import open_store
from agentkit.trace import render_page


@click.command()
@click.argument("run")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write; default: run-RUN.html in the current folder.",
)
@click.option("--open", "opened", is_flag=True, help="Open the page in the browser.")
def trace(*, run: str, output: Path | None, opened: bool) -> None:
    """Write the page of RUN, one HTML file that needs no network.

    RUN is the id of a run or the beginning of one, as `agentkit run` prints it. The page shows what
    was asked and answered, cost, time, the timeline, the plan and every turn. Nothing in it is
    executed that a model or a tool wrote.

    \b
    agentkit trace 01a2 -o run.html
    agentkit trace 01a2 --open
    """
    page = asyncio.run(_page(run))
    path = output or Path(f"run-{run}.html")
    write_page(path, page)
    click.echo(str(path))
    if opened:
        click.launch(str(path.resolve()))


async def _page(run: str) -> bytes:
    store = open_store()
    try:
        return await render_page(store, run)
    finally:
        await store.close()


def write_page(path: Path, page: bytes) -> None:
    """Write the page whole or not at all: an older one stays until the new one is there.

    Raises:
        ConfigError: it cannot be written there.
    """
    draft = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    try:
        try:
            with draft.open("xb") as file:
                file.write(page)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            f"The page cannot be written to {path}: {error.strerror}. Name another file with -o."
        ) from error
