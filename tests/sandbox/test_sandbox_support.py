"""What kinds of daemon can enforce, read from documents of `docker info`.

Run here was the first kind alone (rootful, cgroup v1: its document was recorded from the daemon
of this machine, shortened to what is read); the others are that document with the fields that
Docker's own code sets for them (moby, daemon/info_unix.go: fillPlatformInfo, and pkg/sysinfo).
"""

import pytest

from agentkit_sandbox import Daemon, DockerBackend, SandboxPolicy, SandboxUnavailable, daemon
from agentkit_sandbox.support import MAPPED_UIDS, UIDS, support

V1_ROOTFUL = {
    "MemoryLimit": True,
    "SwapLimit": True,
    "CpuCfsPeriod": True,
    "CpuCfsQuota": True,
    "PidsLimit": True,
    "CgroupDriver": "cgroupfs",
    "CgroupVersion": "1",
    "OSType": "linux",
    "Architecture": "x86_64",
    "NCPU": 2,
    "MemTotal": 25276502016,
    "Runtimes": {"io.containerd.runc.v2": {"path": "runc"}, "runc": {"path": "runc"}},
    "SecurityOptions": ["name=seccomp,profile=default"],
    "ServerVersion": "20.10.24+dfsg1",
}
V2 = {"CgroupVersion": "2", "CgroupDriver": "systemd"}
V2_OPTIONS = ["name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns"]
ROOTLESS = {"SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"]}


def kind(*changes):
    info = dict(V1_ROOTFUL)
    for change in changes:
        info |= change
    return info


@pytest.mark.parametrize(
    ("info", "words", "uids"),
    [
        (kind(), "rootful, cgroup v1", UIDS),
        (kind(V2, {"SecurityOptions": V2_OPTIONS}), "rootful, cgroup v2", UIDS),
        (
            kind({"SecurityOptions": [*V1_ROOTFUL["SecurityOptions"], "name=userns"]}),
            "rootful, cgroup v1, userns-remap",
            MAPPED_UIDS,
        ),
        (kind(V2, ROOTLESS), "rootless, cgroup v2", MAPPED_UIDS),
        (kind({"Architecture": "aarch64"}), "rootful, cgroup v1", UIDS),
    ],
    ids=["v1", "v2", "userns-remap", "rootless v2", "arm64"],
)
def test_daemons_that_hold_every_limit_are_taken(info, words, uids):
    found = support(info)
    assert found.refusal is None
    assert found.kind == words
    assert found.uids is uids
    assert found.refuse(SandboxPolicy()) is None


UNLIMITED = {"MemoryLimit": False, "SwapLimit": False, "PidsLimit": False, "CpuCfsQuota": False}


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        (kind(ROOTLESS, UNLIMITED, {"CgroupDriver": "none"}), "unified_cgroup_hierarchy"),
        (kind(V2, ROOTLESS, UNLIMITED, {"CgroupDriver": "none"}), "Delegate=cpu"),
        (kind(V2, ROOTLESS, {"CpuCfsQuota": False}), "processor time"),
        (kind({"SwapLimit": False}), "swapaccount=1"),
        (kind({"PidsLimit": False}), "cannot limit processes"),
        (kind({"PidsLimit": None}), "cannot limit processes"),
        (kind({"SecurityOptions": []}), "seccomp is off"),
        (kind({"SecurityOptions": None}), "seccomp is off"),
        (kind({"SecurityOptions": ["name=seccomp,profile=unconfined"]}), "seccomp is off"),
        (kind({"OSType": "windows"}), "'windows'"),
        (kind({"Architecture": "riscv64"}), "system call table"),
        ({}, "containers"),
    ],
)
def test_daemons_that_drop_a_limit_are_refused_with_the_cure(info, reason):
    found = support(info)
    assert reason in found.refusal
    assert found.refuse(SandboxPolicy()) == found.refusal


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ({"runtime": "runsc"}, "'runsc' is not installed"),
        ({"memory_mb": 30_000}, "the machine has 24105 MiB"),
        ({"cpus": 3}, "the machine has 2"),
    ],
)
def test_a_policy_beyond_the_machine_is_refused(policy, reason):
    assert reason in support(V1_ROOTFUL).refuse(SandboxPolicy(**policy))


def test_a_runtime_that_is_installed_is_taken():
    info = kind({"Runtimes": {"runc": {}, "runsc": {"path": "/usr/bin/runsc"}}})
    assert support(info).refuse(SandboxPolicy(runtime="runsc")) is None


@pytest.mark.docker
def test_this_machines_daemon_is_read_and_an_absent_runtime_refused():
    import asyncio

    client = daemon.connect()
    found = support(daemon.api_of(client).info())
    client.close()
    assert found.refusal is None
    assert found.memory_mb > 0
    if "runsc" not in found.runtimes:
        with pytest.raises(SandboxUnavailable, match="runsc"):
            asyncio.run(DockerBackend().start(SandboxPolicy(runtime="runsc")))
    assert Daemon.named().local
