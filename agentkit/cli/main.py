"""The command line: each command is imported when it runs, and all of them for `--help`."""

from __future__ import annotations

import logging
import sys
from importlib import import_module

import click
import structlog

from agentkit import plugins
from agentkit.config import Settings
from agentkit.errors import AgentkitError, ConfigError
from agentkit.log import add_ids

COMMANDS = {
    "chat": "agentkit.cli.chat:chat",
    "context": "agentkit.cli.context:context",
    "demo": "agentkit.cli.demo:demo",
    "diff": "agentkit.cli.fork:diff",
    "doctor": "agentkit.cli.doctor:doctor",
    "fork": "agentkit.cli.fork:fork",
    "replay": "agentkit.cli.fork:replay",
    "resume": "agentkit.cli.run:resume",
    "export": "agentkit.cli.export:export",
    "run": "agentkit.cli.run:run",
    "runs": "agentkit.cli.runs:runs",
    "setup": "agentkit.cli.setup_command:setup",
    "tools": "agentkit.cli.tools:tools",
    "trace": "agentkit.cli.trace:trace",
}

INTERRUPTED = 130


class _Commands(click.Group):
    """Own commands by module path, others by entry point."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted({*COMMANDS, *plugins.names(plugins.COMMANDS)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if target := COMMANDS.get(cmd_name):
            module, _, attribute = target.partition(":")
            return getattr(import_module(module), attribute)
        if cmd_name in plugins.names(plugins.COMMANDS):
            return plugins.load(plugins.COMMANDS, cmd_name)
        return None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="agentkit-glm", prog_name="agentkit")
def cli() -> None:
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


def main() -> None:
    """Run the command line: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    try:
        settings = Settings.load()
        configure_log(settings.log_level, colors=sys.stderr.isatty() and not settings.no_color)
        color = False if settings.no_color else None
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


def configure_log(level: str, *, colors: bool) -> None:
    """Send the operator's log to stderr, at `level` and above.

    Raises:
        ConfigError: an unknown level.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ConfigError(
            f"AGENTKIT_LOG={level!r} is no level. Expected debug, info, warning or error."
        )
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
