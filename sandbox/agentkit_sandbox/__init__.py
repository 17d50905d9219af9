"""The sandbox: code in a hardened container.

Each name is imported when it is first asked for, so that the command line is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentkit_sandbox.base import (
        Backend,
        Capacity,
        ExecResult,
        File,
        FileEntry,
        FileRefused,
        Listing,
        PolicyNotInForce,
        Sandbox,
        SandboxError,
        SandboxLost,
        SandboxPolicy,
        SandboxUnavailable,
    )
    from agentkit_sandbox.bubblewrap import BubblewrapBackend
    from agentkit_sandbox.daemon import Daemon
    from agentkit_sandbox.docker import DockerBackend
    from agentkit_sandbox.local import LocalBackend
    from agentkit_sandbox.placement import Placement
    from agentkit_sandbox.policy import Runner
    from agentkit_sandbox.pool import Pool
else:
    _HOMES = {
        "base": (
            "Backend Capacity ExecResult File FileEntry FileRefused Listing PolicyNotInForce "
            "Sandbox SandboxError SandboxLost SandboxPolicy SandboxUnavailable"
        ),
        "bubblewrap": "BubblewrapBackend",
        "daemon": "Daemon",
        "docker": "DockerBackend",
        "local": "LocalBackend",
        "placement": "Placement",
        "policy": "Runner",
        "pool": "Pool",
    }

    def __getattr__(name: str) -> object:
        for home, names in _HOMES.items():
            if name in names.split():
                return getattr(import_module(f"{__name__}.{home}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__all__ = [
    "Backend",
    "BubblewrapBackend",
    "Capacity",
    "Daemon",
    "DockerBackend",
    "ExecResult",
    "File",
    "FileEntry",
    "FileRefused",
    "Listing",
    "LocalBackend",
    "Placement",
    "PolicyNotInForce",
    "Pool",
    "Runner",
    "Sandbox",
    "SandboxError",
    "SandboxLost",
    "SandboxPolicy",
    "SandboxUnavailable",
]
