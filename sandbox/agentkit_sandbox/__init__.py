"""The sandbox: code in a hardened container."""

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
