"""`agentkit chat`: a conversation with an agent, in the terminal or from a script."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from agentkit.agent import Agent
from agentkit.cli.chat_commands import COMMANDS
from agentkit.cli.command import agent_options, command_from
from agentkit.cli.conversation import NAME, Conversation
from agentkit.cli.elicit import terminal_elicit
from agentkit.cli.execute import PAUSED, terminated_like_interrupted
from agentkit.cli.files import artifacts_option
from agentkit.cli.lines import open_lines
from agentkit.cli.live import View, stderr_view
from agentkit.cli.run import agent_of
from agentkit.config import Settings
from agentkit.errors import ConfigError
from agentkit.events import Noted
from agentkit.store import Store, open_store

_LATEST = "-"
_LOOKED_THROUGH = 500


@click.command()
@click.option(
    "--resume",
    "run_id",
    is_flag=False,
    flag_value=_LATEST,
    metavar="[RUN]",
    help="Go on with RUN, any run of the log; without RUN with the last chat.",
)
@click.option(
    "--accept-changes",
    is_flag=True,
    help="Go on although model, instructions or tools differ from the log's.",
)
@click.option("--agent", "path", metavar="FILE.py:NAME", help="An agent that Python code made.")
@artifacts_option("Folder for files that tools made.")
@agent_options
def chat(
    *,
    run_id: str | None,
    accept_changes: bool,
    path: str | None,
    artifacts: Path,
    **options: Any,
) -> None:
    """Hold a conversation with an agent.

    It has the options of `agentkit run`, one log and any number of messages. Enter sends, Alt-Enter
    begins another line, Ctrl-C cancels the turn, Ctrl-D leaves; /help lists the commands, such as
    /undo. --turns and --seconds hold for each message, --cost for the whole conversation. Without a
    terminal each line of standard input is a message; a line that ends in a backslash goes on in
    the next. Exit code 0; 1: the last message failed; 3: a call waits for approval; 130:
    interrupted.

    \b
    agentkit chat --tools code --tools documents:notes/
    agentkit chat --tools tools.py --ask destructive
    agentkit chat --resume
    printf '%s\\n' "What is 2**100?" "And its last digit?" | agentkit chat
    """
    asyncio.run(_chat(run_id, path, artifacts, options, accept=accept_changes))


async def _chat(
    run_id: str | None, path: str | None, artifacts: Path, options: dict[str, Any], *, accept: bool
) -> None:
    view = stderr_view()
    lines = open_lines(Settings.load().home / "chat_history", [f"/{name}" for name in COMMANDS])
    store = open_store()
    try:
        if run_id == _LATEST:
            run_id = await _latest(store)
        agent, note = await _agent(store, run_id, path, options, view)
        conversation = Conversation(agent, store, view, lines, artifacts, note=note)
        with terminated_like_interrupted():
            await conversation.hold(run_id, accept_changes=accept)
    finally:
        await store.close()
    if not lines.is_terminal and conversation.failed:
        raise click.exceptions.Exit(1)
    if conversation.waits:
        raise click.exceptions.Exit(PAUSED)


async def _agent(
    store: Store, run_id: str | None, path: str | None, options: dict[str, Any], view: View
) -> tuple[Agent[Any], Noted | None]:
    """Return the agent, and the note that lets the log of a new chat make it again."""
    if run_id is None and path is None:
        command = command_from(options)
        agent = command.agent(elicit=terminal_elicit(view.hidden))
        return replace(agent, name=NAME, store=store), command.note()
    return await agent_of(store, run_id or "", path, options, view), None


async def _latest(store: Store) -> str:
    """Return the id of the last chat.

    Raises:
        ConfigError: there is none.
    """
    for run in await store.runs(_LOOKED_THROUGH):
        if run.agent == NAME and run.parent_run is None:
            return run.run_id
    raise ConfigError("There is no chat to resume. `agentkit chat` begins one.")
