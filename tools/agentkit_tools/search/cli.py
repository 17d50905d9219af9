"""`agentkit documents`: index a folder and search it from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from agentkit_tools.search.index import Index, Report

FOLDER = click.argument(
    "folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
INDEX = click.option(
    "--index",
    "path",
    metavar="FILE",
    default=None,
    help="Index file, or :memory:. Default: one per folder in the user's cache.",
)


@click.group()
def documents() -> None:
    """Search a folder of Markdown, text, HTML and PDF files."""


@documents.command()
@FOLDER
@INDEX
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def index(folder: Path, path: str | None, *, as_json: bool) -> None:
    """Index DIR anew, and list what could not be read."""
    opened = _opened(folder, path)
    report = _refreshed(opened)
    if as_json:
        click.echo(json.dumps(_report_data(report, opened), ensure_ascii=False))
        return
    for problem in report.problems:
        click.echo(f"skipped: {problem.document} {problem.reason}", err=True)
    if report.ignored:
        endings = ", ".join(f"{count} {ending or 'without'}" for ending, count in report.ignored)
        click.echo(f"not documents by their ending: {endings}", err=True)
    click.echo(
        f"{report.documents} documents ({report.added} new, {report.changed} changed, "
        f"{report.removed} removed, {len(report.problems)} skipped) in {report.seconds:.2f} s; "
        f"index {opened.path}"
    )


@documents.command()
@FOLDER
@click.argument("query")
@click.option("--top-k", type=click.IntRange(1, 100), default=5, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one hit a line as JSON.")
@INDEX
def search(folder: Path, query: str, top_k: int, path: str | None, *, as_json: bool) -> None:
    """Find the passages in DIR that fit QUERY best."""
    from agentkit_tools.search.database import SearchError  # noqa: PLC0415 - see _opened
    from agentkit_tools.search.render import header  # noqa: PLC0415

    opened = _opened(folder, path)
    report = _refreshed(opened)
    if not as_json:
        for problem in report.problems:
            click.echo(f"skipped: {problem.document} {problem.reason}", err=True)
    try:
        hits = opened.search(query, top_k)
    except SearchError as error:
        raise click.ClickException(str(error)) from error
    for number, hit in enumerate(hits, start=1):
        if as_json:
            data: dict[str, object] = {
                "document": hit.document,
                "start_line": hit.start_line,
                "end_line": hit.end_line,
                "heading": hit.heading,
                "score": hit.score,
                "text": hit.text,
            }
            if hit.also_in:
                data["also_in"] = list(hit.also_in)
            click.echo(json.dumps(data, ensure_ascii=False))
        else:
            click.echo(f"{click.style(header(number, hit), bold=True)}\n{hit.text}\n")
    if not hits:
        click.echo(f"no hit in {report.documents} documents", err=True)


def _opened(folder: Path, path: str | None) -> Index:
    # Loaded late: `agentkit --help` imports this module to learn the command's name.
    try:
        from agentkit_tools.search.index import Index  # noqa: PLC0415

        return Index(folder, path)
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"the search packages are missing ({error.name}); "
            "run: pip install 'agentkit-glm[search]'"
        ) from error


def _refreshed(opened: Index) -> Report:
    from agentkit_tools.search.database import SearchError  # noqa: PLC0415 - see _opened

    try:
        return opened.refresh()
    except SearchError as error:
        raise click.ClickException(str(error)) from error


def _report_data(report: Report, opened: Index) -> dict[str, object]:
    return {
        "documents": report.documents,
        "added": report.added,
        "changed": report.changed,
        "removed": report.removed,
        "skipped": [
            {"document": problem.document, "reason": problem.reason} for problem in report.problems
        ],
        "ignored": dict(report.ignored),
        "seconds": round(report.seconds, 3),
        "index": opened.path,
    }
