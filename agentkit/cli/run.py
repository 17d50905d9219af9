"""`agentkit run` and `agentkit resume`: an agent on one task, from the shell."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import click

from agentkit.agent import Agent
from agentkit.cli.approve import terminal_approver
from agentkit.cli.command import agent_options, command_from, command_of, given
from agentkit.cli.elicit import terminal_elicit
from agentkit.cli.execute import Job, Outcome, execute, summarize
from agentkit.cli.files import artifacts_option
from agentkit.cli.live import View, stderr_view
from agentkit.cli.sources import named
from agentkit.cli.stored import with_store
from agentkit.errors import ConfigError
from agentkit.store import Store


def output_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say where artifacts go and what is printed."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print durable events as JSON lines."),
        artifacts_option("Folder for files that tools made."),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("task")
@agent_options
@output_options
def run(*, task: str, artifacts: Path, as_json: bool, **options: Any) -> None:
    """Run an agent on TASK; `-` reads the task from standard input.

    The answer goes to stdout, everything else to stderr. Exit code 0: done; 1: failed; 2: wrong
    usage; 3: a call waits for approval, and `agentkit resume` goes on; 130: interrupted.

    \b
    agentkit run "What is 2**100? Use code." --tools code
    agentkit run "Summarise the prices, with sources." --tools documents:notes/
    agentkit run "What time is it in Oslo?" --mcp "uvx mcp-server-time"
    agentkit run "Tidy the folder." --tools tools.py --ask destructive
    """
    command = command_from(options)
    view = stderr_view(quiet=as_json)
    text = sys.stdin.read() if task == "-" else task
    if not text.strip():
        raise click.UsageError("TASK is empty. Say what is to be done.")
    agent = command.agent(terminal_approver(view), terminal_elicit(view.hidden))
    job = Job(agent, text, note=command.note())
    summarize(asyncio.run(execute(job, view, as_json=as_json, artifacts=artifacts)))


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--say", metavar="TEXT", help="A further user message, once the run is done.")
@click.option("--approve", multiple=True, metavar="CALL", help="Allow a call that waits.")
@click.option("--deny-call", multiple=True, metavar="CALL[=REASON]", help="Deny a call that waits.")
@click.option(
    "--accept-changes",
    is_flag=True,
    help="Go on although model, instructions or tools differ from the log's.",
)
@click.option(
    "--agent", "path", metavar="FILE.py:NAME", help="The agent, for runs that Python code made."
)
@agent_options
@output_options
def resume(  # noqa: PLR0913 - one parameter for each option
    *,
    run_id: str,
    say: str | None,
    approve: tuple[str, ...],
    deny_call: tuple[str, ...],
    accept_changes: bool,
    path: str | None,
    artifacts: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Go on with RUN from wherever its log stands.

    The beginning of its id is enough. It may have been killed, interrupted, paused for an approval,
    or stopped by a limit. What is finished is not done again. A run that `agentkit run` made needs
    no options; those given here replace the old ones, and what would change the prompt needs
    --accept-changes.

    \b
    agentkit resume 01a2
    agentkit resume 01a2 --approve call_7 --deny-call call_8="not this file"
    agentkit resume 01a2 --turns 200
    """
    answers: dict[str, bool | str] = dict.fromkeys(approve, True)
    for one in deny_call:
        call, _, reason = one.partition("=")
        answers[call] = reason or False
    view = stderr_view(quiet=as_json)

    async def work(store: Store) -> Outcome:
        agent = await agent_of(store, run_id, path, options, view)
        job = Job(agent, say, run_id, answers=answers, accept_changes=accept_changes)
        return await execute(job, view, as_json=as_json, artifacts=artifacts)

    summarize(with_store(work))


async def agent_of(
    store: Store, run_id: str, path: str | None, options: dict[str, Any], view: View | None
) -> Agent[Any]:
    """Return the agent that goes on with a run: named, or as the command in its log made it.

    Raises:
        ConfigError: the log has no command, or `path` names no agent.
    """
    if path is None:
        command = command_of(await store.load(run_id))
        changed = command.changed(given(options))
        asking = (terminal_approver(view), terminal_elicit(view.hidden)) if view else (None, None)
        return replace(changed.agent(*asking), store=store)
    found = named(path, "--agent")
    if len(found) != 1 or not isinstance(found[0], Agent):
        got = ", ".join(type(one).__name__ for one in found) or "nothing"
        raise ConfigError(f"--agent {path}: expected an Agent, as FILE.py:NAME, got {got}.")
    return replace(cast("Agent[Any]", found[0]), store=store)
