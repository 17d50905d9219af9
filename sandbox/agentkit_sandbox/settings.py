"""What this package reads from the environment; nothing else in it does."""

from __future__ import annotations

import os

# agentkit.config is out of reach: this package imports nothing of agentkit.


def may_install() -> bool:
    """Say whether system packages may be installed (AGENTKIT_NO_INSTALL is unset, "" or "0")."""
    return os.environ.get("AGENTKIT_NO_INSTALL", "") in ("", "0")  # noqa: TID251 (see above)


def docker_host() -> str:
    """Return the daemon's address (DOCKER_HOST), by default the local socket."""
    return os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"  # noqa: TID251 (as above)


def docker_certificates() -> str | None:
    """Return the folder of the client's certificates, or None for a connection without TLS.

    As the `docker` command does: DOCKER_TLS_VERIFY asks for TLS, DOCKER_CERT_PATH says where
    ca.pem, cert.pem and key.pem are, by default ~/.docker.
    """
    if not os.environ.get("DOCKER_TLS_VERIFY"):  # noqa: TID251 (as above)
        return None
    return os.environ.get("DOCKER_CERT_PATH") or os.path.expanduser("~/.docker")  # noqa: PTH111, TID251 (as above)
