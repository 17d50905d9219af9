"""`agentkit sandbox`: build the image, see what lives, remove orphans, run programs."""

from __future__ import annotations

from importlib import import_module

import click

_COMMANDS = {
    "build": "cli_commands:build",
    "exec": "cli_exec:execute",
    "gc": "cli_commands:gc",
    "status": "cli_commands:status",
}


class _Commands(click.Group):
    """Commands that are imported when they are asked for; `agentkit --help` shows the group."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[cmd_name].partition(":")
        return getattr(import_module(f"agentkit_sandbox.{module}"), attribute)


@click.group(cls=_Commands)
def sandbox() -> None:
    """Run code in a hardened container; build its image; clean up."""
