"""`agentkit fork`, `replay` and `diff`: other courses of a run, and how they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import click
import orjson

from agentkit.agent.fork import fork as fork_run
from agentkit.agent.replay import replay as replay_run
from agentkit.cli.command import agent_options
from agentkit.cli.execute import Job, answer, execute, summarize
from agentkit.cli.live import stderr_view
from agentkit.cli.run import agent_of, output_options
from agentkit.cli.stored import with_store
from agentkit.errors import ConfigError
from agentkit.store import Store
from agentkit.trace.diff import Pair, Turn, compare


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--at", type=int, metavar="SEQ", help="Last event that is copied; default the last.")
@click.option("--edit", metavar="TEXT", help="Other text for that user message or tool result.")
@click.option(
    "--go/--no-go", default=True, help="Whether the fork goes on at once.", show_default=True
)
@click.option("--agent", "path", metavar="FILE.py:NAME", help="The agent, for runs of Python code.")
@agent_options
@output_options
def fork(
    *,
    run_id: str,
    at: int | None,
    edit: str | None,
    go: bool,
    path: str | None,
    artifacts: Any,
    as_json: bool,
    **options: Any,
) -> None:
    """Go on from the middle of RUN, in a new run.

    The head of RUN is copied; RUN stays as it is. `agentkit runs show RUN` lists the events with
    their SEQ.

    \b
    agentkit fork 01a2 --at 12 --model glm-5.3
    agentkit fork 01a2 --at 2 --edit "Only the second table."
    """
    view = stderr_view(quiet=as_json)

    async def work(store: Store) -> None:
        if not go:
            click.echo(await fork_run(store, run_id, at=at, edit=edit))
            return
        agent = await agent_of(store, run_id, path, options, view)
        forked = await fork_run(store, run_id, at=at, edit=edit)
        job = Job(agent, None, forked, accept_changes=True)
        try:
            outcome = await execute(job, view, as_json=as_json, artifacts=artifacts)
        except ConfigError as error:  # such as a missing key
            error.add_note(f"go on with: agentkit resume {forked}")
            raise
        summarize(outcome)

    with_store(work)


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option(
    "--from-log",
    type=click.Choice(["both", "tools", "model"]),
    default="both",
    show_default=True,
    help="What answers from the log. both: a regression test without cost or effects; tools: the "
    "model is asked anew; model: the tools run anew.",
)
@click.option("--agent", "path", metavar="FILE.py:NAME", help="The agent, for runs of Python code.")
@agent_options
def replay(*, run_id: str, from_log: str, path: str | None, **options: Any) -> None:
    """Make RUN again, answered from its log.

    Its model, its tools or both answer from the log; what comes is a new run. Exit code 0 when what
    was asked for came through, 1 when the replay diverged. Compare the two with `agentkit diff`.

    \b
    agentkit replay 01a2
    agentkit replay 01a2 --from-log tools --model glm-5.3
    """

    async def work(store: Store) -> None:
        events = await store.load(run_id)
        agent = await agent_of(store, run_id, path, options, None)
        result = await replay_run(
            replace(agent, store=store),
            events,
            model="anew" if from_log == "tools" else "log",
            tools="anew" if from_log == "model" else "log",
            blobs=store,
        )
        differ = sum(
            pair.change != "same" for pair in compare(events, await store.load(result.run_id))
        )
        click.echo(f"turns: {result.turns}, different: {differ} · run {result.run_id}", err=True)
        if not result.pending:
            answer(result.output)

    with_store(work)


@click.command()
@click.argument("left", metavar="RUN")
@click.argument("right", metavar="OTHER")
@click.option("--json", "as_json", is_flag=True, help="One JSON line for each pair of turns.")
def diff(*, left: str, right: str, as_json: bool) -> None:
    """Compare two runs turn by turn.

    What is shown: calls, results, dollars, cached share. Exit code 0 when all turns are the same, 1
    when some differ.
    """

    async def work(store: Store) -> bool:
        pairs = compare(await store.load(left), await store.load(right))
        if as_json:
            for pair in pairs:
                click.echo(orjson.dumps(pair).decode())
        else:
            _table(pairs, left, right)
        return all(pair.change == "same" for pair in pairs)

    if not with_store(work):
        raise click.exceptions.Exit(1)


_MARKS = {
    "same": ("=", "dim"),
    "result": ("≠ results", "yellow"),
    "calls": ("≠ calls", "red"),
    "left": ("only here", "red"),
    "right": ("only there", "green"),
}


def _table(pairs: list[Pair], left: str, right: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("", left[:24], right[:24]):
        table.add_column(title, overflow="fold")
    for pair in pairs:
        mark, style = _MARKS[pair.change]
        table.add_row(mark, _turn(pair.left), _turn(pair.right), style=style)
    table.add_section()
    table.add_row(
        "", *[_total(turns) for turns in zip(*[(p.left, p.right) for p in pairs], strict=True)]
    )
    Console().print(table)


def _turn(turn: Turn | None) -> str:
    if turn is None:
        return ""
    calls = [f"{call.name}({_short(call.arguments)}) {call.status}" for call in turn.calls]
    cost = "" if turn.cost_usd is None else f" ${turn.cost_usd:.4f}"
    head = f"#{turn.seq} {turn.usage.input:,} in, {turn.usage.cached_share:.0%} cached{cost}"
    return "\n".join([head, *(calls or [_short(turn.text)])])


def _total(turns: Sequence[Turn | None]) -> str:
    found = [turn for turn in turns if turn is not None]
    known = [turn.cost_usd for turn in found if turn.cost_usd is not None]
    tokens = sum(turn.usage.input for turn in found)
    cached = sum(turn.usage.cached for turn in found)
    share = cached / tokens if tokens else 0.0
    return f"{len(found)} turns, {tokens:,} in, {share:.0%} cached, ${sum(known):.4f}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:59]}…"
