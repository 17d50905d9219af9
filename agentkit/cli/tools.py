"""`agentkit tools`: list, describe and call tools from the shell, as an agent would."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import click
import orjson

from agentkit import plugins
from agentkit.cli.elicit import terminal_elicit
from agentkit.cli.execute import terminated_like_interrupted
from agentkit.cli.files import artifacts_option, save
from agentkit.cli.sources import named, sources, tool_options
from agentkit.errors import ConfigError
from agentkit.events import ArtifactRef, Body, Ephemeral, ToolFinished, ToolProgress, ToolStarted
from agentkit.messages import ToolCall
from agentkit.tool import Artifact, Dispatcher, Tool, collect

_FLAGS = ("read_only", "idempotent", "destructive", "open_world")


@click.group()
def tools() -> None:
    """List, describe and call tools as an agent would.

    \b
    agentkit tools list
    agentkit tools describe execute_code
    agentkit tools call grep_documents --tools documents:notes/ --args '{"pattern": "price"}'
    agentkit tools call everything__echo --mcp "npx -y @modelcontextprotocol/server-everything" \\
        --args '{"message": "hello"}'

    Without --tools and --mcp: every installed toolset that needs no argument.
    """


@tools.command("list")
@tool_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each tool.")
def list_(*, names: tuple[str, ...], servers: tuple[str, ...], as_json: bool) -> None:
    """List tools: name, hints, first line of the description."""

    async def work() -> None:
        async with _opened(names, servers) as found:
            if as_json:
                for tool in found:
                    click.echo(_dump(tool))
            else:
                _table(found)

    asyncio.run(work())


@tools.command()
@click.argument("name")
@tool_options
def describe(*, name: str, names: tuple[str, ...], servers: tuple[str, ...]) -> None:
    """Print what the model is told of the tool NAME, as JSON."""

    async def work() -> None:
        async with _opened(names, servers) as found:
            click.echo(_dump(_find(found, name), indented=True))

    asyncio.run(work())


@tools.command()
@click.argument("name")
@click.option(
    "--args", "text", default="", metavar="JSON", help="Arguments; `-` reads stdin, @FILE a file."
)
@tool_options
@artifacts_option("Folder for files that the tool makes.")
def call(
    *, name: str, text: str, names: tuple[str, ...], servers: tuple[str, ...], artifacts: Path
) -> None:
    """Call the tool NAME; exit 1 when its result is an error.

    What the model would read goes to stdout; repairs, progress and saved files go to stderr.
    """
    arguments = _arguments(text)

    async def work() -> ToolFinished:
        async with _opened(names, servers) as found:
            return await _call(found, _find(found, name), arguments, artifacts)

    finished = asyncio.run(work())
    click.echo(finished.content)
    if finished.status != "ok":
        raise click.exceptions.Exit(1)


async def _call(found: Sequence[Tool], tool: Tool, arguments: str, folder: Path) -> ToolFinished:
    ended: list[ToolFinished] = []

    async def record(bodies: Sequence[Body]) -> None:
        for body in bodies:
            if isinstance(body, ToolStarted):
                for repair in body.repairs:
                    click.echo(f"repaired {repair}", err=True)
            elif isinstance(body, ToolFinished):
                ended.append(body)

    async def keep(artifact: Artifact) -> ArtifactRef:
        path = await asyncio.to_thread(save, artifact, folder)
        click.echo(f"saved {path}", err=True)
        return ArtifactRef(artifact.name, artifact.media_type, "", len(artifact.data))

    def emit(event: Ephemeral) -> None:
        if isinstance(event, ToolProgress):
            click.echo(event.text, err=True)

    async with Dispatcher(found, run_id="shell") as dispatcher:
        one = ToolCall("call_0", tool.name, arguments)
        await dispatcher.dispatch([one], record, keep=keep, emit=emit)
    return ended[0]


@asynccontextmanager
async def _opened(names: Sequence[str], servers: Sequence[str]) -> AsyncGenerator[Sequence[Tool]]:
    """Open the tools that the options name; without any, those that are installed."""
    chosen = sources(names, servers, terminal_elicit()) if names or servers else _installed()
    with terminated_like_interrupted():
        async with AsyncExitStack() as stack:
            yield await collect(chosen, stack)


def _installed() -> list[Any]:
    found: list[Any] = []
    for short in plugins.names(plugins.TOOLS):
        try:
            found += named(short)
        except ConfigError as error:
            click.echo(f"left out: {error}", err=True)
    return found


def _find(found: Sequence[Tool], name: str) -> Tool:
    for tool in found:
        if tool.name == name:
            return tool
    raise ConfigError(
        f"There is no tool called {name!r}. There are: {', '.join(tool.name for tool in found)}."
    )


def _arguments(text: str) -> str:
    try:
        if text == "-":
            return sys.stdin.read()
        return Path(text[1:]).read_text("utf-8") if text.startswith("@") else text
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--args {text}: cannot be read: {error}.") from error


def _flags(tool: Tool) -> list[str]:
    return [flag for flag in _FLAGS if getattr(tool, flag, False)]


def _dump(tool: Tool, *, indented: bool = False) -> str:
    told = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "hints": _flags(tool),
        "group": tool.group,
        "timeout": tool.timeout,
    }
    options = orjson.OPT_NON_STR_KEYS | (orjson.OPT_INDENT_2 if indented else 0)
    return orjson.dumps(told, option=options).decode()


def _table(found: Sequence[Tool]) -> None:
    if not sys.stdout.isatty():
        for tool in found:
            click.echo(f"{tool.name}\t{tool.description.partition(chr(10))[0]}")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("tool", min_width=max((len(tool.name) for tool in found), default=0))
    table.add_column(
        "hints", min_width=max((len(" ".join(_flags(one))) for one in found), default=0)
    )
    table.add_column("description", overflow="ellipsis", no_wrap=True)
    for tool in found:
        first = tool.description.partition("\n")[0]
        table.add_row(tool.name, " ".join(_flags(tool)), first)
    Console().print(table)
