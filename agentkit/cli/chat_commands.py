"""The commands of `agentkit chat`: lines that begin with a slash and are not for the model."""

from __future__ import annotations

import difflib
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agentkit.agent.fork import fork as fork_run
from agentkit.cli.files import write_file
from agentkit.cli.live import spending
from agentkit.errors import ConfigError
from agentkit.events import UserMessage
from agentkit.messages import plain_text

if TYPE_CHECKING:
    from agentkit.cli.conversation import Conversation

_COMMAND = re.compile(r"/([a-z]+)(?:\s+(.*))?", re.DOTALL)


async def obey(talk: Conversation, text: str) -> bool:
    """Do what a line says if it is a command; return whether it was one.

    A line that begins with two slashes, or with a path, is a message.

    Raises:
        AgentkitError: the command could not be done.
    """
    found = _COMMAND.fullmatch(text.strip())
    if found is None:
        return False
    name, rest = found[1], (found[2] or "").strip()
    if name in COMMANDS:
        await COMMANDS[name](talk, rest)
        return True
    near = difflib.get_close_matches(name, COMMANDS, 1)
    meant = f" Did you mean /{near[0]}?" if near else " /help lists them."
    talk.say(f"There is no command /{name}.{meant} Begin a message with // to send it.", "yellow")
    return True


async def help_(talk: Conversation, rest: str) -> None:  # noqa: ARG001 - as all commands
    """List the commands."""
    for name, command in COMMANDS.items():
        talk.say(f"  {'/' + name:<10} {(command.__doc__ or '').strip()}")
    talk.say(
        "Enter sends; Alt-Enter, or a backslash at the end, begins another line; Ctrl-C cancels "
        "the turn; Ctrl-D leaves."
    )


async def undo(talk: Conversation, rest: str) -> None:  # noqa: ARG001
    """Take the last message back, with all that followed; the log keeps the old course."""
    said = [event for event in talk.run.events if isinstance(event.body, UserMessage)]
    if not said:
        raise ConfigError("There is no message to take back.")
    body = said[-1].body
    assert isinstance(body, UserMessage)
    talk.goes_to = await fork_run(talk.store, talk.run.id, at=said[-1].seq - 1)
    talk.draft = plain_text(body.content)


async def fork(talk: Conversation, rest: str) -> None:  # noqa: ARG001
    """Go on in a copy; `agentkit chat --resume` with this run's id comes back here."""
    if not talk.is_asked:
        raise ConfigError("There is nothing to copy yet.")
    talk.say(f"left run {talk.run.id} as it is")
    talk.goes_to = await fork_run(talk.store, talk.run.id, at=len(talk.run.events) - 1)


async def continue_(talk: Conversation, rest: str) -> None:  # noqa: ARG001
    """Go on with a turn that was cancelled, failed or killed."""
    if talk.run.standing.finished is not None:
        raise ConfigError("The last message is answered; there is nothing to go on with.")
    await talk.turn(talk.run.resume())


async def approve(talk: Conversation, rest: str) -> None:
    """Allow the call that waits, or the one whose id follows; then the turn goes on."""
    await talk.run.approve(_waiting(talk, rest))
    await _go_on(talk)


async def deny(talk: Conversation, rest: str) -> None:
    """Deny the call that waits; what follows tells the model why."""
    pending = {name for one in talk.run.pending for name in (one.call_id, one.address)}
    call, _, reason = rest.partition(" ")
    if call not in pending:
        call, reason = _waiting(talk, ""), rest
    await talk.run.deny(call, reason)
    await _go_on(talk)


async def compact(talk: Conversation, rest: str) -> None:  # noqa: ARG001
    """Shorten what the model is sent: a summary for the older part; the log keeps all."""
    removed = await talk.run.compact()
    tokens = f"{talk.run.context.tokens:,}"
    if removed:
        talk.say(f"{removed:,} tokens left the prompt; the next one has about {tokens}")
    else:
        talk.say(f"nothing to compact: the next prompt has about {tokens} tokens")


async def cost(talk: Conversation, rest: str) -> None:  # noqa: ARG001
    """Say what was spent, and how full the context is."""
    run = talk.run
    talk.say(f"{spending(run.measure())} · run {run.id}")  # with sub-agents that wait
    window = run.parts.model.window
    share = f" of {window:,} ({run.context.tokens / window:.0%})" if window else ""
    talk.say(f"the next prompt has about {run.context.tokens:,} tokens{share}")
    if limit := talk.agent.limits.cost_usd:
        talk.say(f"limit of the conversation: ${limit:.2f}")


async def tools(talk: Conversation, rest: str) -> None:  # noqa: ARG001
    """List the tools that the model has."""
    for name, tool in sorted(talk.run.parts.tools.items()):
        hints = [
            word
            for word in ("read_only", "idempotent", "destructive", "open_world")
            if getattr(tool, word)
        ]
        first = tool.description.strip().partition("\n")[0]
        said = f" ({', '.join(hints)})" if hints else ""
        talk.say(f"  {name:<24} {first}{said}")


async def trace(talk: Conversation, rest: str) -> None:
    """Write the page of this run, to the file that follows or run-ID.html."""
    from agentkit.trace import render_page

    path = Path(rest) if rest else Path(f"run-{talk.run.id}.html")
    write_file(path, await render_page(talk.store, talk.run.id))
    talk.say(f"wrote {path.resolve()}")


async def quit_(talk: Conversation, rest: str) -> None:  # noqa: ARG001
    """Leave; so does Ctrl-D."""
    talk.is_over = True


def _waiting(talk: Conversation, call: str) -> str:
    """Return the id of the call that is meant: the one named, or the only one that waits."""
    pending = [question.address for question in talk.run.pending]
    if call:
        return call
    if len(pending) != 1:
        which = f"Say which: {', '.join(pending)}." if pending else "No call waits for approval."
        raise ConfigError(which)
    return pending[0]


async def _go_on(talk: Conversation) -> None:
    if not talk.waits:
        await talk.turn(talk.run.resume())
    else:
        click.echo(f"{len(talk.run.pending)} more wait", err=True)


COMMANDS: Mapping[str, Callable[[Conversation, str], Awaitable[None]]] = {
    "help": help_,
    "undo": undo,
    "fork": fork,
    "continue": continue_,
    "approve": approve,
    "deny": deny,
    "compact": compact,
    "cost": cost,
    "tools": tools,
    "trace": trace,
    "quit": quit_,
}
