"""Far daemons: the one of this machine behind TLS with client certificates, and behind ssh."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest
from far_daemon import FarDaemon, live, make_certificates, ours

from agentkit_sandbox import (
    Daemon,
    DockerBackend,
    Placement,
    Pool,
    Runner,
    SandboxLost,
    SandboxPolicy,
    SandboxUnavailable,
    daemon,
    docker,
)
from agentkit_sandbox.image.derived import image_name
from agentkit_sandbox.reaper import MARK, owner_labels, uptime

pytestmark = pytest.mark.docker
PLAIN = SandboxPolicy(preload=(), memory_mb=128)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def far(certificates):
    with FarDaemon(certificates) as far:
        yield far


def exists(name):
    """Whether a container is there, whoever owns it."""
    client = daemon.connect()
    try:
        return any(f"/{name}" in each["Names"] for each in docker.live(client))
    finally:
        client.close()


def gone(name, seconds=10):
    until = time.monotonic() + seconds
    while name in live():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def test_a_far_daemon_keeps_every_promise(far):
    """State, files both ways, many megabytes, an interrupt, an image of its own kind, the end."""

    async def run():
        backend = DockerBackend(daemon=far.daemon)
        session = await backend.start(PLAIN)
        try:
            await session.execute("x = 20")
            assert (await session.execute("x + 1")).value == "21"
            data = os.urandom(9 * 2**20)
            await session.put("in.bin", data)
            await session.execute("open('out.bin', 'wb').write(open('in.bin', 'rb').read()[::-1])")
            assert (await session.get("out.bin")).data == data[::-1]
            late = await session.execute("print('a')\nwhile True: pass", 0.3)
            assert (late.status, late.stdout) == ("timeout", "a\n")
            assert session.name in live()
        finally:
            await session.close()
        assert session.name not in live()
        script = await backend.start(replace(PLAIN, runner=Runner()))
        try:
            result = await script.execute("wc -c < in.bin; echo $0")
            assert result.exit_code == 0
            await script.put("b.bin", data[:100_000])
            assert (await script.get("b.bin")).data == data[:100_000]
        finally:
            await script.close()
            await backend.close()

    asyncio.run(run())
    assert far.connections > 2


def test_the_environment_names_a_far_daemon(far, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", far.daemon.address)
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", far.daemon.certificates)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # not for a daemon

    async def run():
        backend = DockerBackend()
        session = await backend.start(PLAIN)
        await session.close()
        await backend.close()

    asyncio.run(run())
    assert far.connections > 0


def test_without_its_certificate_nobody_is_let_in(far, tmp_path):
    """Nor with one of another authority; and a stranger's server is not believed."""
    other = make_certificates(tmp_path)
    for name in ("cert.pem", "key.pem"):
        assert (other / name).exists()
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    shutil.copy(f"{far.daemon.certificates}/ca.pem", mixed)
    for name in ("cert.pem", "key.pem"):
        shutil.copy(other / name, mixed)
    for wrong in (str(mixed), str(other), None):
        strange = Daemon(far.daemon.address, wrong)
        with pytest.raises(SandboxUnavailable, match="did not answer"):
            asyncio.run(DockerBackend(daemon=strange).start(PLAIN))


def test_a_daemon_that_goes_away_in_the_middle_is_a_lost_sandbox(far):
    """And its dead-man's switch works over there: the container ends with the connection."""

    async def run():
        backend = DockerBackend(daemon=far.daemon)
        session = await backend.start(PLAIN)
        task = asyncio.create_task(session.execute("import time\ntime.sleep(60)", 60))
        await asyncio.sleep(0.2)
        began = time.monotonic()
        await asyncio.to_thread(far.cut)
        with pytest.raises(SandboxLost):
            await task
        assert time.monotonic() - began < 30
        with pytest.raises(SandboxUnavailable):
            await backend.start(PLAIN)
        await backend.close()
        return session.name

    assert gone(asyncio.run(run()))


@pytest.mark.parametrize("delay", [0.05, 0.15, 0.3, 0.5])
def test_a_daemon_that_goes_away_during_a_start_is_told_and_leaves_nothing(far, delay):
    before = live()

    async def run():
        backend = DockerBackend(daemon=far.daemon)
        task = asyncio.create_task(backend.start(PLAIN))
        await asyncio.sleep(delay)
        await asyncio.to_thread(far.cut)
        try:
            session = await task
        except (SandboxUnavailable, SandboxLost):
            pass
        else:
            with pytest.raises(SandboxLost):
                await session.execute("1")
        await backend.close()

    asyncio.run(run())
    # A create or a start that was on its way arrives when it pleases. What runs ends by itself;
    # what was created and never started is the reaper's after a while, and swept by hand here,
    # until nothing has been there for a second.
    quiet = ended = time.monotonic()
    while time.monotonic() < min(quiet + 1, ended + 60):
        if sweep() | (live() - before):
            quiet = time.monotonic()
        time.sleep(0.05)
    assert time.monotonic() < ended + 60, live() - before


def sweep():
    """Remove this process's containers that were created and never started; return their ids."""
    here = daemon.connect()
    found = {each["Id"] for each in ours(docker.live(here)) if each["State"] == "created"}
    for each in found:
        daemon.remove_container(here, each)
    here.close()
    return found


@pytest.mark.parametrize(("age", "left"), [(60, 1), (3600, 0)])
def test_what_was_created_and_never_started_does_not_wait_for_its_owner_to_end(age, left):
    """The create reached the daemon, the answer never came back: the owner knows of nothing."""
    here = daemon.connect()
    labels = owner_labels() | {f"{MARK}.uptime": f"{uptime() - age:.0f}"}
    made = docker.api_of(here).create_container(image_name(()), "true", labels=labels)
    try:
        docker.reap(here)
        assert len([each for each in docker.live(here) if each["Id"] == made["Id"]]) == left
    finally:
        daemon.remove_container(here, made["Id"])
        here.close()


def test_two_daemons_share_the_work(certificates):
    """The same one twice, near and far; the far one goes away, and the near one serves on."""

    async def run():
        with FarDaemon(certificates) as far:
            near = DockerBackend()
            placement = Placement([DockerBackend(daemon=far.daemon), near])
            async with Pool(placement, PLAIN, memory_mb=1024, calls=4) as pool:
                first = await pool.start(PLAIN)
                assert (await first.execute("1")).status == "ok"
                assert (await placement.capacity()).cpus == 2 * (await near.capacity()).cpus
                await asyncio.to_thread(far.cut)
                await first.close()
                second = await pool.start(replace(PLAIN, pids=60))
                assert (await second.execute("2")).value == "2"
                await second.close()
            await placement.close()

    asyncio.run(run())


def test_an_address_that_is_none_is_refused():
    for address in ("localhost:2375", "ftp://x", "unix", "npipe:////./pipe/docker_engine"):
        with pytest.raises(SandboxUnavailable, match="no daemon's address"):
            asyncio.run(DockerBackend(daemon=Daemon(address)).start(PLAIN))


@pytest.fixture
def ssh_daemon(tmp_path, monkeypatch):
    """An ssh server of our own on loopback, with keys of our own; a loud skip without one."""
    server = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.environ["PATH"])
    client = shutil.which("ssh")
    if server is None or client is None:
        pytest.skip("SSH IS NOT TESTED HERE. Install the package openssh-server.")
    for name in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)]
        subprocess.run(command, check=True)
    shutil.copy(tmp_path / "user.pub", tmp_path / "allowed")
    port = free_port()
    tmp_path.joinpath("sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host\nUsePAM no\n"
        f"AuthorizedKeysFile {tmp_path}/allowed\nStrictModes no\nPasswordAuthentication no\n"
        f"PidFile {tmp_path}/pid\n"
    )
    tmp_path.joinpath("ssh_config").write_text(
        f"IdentityFile {tmp_path}/user\nIdentitiesOnly yes\nStrictHostKeyChecking no\n"
        f"UserKnownHostsFile {tmp_path}/known\nLogLevel ERROR\n"
    )
    folder = tmp_path / "bin"
    folder.mkdir()
    folder.joinpath("ssh").write_text(f'#!/bin/sh\nexec {client} -F {tmp_path}/ssh_config "$@"\n')
    folder.joinpath("ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with subprocess.Popen([server, "-D", "-e", "-f", str(tmp_path / "sshd_config")]) as process:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout
        yield Daemon(f"ssh://{user.strip()}@127.0.0.1:{port}")
        process.terminate()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_daemon_behind_ssh_keeps_its_promises(ssh_daemon):
    async def run():
        backend = DockerBackend(daemon=ssh_daemon)
        session = await backend.start(PLAIN)
        try:
            data = os.urandom(2**20)
            await session.put("in.bin", data)
            assert (await session.get("in.bin")).data == data
        finally:
            await session.close()
            await backend.close()
        assert session.name not in live()

    asyncio.run(run())


def test_a_killed_host_process_leaves_nothing_behind_ssh(ssh_daemon):
    program = textwrap.dedent(
        f"""
        import asyncio
        from agentkit_sandbox import Daemon, DockerBackend, SandboxPolicy

        async def main():
            backend = DockerBackend(daemon=Daemon({ssh_daemon.address!r}))
            session = await backend.start(SandboxPolicy(preload=()))
            print(session.name, flush=True)
            await asyncio.sleep(60)

        asyncio.run(main())
        """
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as p:
        name = p.stdout.readline().strip()
        assert exists(name)
        p.kill()
    for _ in range(100):
        if not exists(name):
            return
        time.sleep(0.1)
    pytest.fail("The container outlived its owner.")


def test_where_ssh_does_not_get_through_its_words_are_told(ssh_daemon):
    closed = Daemon(f"ssh://127.0.0.1:{free_port()}")
    with pytest.raises(SandboxUnavailable, match="refused"):
        asyncio.run(DockerBackend(daemon=closed).start(PLAIN))
    for odd in ("ssh://", "ssh://-oProxyCommand=x"):
        with pytest.raises(SandboxUnavailable, match="no host"):
            asyncio.run(DockerBackend(daemon=Daemon(odd)).start(PLAIN))
