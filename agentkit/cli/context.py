"""`agentkit context`: what a run's prompt held turn by turn, what was cached, what edits cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import click
import orjson

from agentkit.cli.files import write_file
from agentkit.cli.plot import plot
from agentkit.cli.stored import with_store
from agentkit.context import Context, without_reader
from agentkit.context.explain import EditRow, Turn, explain, totals
from agentkit.errors import ConfigError, LogUnreadable, StoreError
from agentkit.events import Event, RunStarted
from agentkit.model import wire
from agentkit.model.catalog import find
from agentkit.model.providers import ZAI
from agentkit.store import Store

_HEAD = (
    " turn    input   cached  uncached   output        $ |  prefix  ledger summary    user replies "
    "results cleared"
)


@click.command()
@click.argument("run", metavar="RUN")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--plot",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.svg",
    help="Draw context size, cached share and dollars over the turns.",
)
def context(run: str, *, as_json: bool, file: Path | None) -> None:
    """Explain the context of RUN, an id or its beginning.

    Tokens are as the provider counted them; their parts are shares by bytes. An edit shows the
    turns after which it pays for itself, as predicted and as it turned out.

    \b
    agentkit context 0191f3
    agentkit context 0191f3 --plot context.svg
    """
    if file is not None and file.suffix.lower() != ".svg":
        raise ConfigError(f"--plot {file}: expected a name that ends in .svg.")
    events, turns = with_store(lambda store: explained(store, run))
    if file is not None:
        write_file(file, plot(events[0].run_id, turns).encode())
        click.echo(f"wrote {file}", err=True)
    if as_json:
        rows = [asdict(turn) for turn in turns]
        found = {"run_id": events[0].run_id, "totals": totals(turns), "turns": rows}
        click.echo(orjson.dumps(found).decode())
    elif file is None:
        click.echo("\n".join(_lines(turns)))


async def explained(store: Store, run_id: str) -> tuple[list[Event], list[Turn]]:
    """Return the events of a run and what they say of its context.

    Raises:
        RunNotFound: no such run.
        LogUnreadable: the log does not begin with the start of a run.
    """
    events = await store.load(run_id)
    started = events[0].body
    if not isinstance(started, RunStarted):
        raise LogUnreadable(f"The log of {run_id!r} does not begin with the start of a run.")
    system = (await _blob(store, started.instructions, "instructions")).decode()
    tools = await _blob(store, started.tools, "tools")
    info = find(started.model)
    price = info.price if info else None
    # The spelling of other dialects differs by some bytes a message; shares stay what they are.
    fresh = Context(
        system,
        without_reader(tools),
        lambda message: wire.encode(message, ZAI),
        reading=tools,
        price=price,
    )
    return events, explain(events, fresh)


async def _blob(store: Store, sha256: str, what: str) -> bytes:
    """Return a part of the prompt; where it is lost, the sums are right all the same."""
    try:
        return await store.get_blob(sha256)
    except StoreError as error:
        click.echo(f"The {what} are counted as the rest of the prompt: {error}", err=True)
        return b""


def _lines(turns: Sequence[Turn]) -> Iterator[str]:
    yield _HEAD
    for row in turns:
        usage, kinds = row.usage, row.kinds
        cost = "       ?" if row.cost_usd is None else f"{row.cost_usd:>8.4f}"
        yield (
            f"{row.turn:>5} {usage.input:>8,} {usage.cached:>8,} {usage.uncached:>9,} "
            f"{usage.output:>8,} {cost} |{kinds.prefix:>8,}{kinds.ledger:>8,}{kinds.summary:>8,}"
            f"{kinds.user:>8,}{kinds.replies:>8,}{kinds.results:>8,}{kinds.cleared:>8,}"
        )
        yield from (f"      ^ {line}" for line in remarks(row))
    sums = totals(turns)
    cost = "unknown" if sums["cost_usd"] is None else f"${sums['cost_usd']:.4f}"
    yield (
        f"\n{sums['turns']} turns, {cost}, {sums['cached_share']:.1%} cached, "
        f"{sums['mean_context']:,} tokens on average, {sums['largest_context']:,} at most"
    )
    yield (
        f"{sums['edits']} edits ({sums['compactions']} compactions), {sums['offloaded']} texts "
        f"offloaded, {sums['cold_calls']} cold calls, {sums['prefix_breaks']} prefix breaks, "
        f"{sums['overflows']} overflows"
    )


def remarks(row: Turn) -> list[str]:
    """Return what happened to the prompt before a reply, in words."""
    said = [_edit(edit) for edit in row.edits]
    said += [f"prefix break: {text}" for text in row.breaks]
    said += [f"cold call: {row.cold}"] if row.cold else []
    said += [f"prompts too long: {row.overflows}"] if row.overflows else []
    said += [f"texts offloaded: {row.offloaded}"] if row.offloaded else []
    return said


def _edit(edit: EditRow) -> str:
    if not edit.rewritten and edit.realised is None:
        return f"{edit.kind} ({edit.reason}): {edit.removed:,} tokens removed, at no cost"
    predicted = "?" if edit.predicted is None else f"{edit.predicted:.1f}"
    realised = "?" if edit.realised is None else f"{edit.realised:.1f}"
    cost = "" if edit.cost_usd is None else f", it cost ${edit.cost_usd:.4f}"
    return (
        f"{edit.kind} ({edit.reason}): {edit.removed:,} tokens removed, {edit.rewritten:,} "
        f"rewritten; pays after {predicted} turns as predicted, {realised} in fact{cost}"
    )
