"""What a sandbox may use, as frozen data."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Final, Literal

MIB: Final = 1024 * 1024
HTTPS: Final = 443

_HOST: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_V6: Final = re.compile(r"\[([0-9a-f:.]+)\]")


@dataclass(frozen=True, slots=True)
class Runner:
    """How an image without our Python supervisor runs a program; no state but files is kept.

    Attributes:
        command: the program that runs a file, whose path is added as the last argument: ("sh",),
            ("node",), ("Rscript", "--vanilla").
        suffix: of that file's name, such as ".R".
    """

    command: tuple[str, ...] = ("sh",)
    suffix: str = ".sh"


@dataclass(frozen=True, slots=True)
class SandboxPolicy:
    """What a sandbox may use; each limit is checked to be in force before a program runs.

    Attributes:
        image: name of the image; None takes the one that `agentkit sandbox build` makes.
        packages: Python packages on top of that image, from the allow-list of
            `agentkit_sandbox.image.derived`: "polars" or "polars==1.9.0". The image that has them
            is built once.
        runner: how an image without Python runs programs; None is our supervisor, which needs
            Python 3.9 or newer in the image.
        network: "none"; "open" is the daemon's usual network, with all that it reaches.
        allowlist: hosts that may be reached by TLS through a proxy and nothing else: a name, or a
            name and port ("api.example.org:8443"; 443 where none is given). A name that leads to
            a private address is refused; an address written out may be private.
        memory_mb: memory of all processes and temporary files together, MiB; there is no swap.
        cpus: processors.
        pids: processes and threads at a time.
        files: open files of one process.
        file_mb: size of one file, MiB.
        workspace_mb: size of the working directory, MiB.
        workspace_inodes: number of files in the working directory.
        tmp_mb: size of /tmp, MiB.
        shm_mb: size of /dev/shm, MiB.
        idle_seconds: a sandbox that is not spoken to for so long ends itself.
        lifetime_seconds: a sandbox that is older is removed, whoever owns it.
        start_seconds: how long a start may take.
        artifact_mb: size of one file that may leave, MiB.
        artifacts: number of files that may leave after one call.
        artifacts_mb: size of all files that may leave after one call, MiB.
        output_kb: how much of each of stdout and stderr is kept from its beginning, KiB; the
            last 32 KiB are kept as well.
        preload: modules that every fresh kernel has at once; missing ones are left out.
        runtime: the container runtime, such as "runsc" (gVisor); None takes the daemon's default.
    """

    image: str | None = None
    packages: tuple[str, ...] = ()
    runner: Runner | None = None
    network: Literal["none", "open"] = "none"
    allowlist: tuple[str, ...] = ()
    memory_mb: int = 512
    cpus: float = 1.0
    pids: int = 64
    files: int = 256
    file_mb: int = 128
    workspace_mb: int = 128
    workspace_inodes: int = 4096
    tmp_mb: int = 64
    shm_mb: int = 16
    idle_seconds: float = 1800.0
    lifetime_seconds: float = 24 * 3600.0
    start_seconds: float = 60.0
    artifact_mb: int = 10
    artifacts: int = 20
    artifacts_mb: int = 50
    output_kb: int = 256
    preload: tuple[str, ...] = ("numpy", "matplotlib.pyplot")
    runtime: str | None = None

    def __post_init__(self) -> None:
        """Refuse what could not be meant, and keep lists as tuples: a policy is a key of caches.

        Raises:
            ValueError: names the field.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list):
                object.__setattr__(self, field.name, tuple(value))  # pyright: ignore[reportUnknownArgumentType]
            elif isinstance(value, (int, float)) and not 0 < value < float("inf"):
                raise ValueError(f"SandboxPolicy({field.name}={value!r}): give a number above 0.")
        if self.network not in ("none", "open"):
            raise ValueError(f'SandboxPolicy(network={self.network!r}): give "none" or "open".')
        if self.allowlist and self.network == "open":
            raise ValueError('SandboxPolicy: an allowlist makes no sense with network="open".')
        if self.packages and (self.image or self.runner):
            raise ValueError("SandboxPolicy: packages go on our image; leave out image and runner.")
        for entry in self.allowlist:
            destination(entry)

    @property
    def destinations(self) -> tuple[tuple[str, int], ...]:
        """The allow-list as pairs of host and port."""
        return tuple(destination(entry) for entry in self.allowlist)


def destination(entry: str) -> tuple[str, int]:
    """Return the host, in lower case, and the port of one entry of an allow-list.

    Raises:
        ValueError: it is no host name or address with an optional port.
    """
    text = entry.strip().lower() if isinstance(entry, str) else ""  # pyright: ignore[reportUnnecessaryIsInstance]
    host, colon, port = (text, "", "")
    if text.count(":") == 1 or "]:" in text:
        host, colon, port = text.rpartition(":")
    host = host.rstrip(".")
    literal = _V6.fullmatch(host)
    number = int(port) if port.isdecimal() else HTTPS
    if (colon and not port.isdecimal()) or not 0 < number < 65536:
        raise ValueError(f"allowlist entry {entry!r}: the port is a number from 1 to 65535.")
    if not literal and not _HOST.fullmatch(host):
        raise ValueError(
            f'allowlist entry {entry!r}: give a host such as "api.example.org" or '
            '"api.example.org:8443", without a scheme, path or wildcard.'
        )
    return (literal[1] if literal else host), number
