"""What a sandbox is to its users: a policy, a session that runs programs, results, errors.

    SandboxError
    ├── SandboxUnavailable   no program can be run on this machine now; the text says the way out
    ├── PolicyNotInForce     a limit did not take effect, so nothing was run
    ├── FileRefused          a file could not be put into the workspace, or taken out of it
    └── SandboxLost          the sandbox ended or broke the protocol; its state is gone

The two protocols, `Sandbox` and `Backend`, are all that a back end has to offer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from agentkit_sandbox.policy import SandboxPolicy

OnWait = Callable[[str], None]
"""Told in a few words what is waited for."""

Status = Literal["ok", "error", "timeout", "cancelled", "crashed"]


class SandboxError(Exception):
    """Root of the errors of this package; each message is a whole sentence."""


class SandboxUnavailable(SandboxError):
    """No program can be run here now: no daemon, no image, no rights."""


class PolicyNotInForce(SandboxError):
    """A limit of the policy did not take effect, so the sandbox was refused."""


class FileRefused(SandboxError):
    """A file could not be put into the workspace or taken out of it; the session goes on."""


class SandboxLost(SandboxError):
    """The sandbox ended, broke the protocol or missed the host's deadline; its state is gone."""


@dataclass(frozen=True, slots=True)
class File:
    """A file that came out of a sandbox.

    Attributes:
        name: made safe by the host: no folder, no leading dot, no control characters.
        media_type: from the content where it is known, else application/octet-stream.
        data: the bytes.
    """

    name: str
    media_type: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A regular file of the workspace.

    Attributes:
        name: path below the workspace, parts joined by "/"; bytes that are no UTF-8 are replaced.
        size: bytes.
    """

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of the workspace.

    Attributes:
        files: sorted by name.
        complete: False where there are more than 10,000 files, or folders deeper than 16.
    """

    files: tuple[FileEntry, ...]
    complete: bool = True


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What a program or a shell command did.

    Attributes:
        status: "ok"; "error" (it raised, or its exit code is not 0); "timeout"; "cancelled";
            "crashed" (its process died).
        stdout: what it printed, the middle left out where it is long.
        stderr: the same for standard error.
        value: repr of the last expression, or None.
        error: a short traceback, or None.
        exit_code: of a command, above 128 where a signal ended it; None where it was stopped.
        detail: why the process died or was killed, and what else there is to know, or "".
        state_lost: variables from before are gone; files in the working directory are still there.
        artifacts: files that the call made or changed.
        skipped: name and reason of each changed file that did not leave the sandbox.
        seconds: wall time inside the sandbox.
    """

    status: Status
    stdout: str = ""
    stderr: str = ""
    value: str | None = None
    error: str | None = None
    exit_code: int | None = None
    detail: str = ""
    state_lost: bool = False
    artifacts: tuple[File, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0


class Sandbox(Protocol):
    """One isolated session. Calls follow one another; a second at once waits for the first."""

    async def execute(
        self,
        code: str,
        timeout: float = 30.0,  # noqa: ASYNC109 (enforced inside, where output and state survive)
        *,
        on_output: Callable[[str], None] | None = None,
    ) -> ExecResult:
        """Run a Python program; variables stay from call to call.

        Args:
            code: the program.
            timeout: seconds; then it is interrupted, and killed a second later.
            on_output: called with each piece of output as it arrives.

        Raises:
            SandboxLost: the session is of no more use.
        """
        ...

    async def shell(
        self,
        command: str,
        timeout: float = 30.0,  # noqa: ASYNC109 (as above)
        *,
        on_output: Callable[[str], None] | None = None,
    ) -> ExecResult:
        """Run a shell command in the workspace; files stay from call to call, nothing else does.

        Args:
            command: text for `bash -c`, or `sh -c` where there is no bash.
            timeout: seconds; then its process group is interrupted, and killed a second later.
            on_output: called with each piece of output as it arrives.

        Raises:
            SandboxLost: the session is of no more use.
            ValueError: the command is too long, or the timeout is out of range.
        """
        ...

    async def put(self, name: str, data: bytes) -> None:
        """Put a file into the workspace; one of the same name is replaced.

        Args:
            name: path below the workspace, such as "data/sales.csv"; folders are made.
            data: the bytes.

        Raises:
            FileRefused: it could not be written; the text says why.
            SandboxLost: the session is of no more use.
            ValueError: the name is no plain relative path.
        """
        ...

    async def get(self, name: str) -> File:
        """Take a copy of a file out of the workspace.

        Raises:
            FileRefused: there is no such regular file, or it is larger than `artifact_mb`.
            SandboxLost: the session is of no more use.
            ValueError: the name is no plain relative path.
        """
        ...

    async def list(self) -> Listing:
        """Return the regular files of the workspace, those in folders included.

        Raises:
            SandboxLost: the session is of no more use.
        """
        ...

    async def ping(self) -> bool:
        """Say whether the sandbox still answers; this keeps an idle one alive."""
        ...

    async def close(self) -> None:
        """End the session and leave nothing behind. May be called twice."""
        ...


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a back end has left.

    Attributes:
        memory_mb: memory that no live sandbox may use, MiB.
        cpus: processors in all.
    """

    memory_mb: int
    cpus: int


class Backend(Protocol):
    """Where sandboxes come from: Docker, bubblewrap, a plain process, a pool or several of them.

    One for Kubernetes is designed so, and not built:

    - `start` creates one pod for each session, never reused: `command` is the same supervisor
      (`python3 -I -c PROGRAM`), `stdin` and `stdinOnce` are true, `restartPolicy` is Never,
      `runtimeClassName` gvisor where the cluster has it. The policy's numbers become
      `resources.limits` equal to `requests` (memory, cpu; pids are the kubelet's podPidsLimit, so
      `check_facts` decides), memory-backed `emptyDir`s with a `sizeLimit` for /workspace and /tmp,
      and a `securityContext`: a user id of its own, read-only root, all capabilities dropped,
      seccomp RuntimeDefault, no privilege escalation. `automountServiceAccountToken` and
      `enableServiceLinks` are false. rlimits have no field: the supervisor sets them on itself.
    - The frames of the protocol go over the pod's `attach` subresource (a WebSocket with one
      channel each for stdin, stdout and stderr), so that `Session` is used as it is. A connection
      that breaks is the end of the supervisor's input: it exits, and the pod with it.
    - Reaping is the cluster's: `activeDeadlineSeconds` is the policy's lifetime, and the labels are
      those of `reaper.owner_labels`, so that `reap` deletes the pods of owners that are gone.
    - Network none is a NetworkPolicy that refuses all, by label, and is believed only after the
      facts show that it is in force: a probe to the cluster's DNS has to fail. An allow-list adds a
      second pod with `proxy.py`, which alone may leave, and a rule towards its port.
    - `capacity` is the namespace's ResourceQuota less what its pods request.
    """

    async def start(self, policy: SandboxPolicy, on_wait: OnWait | None = None) -> Sandbox:
        """Start a sandbox whose kernel is ready.

        Args:
            policy: what it may use.
            on_wait: told why it takes longer than usual.

        Raises:
            SandboxUnavailable: none can be had here; the text says why and the way out.
            PolicyNotInForce: a limit did not take effect.
            SandboxLost: it ended while it was starting.
        """
        ...

    async def capacity(self) -> Capacity:
        """Return what is left for further sandboxes.

        Raises:
            SandboxUnavailable: none can be had here.
        """
        ...

    async def reap(self) -> int:
        """Remove sandboxes whose owner is gone; return how many."""
        ...

    async def close(self) -> None:
        """Let go of connections; a sandbox that was handed out lives until it is closed."""
        ...
