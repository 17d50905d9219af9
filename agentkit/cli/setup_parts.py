"""Optional parts of `agentkit setup --with NAME`: programs that only some runs or tests need.

Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agentkit.cli.setup_host import Host, Problem


@dataclass(frozen=True, slots=True)
class Part:
    """One optional part.

    Attributes:
        program: name of a program that shows that the part is there.
        packages: what apt installs where it is not.
        why: what is missing without it, as the beginning of a sentence.
        elsewhere: pattern of its path from the root, where it may stand outside PATH.
    """

    program: str
    packages: tuple[str, ...]
    why: str
    elsewhere: str = ""

    def is_there(self, host: Host) -> bool:
        """Return whether its program is on this machine."""
        if host.find(self.program):
            return True
        return bool(self.elsewhere) and any(Path("/").glob(self.elsewhere))

    def ensure(self, host: Host) -> None:
        """Install it where it is missing."""
        if not self.is_there(host):
            host.apt_install(self.program, self.packages, self.why)


@dataclass(frozen=True, slots=True)
class BFCL:
    """The Berkeley Function Calling Leaderboard, for a benchmark and its test."""

    def ensure(self, host: Host) -> None:
        """Install it where it is missing."""
        from agentkit.cli.setup_bfcl import install_bfcl

        install_bfcl(host, _python())


@dataclass(frozen=True, slots=True)
class MCPServers:
    """The MCP servers of the tests."""

    def ensure(self, host: Host) -> None:
        """Install them where they are missing."""
        from agentkit.cli.setup_mcp import install_servers

        install_servers(host, _python())


def _python() -> Path:
    """Return the Python of the checkout that this file is in, or of an installed package."""
    own = Path(__file__).resolve().parents[2] / ".venv" / "bin" / "python"
    return own if own.exists() else Path(sys.executable)


PARTS: dict[str, Part | BFCL | MCPServers] = {
    "bfcl": BFCL(),
    "bubblewrap": Part(
        "bwrap", ("bubblewrap",), "bubblewrap, the second choice of a sandbox, is not installed"
    ),
    "chromium": Part(
        "chromium", ("chromium",), "the browser for the tests of the run page is not installed"
    ),
    "mcp": MCPServers(),
    "postgres": Part(
        "initdb",
        ("postgresql",),
        "the PostgreSQL server is not installed",
        "usr/lib/postgresql/*/bin/initdb",
    ),
}


def ensure(host: Host, names: Iterable[str]) -> None:
    """Have the named parts.

    Raises:
        Problem: one is missing and cannot be installed.
    """
    for name in names:
        PARTS[name].ensure(host)


def ensure_if_possible(host: Host, names: Iterable[str]) -> None:
    """Have the named parts, for the tests; those of a part that cannot be had are skipped."""
    for name in names:
        try:
            ensure(host, [name])
        except Problem as problem:
            host.say(name, f"{problem} Going on without it: its tests are skipped")
