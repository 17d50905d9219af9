"""The sandbox: code in a hardened container."""

from agentkit_sandbox.base import (
    Backend,
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
from agentkit_sandbox.docker import DockerBackend
from agentkit_sandbox.pool import Pool

__all__ = [
    "Backend",
    "DockerBackend",
    "ExecResult",
    "File",
    "FileEntry",
    "FileRefused",
    "Listing",
    "PolicyNotInForce",
    "Pool",
    "Sandbox",
    "SandboxError",
    "SandboxLost",
    "SandboxPolicy",
    "SandboxUnavailable",
]
