"""Plugins: what other packages add through entry points.

| group | an entry is |
|---|---|
| agentkit.tools | a toolset class or a function that makes tools, by short name |
| agentkit.commands | a click command for the command line |
| agentkit.checks | what `agentkit doctor` calls; returns whether it is right and what it found |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentkit.errors import ConfigError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

TOOLS = "agentkit.tools"
COMMANDS = "agentkit.commands"
CHECKS = "agentkit.checks"


def names(group: str) -> list[str]:
    """Return the names of a group, sorted, without importing anything."""
    return sorted({entry.name for entry in _entries(group)})


def load(group: str, name: str) -> Any:
    """Import one entry.

    Raises:
        ConfigError: no such entry, or it cannot be imported.
    """
    found = [*_entries(group).select(name=name)]
    if not found:
        known = ", ".join(names(group)) or "none are installed"
        raise ConfigError(f"Nothing called {name!r} in {group}. Known: {known}.")
    try:
        return found[0].load()
    except ImportError as error:
        raise ConfigError(
            f"{name!r} ({found[0].value}) cannot be imported: {error}. Install what it needs, for "
            "example `pip install 'agentkit-glm[all]'`."
        ) from error


def _entries(group: str) -> EntryPoints:
    # It brings the parsers of mail and zip, and most commands are our own.
    from importlib.metadata import entry_points  # noqa: PLC0415

    return entry_points(group=group)
