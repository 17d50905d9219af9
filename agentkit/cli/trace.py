"""`agentkit trace`: a stored run as one HTML page."""

from __future__ import annotations

from pathlib import Path

import click

from agentkit.cli.files import write_file
from agentkit.cli.stored import with_store
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
    page = with_store(lambda store: render_page(store, run))
    path = output or Path(f"run-{run}.html")
    write_file(path, page)
    click.echo(str(path))
    if opened:
        click.launch(str(path.resolve()))
