"""A policy as Docker's settings, and the proof that each of its limits is in force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from agentkit_sandbox.base import PolicyNotInForce
from agentkit_sandbox.policy import MIB, SandboxPolicy

WORKSPACE: Final = "/workspace"
TMP: Final = "/tmp"  # noqa: S108 (inside the container, a tmpfs of its own)
# The system has 3072 terminals for all containers together, and nothing limits them for one.
NO_TERMINALS: Final = {"/dev/pts": "size=4k,nr_inodes=1,mode=0555,nosuid,nodev,noexec"}
SIGNALS: Final = 1024  # timers and waiting signals; the default would be some hundred thousand
NOWHERE: Final = ("127.0.0.1",)  # a resolver inside the container, where nobody listens


def network_mode(policy: SandboxPolicy, closed: str = "") -> str:
    """Return Docker's name of the sandbox's network.

    Args:
        policy: what was asked for.
        closed: name of the sandbox's own network, where it has an allow-list.
    """
    if policy.allowlist:
        return closed
    return "bridge" if policy.network == "open" else "none"


def host_config(policy: SandboxPolicy, uid: int, network: str = "none") -> dict[str, Any]:
    """Return the arguments of docker's `create_host_config` for one sandbox."""
    owner = f"uid={uid},gid={uid},mode=0700,nosuid,nodev"
    tmpfs = {
        # Scripts and what a compiler makes may run: foreign code runs there anyway.
        WORKSPACE: f"exec,size={policy.workspace_mb}m,nr_inodes={policy.workspace_inodes},{owner}",
        TMP: f"size={policy.tmp_mb}m,nr_inodes={policy.workspace_inodes},{owner}",
        **NO_TERMINALS,
    }
    limits = {"nofile": policy.files, "fsize": policy.file_mb * MIB, "core": 0}
    limits["sigpending"] = SIGNALS
    return {
        "network_mode": network,
        **({"dns": list(NOWHERE), "dns_search": ["."]} if policy.allowlist else {}),
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "mem_limit": policy.memory_mb * MIB,
        "memswap_limit": policy.memory_mb * MIB,
        "nano_cpus": round(policy.cpus * 1e9),
        "pids_limit": policy.pids,
        "shm_size": policy.shm_mb * MIB,
        "ipc_mode": "private",
        "tmpfs": tmpfs,
        "ulimits": [{"Name": key, "Soft": top, "Hard": top} for key, top in limits.items()],
        # The default driver would write what passes through the channel to the host's disk.
        "log_config": {"Type": "none", "Config": {}},
        "auto_remove": True,
        "runtime": policy.runtime,
    }


def check_settings(
    policy: SandboxPolicy, uid: int, info: Mapping[str, Any], network: str = "none"
) -> None:
    """Compare what the daemon made of the settings with what was asked for.

    Args:
        policy: what was asked for.
        uid: user id of the sandbox.
        info: the daemon's `inspect` of the running container.
        network: Docker's name of the network that it should have.

    Raises:
        PolicyNotInForce: names each setting that differs.
    """
    host, config = info["HostConfig"], info["Config"]
    wanted: dict[str, tuple[Any, Any]] = {
        "user": (config["User"], f"{uid}:{uid}"),
        "network": (host["NetworkMode"], network),
        "networks": (
            sorted(set(info["NetworkSettings"]["Networks"]) - {"none"}),
            sorted({network} - {"none"}),
        ),
        "published ports": (host["PortBindings"] or {}, {}),
        "host names": (host["ExtraHosts"] or [], []),
        "runtime": (host["Runtime"], policy.runtime or host["Runtime"]),
        "read-only root": (host["ReadonlyRootfs"], True),
        "dropped capabilities": (host["CapDrop"], ["ALL"]),
        "added capabilities": (host["CapAdd"] or [], []),
        "privileged": (host["Privileged"], False),
        "security options": (host["SecurityOpt"], ["no-new-privileges"]),
        "memory": (host["Memory"], policy.memory_mb * MIB),
        "memory and swap": (host["MemorySwap"], policy.memory_mb * MIB),
        "processors": (host["NanoCpus"], round(policy.cpus * 1e9)),
        "processes": (host["PidsLimit"], policy.pids),
        "ipc": (host["IpcMode"], "private"),
        "process namespace": (host["PidMode"], ""),
        "log driver": (host["LogConfig"]["Type"], "none"),
        "removal at the end": (host["AutoRemove"], True),
        "bind mounts": (host["Binds"] or [], []),
        "mounts": ([mount for mount in info["Mounts"] if mount.get("Type") != "tmpfs"], []),
        "devices": (host["Devices"] or [], []),
    }
    _refuse({key: pair for key, pair in wanted.items() if pair[0] != pair[1]})


def check_facts(
    policy: SandboxPolicy,
    uid: int,
    facts: Mapping[str, Any],
    *,
    without: Sequence[str] = (),
) -> None:
    """Compare what the supervisor found from inside with the policy.

    The daemon's settings are a wish: on a system without the matching cgroup controller a limit
    is dropped. The supervisor has run no foreign code yet when it reports.

    Args:
        policy: what was asked for.
        uid: user id of the sandbox.
        facts: what the supervisor found.
        without: limits that this back end does not have at all, and says so.

    Raises:
        PolicyNotInForce: names each limit that is not in force.
    """
    exact: dict[str, Any] = {
        "pid": 1,
        "uid": uid,
        "gid": uid,
        "groups": [],
        "capabilities": 0,
        "no_new_privileges": True,
        "seccomp": True,
        "read_only": True,
        "interfaces": ["eth0", "lo"] if policy.allowlist or policy.network == "open" else ["lo"],
        "files": policy.files,
        "file_bytes": policy.file_mb * MIB,
        "core_bytes": 0,
        "terminals": False,
    }
    wrong = {
        key: (facts.get(key), value) for key, value in exact.items() if facts.get(key) != value
    }
    at_most = {
        "memory": policy.memory_mb * MIB,
        "pids": policy.pids,
        "workspace_bytes": policy.workspace_mb * MIB,
        "tmp_bytes": policy.tmp_mb * MIB,
    }
    for key in without:
        at_most.pop(key)
    for key, top in at_most.items():
        found = facts.get(key)
        if not isinstance(found, int) or not 0 < found <= top:
            wrong[key] = (found, f"at most {top}")
    sockets = facts.get("socket_memory")  # 0 where they are refused
    if not isinstance(sockets, int) or not 0 <= sockets <= policy.memory_mb * MIB:
        wrong["socket_memory"] = (sockets, f"at most {policy.memory_mb * MIB}")
    _refuse(wrong)


def _refuse(wrong: Mapping[str, tuple[Any, Any]]) -> None:
    if wrong:
        listed = "; ".join(
            f"{key} is {found!r}, not {top!r}" for key, (found, top) in wrong.items()
        )
        raise PolicyNotInForce(
            f"The sandbox was refused because limits are not in force: {listed}. "
            "Check the daemon's security options and cgroup controllers with `docker info`."
        )
