"""The command line: a command is imported when it runs, so that `--help` is quick."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from agentkit import plugins
from agentkit.config import Settings
from agentkit.errors import AgentkitError, ConfigError
from agentkit.log import add_ids

COMMANDS = {
    "chat": ("agentkit.cli.chat:chat", "Hold a conversation with an agent."),
    "context": ("agentkit.cli.context:context", "Explain the context of RUN turn by turn."),
    "demo": (
        "agentkit.cli.demo:demo",
        "Search documents, plot what they say, answer with sources.",
    ),
    "diff": ("agentkit.cli.fork:diff", "Compare two runs turn by turn."),
    "doctor": ("agentkit.cli.doctor:doctor", "Say what is here and what is missing."),
    "export": (
        "agentkit.cli.export:export",
        "Write stored runs as training data or OpenTelemetry spans.",
    ),
    "fork": ("agentkit.cli.fork:fork", "Go on from the middle of RUN, in a new run."),
    "replay": ("agentkit.cli.fork:replay", "Make RUN again, answered from its log."),
    "resume": ("agentkit.cli.run:resume", "Go on with RUN from wherever its log stands."),
    "run": ("agentkit.cli.run:run", "Run an agent on TASK."),
    "runs": ("agentkit.cli.runs:runs", "Look at stored runs, follow one, delete old ones."),
    "setup": (
        "agentkit.cli.setup_command:setup",
        "Install packages, Docker and the sandbox image.",
    ),
    "tools": ("agentkit.cli.tools:tools", "List, describe and call tools as an agent would."),
    "trace": ("agentkit.cli.trace:trace", "Write the page of RUN, one HTML file."),
}
"""Our commands: where each stands, and its line in `--help`."""

READERS = frozenset({"context", "diff", "export", "runs", "trace"})
"""Commands that only read the log, and write none for the operator."""

INTERRUPTED = 130


class _Commands(click.Group):
    """Own commands by module path, others by entry point."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted({*COMMANDS, *plugins.names(plugins.COMMANDS)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name in COMMANDS:
            module, _, attribute = COMMANDS[cmd_name][0].partition(":")
            return getattr(import_module(module), attribute)
        if cmd_name in plugins.names(plugins.COMMANDS):
            return plugins.load(plugins.COMMANDS, cmd_name)
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List all commands; click's own way imports each for its first line."""
        rows: list[tuple[str, str]] = []
        for name in self.list_commands(ctx):
            if name in COMMANDS:
                rows.append((name, COMMANDS[name][1]))
            elif command := self.get_command(ctx, name):
                rows.append((name, command.get_short_help_str(60)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="agentkit-glm", prog_name="agentkit")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Agents on GLM-5: parallel tools, document search, code in a sandbox, a durable log.

    \b
    agentkit demo                      see it work, without a key
    agentkit run "task" --tools code   run an agent
    agentkit chat                      a conversation with one
    agentkit runs list                 what ran, and how it went on
    agentkit doctor                    what is here and what is missing

    Keys and defaults come from the environment: ZAI_API_KEY, ZAI_BASE_URL, AGENTKIT_MODEL,
    AGENTKIT_HOME or AGENTKIT_STORE (the log), AGENTKIT_LOG (level of the log on stderr).
    """
    settings = Settings.load()
    number = level_of(settings.log_level)
    if ctx.invoked_subcommand not in READERS:
        configure_log(number, colors=sys.stderr.isatty() and not settings.no_color)


def main() -> None:
    """Run the command line: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    try:
        color = False if Settings.load().no_color else None
        code = cli.main(prog_name="agentkit", standalone_mode=False, color=color)
    except click.exceptions.Abort:
        code = INTERRUPTED
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        code = INTERRUPTED
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except AgentkitError as error:
        click.echo("\n".join([f"Error: {error}", *getattr(error, "__notes__", ())]), err=True)
        code = 2 if isinstance(error, ConfigError) else 1
    sys.exit(code if isinstance(code, int) else 0)


def level_of(name: str) -> int:
    """Return the number of a log level.

    Raises:
        ConfigError: there is none of this name.
    """
    import logging

    number = logging.getLevelNamesMapping().get(name.upper())
    if number is None:
        raise ConfigError(
            f"AGENTKIT_LOG={name!r} is no level. Expected debug, info, warning or error."
        )
    return number


def configure_log(number: int, *, colors: bool) -> None:
    """Send the operator's log to stderr, from a level on."""
    import structlog  # takes longer than to list the runs

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            add_ids,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(colors=colors),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


if __name__ == "__main__":
    main()
