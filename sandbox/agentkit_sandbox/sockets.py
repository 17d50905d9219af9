"""A limit on the memory of a sandbox's TCP and UDP buffers, on cgroup v1.

There they are no part of a container's memory: one sandbox could take some gigabytes of the host's
through sockets to itself. Docker takes such a limit (KernelMemoryTCP) and runc ignores it, so it
is written here, where this process may; where it may not, the sandbox gets no such sockets. On
cgroup v2 they count as memory and nothing is to be done.
Source: the kernel's Documentation/admin-guide/cgroup-v1/memory.rst, "kmem.tcp".
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from agentkit_sandbox.policy import MIB

SOCKETS_MB: Final = 32
_MOUNT: Final = Path("/sys/fs/cgroup/memory")


def limit_sockets(info: Mapping[str, Any]) -> None:
    """Limit a running container's socket buffers as far as that is needed and possible.

    Args:
        info: the daemon's `inspect` of it. A far daemon's container has no process here.
    """
    with suppress(OSError):
        lines = Path(f"/proc/{int(info['State']['Pid'])}/cgroup").read_text("ascii").splitlines()
        for line in lines:
            _, controllers, path = line.split(":", 2)
            # The id says that the process of this number is the container's, not one of ours.
            if "memory" in controllers.split(",") and str(info["Id"]) in path:
                file = _MOUNT / path.lstrip("/") / "memory.kmem.tcp.limit_in_bytes"
                file.write_text(str(SOCKETS_MB * MIB), "ascii")
