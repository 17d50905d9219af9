"""The Berkeley Function Calling Leaderboard: its data, classes and checkers, for a benchmark.

Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from agentkit.cli.setup_cached import PIP, cached_folder, ensure_folder
from agentkit.cli.setup_host import Host

PYPI = ("bfcl-eval==2026.3.23", "mpmath==1.3.0")


def bfcl_folder(env: Mapping[str, str]) -> Path:
    """Where the packages of these versions are, or will be."""
    return cached_folder(env, "bfcl", PYPI)


def install_bfcl(host: Host, python: Path) -> None:
    """Install the packages unless they are there.

    Raises:
        Problem: they cannot be installed.
    """
    folder = bfcl_folder(host.env)

    def fill(fresh: Path) -> None:
        # Without what it requires, such as torch and the clients of ten providers: none of it is
        # needed to read the data, run the classes and check calls.
        command = [str(python), *PIP, "--no-deps", "--target", str(fresh), *PYPI]
        with host.timed("bfcl", f"pip installs into {folder}: {', '.join(PYPI)}"):
            done = host.run("bfcl", command)
        if done.code:
            raise host.failure("pip install", done)

    ensure_folder(host, "bfcl", folder, fill)
