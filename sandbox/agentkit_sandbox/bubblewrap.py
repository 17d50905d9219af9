"""Sandboxes by bubblewrap: the second choice, for machines on which no Docker can be had.

The same supervisor runs in namespaces of its own: no network, a file system of which only the
interpreter and /usr can be read, a system call filter on every process. What it lacks:

- no limit on the memory of all processes together, only on each process's data;
- no share of processor time, and no limit on the files of the working directory by number;
- the host's kernel, Python and /usr are seen as they are; there are no images and no packages;
- where this process is not root, all sandboxes run as its user, who counts their processes.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import sys
from pathlib import Path
from typing import Final

from agentkit_sandbox.base import Capacity, OnWait, SandboxLost, SandboxPolicy, SandboxUnavailable
from agentkit_sandbox.daemon import CANNOT
from agentkit_sandbox.limits import TMP, WORKSPACE, check_facts
from agentkit_sandbox.policy import MIB
from agentkit_sandbox.process import machine_capacity, refuse_containers, spawn
from agentkit_sandbox.runner import seccomp
from agentkit_sandbox.runner.bundle import program
from agentkit_sandbox.session import Session
from agentkit_sandbox.support import UIDS

LACKS: Final = (
    "no limit on the memory of all processes together, no share of processor time, no images"
)
INSIDE: Final = 65534  # the user id that programs see
SYSTEM_PYTHON: Final = "/usr/bin/python3"

# Before the supervisor: limits of each process, which all its children inherit.
_LIMITS: Final = """\
import resource
for name, top in {limits!r}.items():
    resource.setrlimit(getattr(resource, "RLIMIT_" + name), (top, top))
del resource, name, top
"""


class BubblewrapBackend:
    """Starts sandboxes by `bwrap` on this machine. See `agentkit_sandbox.base.Backend`.

    Programs run in this Python without its packages, or in /usr/bin/python3 where other users may
    not read this one.
    """

    async def start(self, policy: SandboxPolicy, on_wait: OnWait | None = None) -> Session:  # noqa: ARG002 (the protocol's)
        """Start a sandbox whose kernel is ready.

        Raises:
            SandboxUnavailable: none can be had here; the text says why and the way out.
            PolicyNotInForce: a limit did not take effect.
            SandboxLost: it ended while it was starting.
        """
        refuse_containers(policy, "bubblewrap")
        if policy.network != "none":
            raise SandboxUnavailable(f"{CANNOT}: bubblewrap has no network to open. Use Docker.")
        bwrap = shutil.which("bwrap")
        if bwrap is None:
            raise SandboxUnavailable(
                f"{CANNOT}: bubblewrap is missing. Install the package `bubblewrap`, or use Docker."
            )
        # As root each sandbox gets a user of its own, and with it a count of its own processes.
        user = UIDS.start + secrets.randbelow(len(UIDS)) if os.geteuid() == 0 else None
        python = _interpreter(shared=user is not None)
        name = f"agentkit-bwrap-{secrets.token_hex(6)}"
        code = seccomp.build(os.uname().machine)
        reading, writing = os.pipe()
        try:
            os.write(writing, code)  # some KB: less than a pipe takes at once
            os.close(writing)
            command = _command(bwrap, python, policy, reading)
            channel = await spawn(command, user=user, pass_fds=[reading])
        finally:
            os.close(reading)
        session = Session(channel, policy, name)
        try:
            await session.greet()
            check_facts(policy, INSIDE, session.facts, without=("memory", "pids"))
        except SandboxLost as error:
            raise SandboxUnavailable(
                f"{CANNOT}: bubblewrap could not start a sandbox. {error} It needs user "
                "namespaces: see `sysctl user.max_user_namespaces`, and on Ubuntu "
                "`sysctl kernel.apparmor_restrict_unprivileged_userns`."
            ) from error
        except BaseException:
            await session.close()
            raise
        return session

    async def capacity(self) -> Capacity:
        """Return this machine's free memory and its processors."""
        return await asyncio.to_thread(machine_capacity)

    async def reap(self) -> int:
        """Do nothing: `bwrap` ends its processes with the one that started it."""
        return 0

    async def close(self) -> None:
        """Do nothing: there is no connection."""


def _interpreter(*, shared: bool) -> str:
    """Return a Python that the sandbox's user can read."""
    own = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    closed = any(not folder.stat().st_mode & 0o001 for folder in own.parents)
    if not (shared and closed):
        return str(own)
    if not Path(SYSTEM_PYTHON).exists():
        raise SandboxUnavailable(
            f"{CANNOT}: other users cannot read {own}, and there is no {SYSTEM_PYTHON}. Install "
            "the package `python3`."
        )
    return SYSTEM_PYTHON


def _command(bwrap: str, python: str, policy: SandboxPolicy, seccomp_fd: int) -> list[str]:
    command = [bwrap, "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session"]
    command += ["--as-pid-1", "--uid", str(INSIDE), "--gid", str(INSIDE), "--hostname", "sandbox"]
    command += ["--cap-drop", "ALL", "--clearenv", "--seccomp", str(seccomp_fd)]
    for key, value in {"HOME": WORKSPACE, "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}.items():
        command += ["--setenv", key, value]
    command += ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib64"):
        place = Path("/", name)
        if place.is_symlink():
            command += ["--symlink", str(place.readlink()), f"/{name}"]
        elif place.is_dir():
            command += ["--ro-bind", f"/{name}", f"/{name}"]
    prefix = Path(python).parent.parent
    if not prefix.is_relative_to("/usr"):
        command += ["--ro-bind", str(prefix), str(prefix)]
    command += ["--proc", "/proc", "--tmpfs", "/dev"]  # bwrap's own --dev has terminals
    for name in ("null", "zero", "full", "random", "urandom"):
        command += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        command += ["--symlink", f"/proc/self/fd{target}", f"/dev/{name}"]
    for size, place in ((policy.workspace_mb, WORKSPACE), (policy.tmp_mb, TMP)):
        command += ["--perms", "0700", "--size", str(size * MIB), "--tmpfs", place]
    command += ["--perms", "0700", "--size", str(policy.shm_mb * MIB), "--tmpfs", "/dev/shm"]  # noqa: S108 (inside)
    command += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", WORKSPACE]
    limits = {
        "CORE": 0,
        "DATA": policy.memory_mb * MIB,
        "FSIZE": policy.file_mb * MIB,
        "NOFILE": policy.files,
        "NPROC": policy.pids,
    }
    return [*command, python, "-I", "-c", _LIMITS.format(limits=limits) + program()]
