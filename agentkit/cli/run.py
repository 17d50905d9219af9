"""`agentkit run`: an agent on one task, from the shell."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import click

from agentkit.agent import Agent, update_plan
from agentkit.agent.agent import INSTRUCTIONS
from agentkit.cli.execute import execute, summarize
from agentkit.cli.sources import sources, tool_options
from agentkit.config import Settings
from agentkit.errors import ConfigError
from agentkit.model import GLM
from agentkit.usage import Limits


def model_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that choose a model and its endpoint."""
    for option in (
        click.option("--provider", help="Dialect of the endpoint; default: by its host."),
        click.option("--base-url", metavar="URL", help="Endpoint; default ZAI_BASE_URL or Z.ai."),
        click.option("--model", metavar="NAME", help="Model; default AGENTKIT_MODEL or glm-5."),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("task")
@tool_options
@model_options
@click.option("--instructions", metavar="TEXT", help="The system prompt; @FILE reads a file.")
@click.option("--turns", type=click.IntRange(1), default=50, show_default=True, help="Limit.")
@click.option("--cost", type=float, metavar="USD", help="Limit in dollars.")
@click.option("--seconds", type=float, help="Limit of wall time.")
@click.option(
    "--artifacts",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("artifacts"),
    show_default=True,
    help="Folder for files that tools made.",
)
@click.option("--json", "as_json", is_flag=True, help="Print durable events as JSON lines.")
def run(  # noqa: PLR0913 - one parameter for each option
    *,
    task: str,
    names: tuple[str, ...],
    servers: tuple[str, ...],
    model: str | None,
    base_url: str | None,
    provider: str | None,
    instructions: str | None,
    turns: int,
    cost: float | None,
    seconds: float | None,
    artifacts: Path,
    as_json: bool,
) -> None:
    r"""Run an agent on TASK; `-` reads the task from standard input.

    The answer goes to stdout, everything else to stderr.

    \b
    agentkit run "What is 2**100? Use code." --tools code
    agentkit run "Summarise the prices, with sources." --tools documents:notes/
    agentkit run "What time is it in Oslo?" --mcp "uvx mcp-server-time"
    """
    agent = Agent(
        GLM(model or Settings.load().model, base_url=base_url, provider=provider),
        instructions=_text(instructions) if instructions else INSTRUCTIONS,
        tools=[update_plan, *sources(names, servers)],
        limits=Limits(turns=turns, cost_usd=cost, seconds=seconds),
        name="run",
    )
    text = sys.stdin.read() if task == "-" else task
    summarize(asyncio.run(execute(agent, text, as_json=as_json, artifacts=artifacts)))


def _text(value: str) -> str:
    if not value.startswith("@"):
        return value
    try:
        return Path(value[1:]).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--instructions {value}: cannot be read: {error}.") from error
