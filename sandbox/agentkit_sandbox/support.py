"""What a daemon can enforce, read from its `docker info`, and why it may be refused.

Pure functions, so that kinds of daemons that are not at hand are tested from their documents:

| daemon | what differs |
|---|---|
| cgroup v1, rootful | nothing; swap has to be accounted for (`swapaccount=1`) |
| cgroup v2, rootful | nothing; other files inside, which the supervisor knows |
| rootless, cgroup v2 | 65536 user ids; cpu and pids only where systemd delegates them |
| rootless, cgroup v1 | no limits at all: refused |
| userns-remap | 65536 user ids |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from agentkit_sandbox.policy import MIB, SandboxPolicy

# A user id for each live sandbox: inotify watches, keys and pending signals are counted by user
# across containers, so two sandboxes with one id could starve each other.
UIDS: Final = range(1_000_000, 1_000_000_000)
MAPPED_UIDS: Final = range(20_000, 60_000)  # rootless daemons and userns-remap map 65536 ids
MACHINES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_LIMITS: Final = {
    "MemoryLimit": "memory",
    "SwapLimit": "swap",
    "PidsLimit": "processes",
    "CpuCfsQuota": "processor time",
}


@dataclass(frozen=True, slots=True)
class Support:
    """What a daemon offers.

    Attributes:
        refusal: why no sandbox may run there, or None.
        uids: user ids that sandboxes may have.
        architecture: "amd64" or "arm64".
        memory_mb: memory of the machine, MiB.
        cpus: processors of the machine.
        runtimes: names of its container runtimes.
        kind: one line for people: cgroup version, rootless or not.
    """

    refusal: str | None
    uids: range
    architecture: str
    memory_mb: int
    cpus: int
    runtimes: tuple[str, ...]
    kind: str

    def refuse(self, policy: SandboxPolicy) -> str | None:
        """Return why a sandbox of this policy cannot run there, or None."""
        if self.refusal is not None:
            return self.refusal
        if policy.runtime is not None and policy.runtime not in self.runtimes:
            listed = ", ".join(self.runtimes)
            return (
                f"the runtime {policy.runtime!r} is not installed on the daemon, which has {listed}"
                ". Install it and name it in /etc/docker/daemon.json, or leave `runtime` out"
            )
        if policy.memory_mb > self.memory_mb:
            return f"{policy.memory_mb} MiB are asked for, and the machine has {self.memory_mb} MiB"
        if policy.cpus > self.cpus:
            return f"{policy.cpus:g} processors are asked for, and the machine has {self.cpus}"
        return None


def support(info: Mapping[str, Any]) -> Support:
    """Read a daemon's `docker info`; what is missing counts as not there."""
    listed: list[Any] = info.get("SecurityOptions") or []
    options = [str(option) for option in listed]
    rootless = any(option.startswith("name=rootless") for option in options)
    mapped = any(option.startswith("name=userns") for option in options)
    version = str(info.get("CgroupVersion") or "1")
    machine = str(info.get("Architecture") or "")
    memory = info.get("MemTotal")
    cpus = info.get("NCPU")
    words = ["rootless" if rootless else "rootful", f"cgroup v{version}"]
    return Support(
        refusal=_refusal(info, options, machine),
        uids=MAPPED_UIDS if rootless or mapped else UIDS,
        architecture=MACHINES.get(machine, machine),
        memory_mb=memory // MIB if isinstance(memory, int) else 0,
        cpus=cpus if isinstance(cpus, int) else 0,
        runtimes=tuple(sorted(info.get("Runtimes") or {})),
        kind=", ".join([*words, *(["userns-remap"] if mapped else [])]),
    )


def _refusal(info: Mapping[str, Any], options: list[str], machine: str) -> str | None:
    if info.get("OSType") != "linux":
        return f"the daemon runs {info.get('OSType')!r} containers; Linux ones are needed"
    if machine not in MACHINES:
        return f"there is no system call table for {machine!r}; use an x86-64 or arm64 daemon"
    seccomp = next((option for option in options if option.startswith("name=seccomp")), None)
    if seccomp is None or "unconfined" in seccomp:
        return "the daemon filters no system calls (seccomp is off); run it with its own profile"
    return _unlimited(info, options)


def _unlimited(info: Mapping[str, Any], options: list[str]) -> str | None:
    """Return why a limit could not be put in force, or None."""
    missing = [word for key, word in _LIMITS.items() if info.get(key) is not True]
    if not missing:
        return None
    listed = ", ".join(missing)
    if any(option.startswith("name=rootless") for option in options):
        if str(info.get("CgroupVersion")) != "2":
            return (
                f"a rootless daemon on cgroup v1 cannot limit {listed}; boot with "
                "systemd.unified_cgroup_hierarchy=1, or use a rootful daemon"
            )
        return (
            f"this rootless daemon may not limit {listed}; let systemd delegate the controllers: "
            "`systemctl edit user@.service` with [Service] Delegate=cpu cpuset io memory pids"
        )
    if missing == ["swap"]:
        return (
            "the kernel does not account for swap, so the limit of memory could be passed; boot "
            "with swapaccount=1"
        )
    return f"the daemon's kernel cannot limit {listed}; enable its cgroup controllers"
