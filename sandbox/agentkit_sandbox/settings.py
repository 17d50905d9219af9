"""What this package reads from the environment; nothing else in it does."""

from __future__ import annotations

import os


def may_install() -> bool:
    """Say whether system packages may be installed (AGENTKIT_NO_INSTALL is unset, "" or "0")."""
    # agentkit.config is out of reach: this package imports nothing of agentkit.
    return os.environ.get("AGENTKIT_NO_INSTALL", "") in ("", "0")  # noqa: TID251


def docker_host() -> str:
    """Return the daemon's address (DOCKER_HOST), by default the local socket."""
    return os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"  # noqa: TID251 (as above)
