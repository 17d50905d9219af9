"""What `agentkit run` was asked to do: an agent as data, kept in the log so that it can go on."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click

from agentkit.agent import Agent, update_plan
from agentkit.agent.agent import INSTRUCTIONS
from agentkit.cli.sources import sources, tool_options
from agentkit.config import Settings
from agentkit.errors import ConfigError
from agentkit.events import Event, Noted
from agentkit.mcp import Elicit
from agentkit.model import GLM
from agentkit.tool import ApprovalPolicy, Approver, Rule
from agentkit.usage import Limits

TOPIC = "command"
"""Topic of the note that keeps a command in the log."""

_SECRET = re.compile(r"key|token|secret|passw|auth|://[^/]*@|\?", re.IGNORECASE)
"""What an `--mcp` looks like that may hold a secret."""
_WITHHELD = "(not kept in the log)"

_HINTS = ("destructive", "open_world", "read_only")


@dataclass(frozen=True, slots=True)
class Command:
    """The options that make an agent; each as the command line gave it.

    Attributes:
        tools: each `--tools`.
        servers: each `--mcp`.
        model: name of the model.
        base_url: endpoint, or None for the configured one.
        provider: dialect, or None for what the host implies.
        instructions: the system prompt.
        turns: limit.
        cost: limit in dollars, or None.
        seconds: limit of wall time, or None.
        ask: tools, or hints such as `destructive`, whose calls are asked about.
        deny: those whose calls are denied.
    """

    tools: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    model: str = "glm-5"
    base_url: str | None = None
    provider: str | None = None
    instructions: str = INSTRUCTIONS
    turns: int = 50
    cost: float | None = None
    seconds: float | None = None
    ask: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()

    def agent(self, approver: Approver | None = None, elicit: Elicit | None = None) -> Agent:
        """Return the agent.

        Args:
            approver: answers which calls may run.
            elicit: answers what MCP servers ask the user.

        Raises:
            ConfigError: an option that does not fit.
        """
        if _WITHHELD in self.servers:
            raise ConfigError(
                "An --mcp of this run may have held a secret, so the log does not have it. Give "
                "--mcp again."
            )
        rules = [_rule("deny", one) for one in self.deny] + [_rule("ask", one) for one in self.ask]
        return Agent(
            GLM(self.model, base_url=self.base_url, provider=self.provider),
            instructions=self.instructions,
            tools=[update_plan, *sources(self.tools, self.servers, elicit)],
            limits=Limits(turns=self.turns, cost_usd=self.cost, seconds=self.seconds),
            approval=ApprovalPolicy(tuple(rules)),
            approver=approver,
            name="run",
        )

    def note(self) -> Noted:
        """Return the note that keeps this command in a run's log, without what may be a secret."""
        servers = [_WITHHELD if _SECRET.search(one) else one for one in self.servers]
        data = {**asdict(self), "servers": servers}
        return Noted(topic=TOPIC, text="made by agentkit run", data=data)

    def changed(self, options: Mapping[str, Any]) -> Command:
        """Return the command with the options that were given again."""
        return replace(self, **{k: v for k, v in options.items() if v is not None and v != ()})


def command_of(events: list[Event]) -> Command:
    """Return the command that a log was made by.

    Raises:
        ConfigError: the run was not made by the command line.
    """
    for event in events:
        if isinstance(event.body, Noted) and event.body.topic == TOPIC:
            kept: dict[str, Any] = dict(event.body.data)
            for key in ("tools", "servers", "ask", "deny"):
                kept[key] = tuple(kept[key])
            return Command(**kept)
    raise ConfigError(
        f"Run {events[0].run_id} was not made by `agentkit run`, so its agent is not in the log. "
        "Name it with --agent FILE.py:NAME."
    )


def model_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that choose a model and its endpoint."""
    for option in (
        click.option("--provider", help="Dialect of the endpoint; default: by its host."),
        click.option("--base-url", metavar="URL", help="Endpoint; default ZAI_BASE_URL or Z.ai."),
        click.option("--model", metavar="NAME", help="Model; default AGENTKIT_MODEL or glm-5."),
    ):
        command = option(command)
    return command


def agent_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that make a Command; their names are its fields."""
    for option in reversed(
        (
            tool_options,
            model_options,
            click.option(
                "--instructions", metavar="TEXT", help="The system prompt; @FILE reads a file."
            ),
            click.option("--turns", type=click.IntRange(1), help="Limit. Default 50."),
            click.option("--cost", type=float, metavar="USD", help="Limit in dollars."),
            click.option("--seconds", type=float, help="Limit of wall time."),
            click.option(
                "--ask",
                multiple=True,
                metavar="TOOL|HINT",
                help="Ask before calls of a tool (`shell_*`, `*`) or with a hint (`destructive`, "
                "`open_world`). Without a terminal the run pauses. Several times.",
            ),
            click.option(
                "--deny", multiple=True, metavar="TOOL|HINT", help="Deny such calls. Several times."
            ),
        )
    ):
        command = option(command)
    return command


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a Command that the options of `agent_options` give."""
    found = dict(options)
    found["tools"] = found.pop("names")
    if text := found.get("instructions"):
        found["instructions"] = read_text(text)
    return found


def command_from(options: Mapping[str, Any]) -> Command:
    """Return the command that the options of `agent_options` make, with the environment's model."""
    return Command(model=Settings.load().model).changed(given(options))


def read_text(value: str) -> str:
    """Return a text option; `@FILE` stands for what the file holds.

    Raises:
        ConfigError: the file cannot be read.
    """
    if not value.startswith("@"):
        return value
    try:
        return Path(value[1:]).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{value}: cannot be read: {error}.") from error


def _rule(decision: Any, name: str) -> Rule:
    if name in _HINTS:
        return Rule(decision, hint=name, reason=f"{name} tool")
    return Rule(decision, name)
