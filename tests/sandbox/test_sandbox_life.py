"""Nothing is left behind, however a call, a start or the host process ends."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from click.testing import CliRunner
from far_daemon import live

from agentkit_sandbox import (
    DockerBackend,
    SandboxError,
    SandboxLost,
    SandboxPolicy,
    SandboxUnavailable,
    daemon,
    docker,
)
from agentkit_sandbox.cli import sandbox
from agentkit_sandbox.reaper import MARK, owner_labels

HOST = textwrap.dedent(
    """
    import asyncio, sys
    from agentkit_sandbox import DockerBackend, SandboxPolicy

    async def main():
        session = await DockerBackend().start(SandboxPolicy(preload=()))
        print(session.name, flush=True)
        await session.execute(sys.argv[1], 600)
        await asyncio.sleep(600)

    asyncio.run(main())
    """
)


def names():
    client = daemon.connect()
    try:
        return {each["Names"][0].lstrip("/") for each in docker.live(client)}
    finally:
        client.close()


def gone(name, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if name not in names():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.docker
@pytest.mark.parametrize(
    "code",
    ["1", "while True: pass", "while True: print('x' * 10_000)"],
    ids=["idle", "busy", "flooding"],
)
def test_a_killed_host_process_leaves_no_container(code):
    host = subprocess.Popen([sys.executable, "-c", HOST, code], stdout=subprocess.PIPE, text=True)
    with host:
        name = host.stdout.readline().strip()
        time.sleep(0.3)
        assert name in names()
        host.kill()
    assert gone(name, 5)


@pytest.mark.docker
def test_an_interrupted_host_process_leaves_no_container():
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, "while True: pass"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with host:
        name = host.stdout.readline().strip()
        time.sleep(0.3)
        host.send_signal(signal.SIGINT)
        host.wait(10)
    assert name not in names()


@pytest.mark.docker
def test_a_cancelled_call_removes_its_container():
    async def run():
        session = await DockerBackend().start(SandboxPolicy(preload=()))
        task = asyncio.create_task(session.execute("while True: pass", 60))
        await asyncio.sleep(0.2)
        started = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - started < 5
        assert session.name not in names()
        with pytest.raises(SandboxLost):
            await session.execute("1")

    asyncio.run(run())


@pytest.mark.docker
@pytest.mark.parametrize("delay", [0.0, 0.02, 0.1, 0.3, 0.6])
def test_a_cancelled_start_leaves_no_container(delay):
    owner = owner_labels() | {f"{MARK}.test": str(delay)}

    async def run():
        task = asyncio.create_task(DockerBackend(owner).start(SandboxPolicy()))
        await asyncio.sleep(delay)
        task.cancel()
        try:
            session = await task
        except asyncio.CancelledError:
            return
        await session.close()  # it was started before the cancellation came

    asyncio.run(run())
    client = daemon.connect()
    left = [
        each for each in docker.live(client) if each["Labels"].get(f"{MARK}.test") == str(delay)
    ]
    client.close()
    assert not left


@pytest.mark.docker
def test_an_idle_sandbox_ends_itself():
    async def run():
        session = await DockerBackend().start(SandboxPolicy(preload=(), idle_seconds=1))
        assert await session.ping()
        await asyncio.sleep(2.5)
        assert not await session.ping()
        assert session.name not in names()

    asyncio.run(run())


@pytest.mark.docker
def test_a_supervisor_that_is_removed_is_a_lost_sandbox():
    async def run():
        session = await DockerBackend().start(SandboxPolicy(preload=()))
        client = daemon.connect()
        asyncio.get_running_loop().call_later(0.3, daemon.remove_container, client, session.name)
        with pytest.raises(SandboxLost):
            await session.execute("while True: pass", 20)
        client.close()

    asyncio.run(run())


@pytest.mark.docker
def test_orphans_are_removed_and_the_living_are_not(docker_ready):
    """A container that was created but never started is no one's after its owner's death."""
    client = daemon.connect()
    created = {}
    for kind, labels in (("orphan", {f"{MARK}.started": "1"}), ("mine", {})):
        created[kind] = client.api.create_container(
            docker_ready, ["true"], labels=owner_labels() | labels, name=f"agentkit-test-{kind}"
        )["Id"]
    try:
        result = CliRunner().invoke(sandbox, ["status", "--json"])
        listed = {each["name"]: each["orphan"] for each in json.loads(result.stdout)["sandboxes"]}
        assert listed["agentkit-test-orphan"] is True
        assert listed["agentkit-test-mine"] is False
        assert CliRunner().invoke(sandbox, ["gc"]).exit_code == 0
        assert "agentkit-test-orphan" not in names()
        assert "agentkit-test-mine" in names()
    finally:
        for identifier in created.values():
            daemon.remove_container(client, identifier)
        client.close()


@pytest.mark.docker
def test_a_limit_that_the_daemon_dropped_refuses_the_start(monkeypatch):
    """The sandbox is checked after its start, from outside and from inside."""
    real = docker.host_config

    def careless(policy, uid, network):
        return real(policy, uid, network) | {"pids_limit": None}

    monkeypatch.setattr(docker, "host_config", careless)
    with pytest.raises(SandboxError, match="processes"):
        asyncio.run(DockerBackend().start(SandboxPolicy(preload=())))
    assert not live()


@pytest.mark.docker
def test_many_sessions_at_once_keep_apart():
    async def one(backend, number):
        session = await backend.start(SandboxPolicy(preload=()))
        try:
            await session.execute(f"x = {number}")
            return [(await session.execute("x")).value for _ in range(10)]
        finally:
            await session.close()

    async def run():
        backend = DockerBackend()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(backend, number)) for number in range(6)]
        return [task.result() for task in tasks]

    assert asyncio.run(run()) == [[str(number)] * 10 for number in range(6)]


def test_without_a_daemon_the_reason_and_the_way_out_are_told(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(SandboxUnavailable, match="agentkit setup"):
        asyncio.run(DockerBackend().start(SandboxPolicy()))


@pytest.mark.docker
def test_without_the_image_the_way_out_is_told():
    with pytest.raises(SandboxUnavailable, match="docker pull"):
        asyncio.run(DockerBackend().start(SandboxPolicy(image="agentkit-no-such-image:1")))


def invoke(tmp_path, *programs, options=("--json",)):
    files = []
    for number, text in enumerate(programs):
        path = tmp_path / f"{number}.py"
        path.write_text(text)
        files.append(str(path))
    return CliRunner().invoke(sandbox, ["exec", *files, *options])


@pytest.mark.docker
def test_exec_runs_files_in_one_session(tmp_path):
    programs = ["x = 1\nprint('中')", "x + 1", "import time\nprint('a')\ntime.sleep(9)", "1/0"]
    result = invoke(tmp_path, *programs, options=["--json", "--timeout", "0.5"])
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["status"] for line in lines] == ["ok", "ok", "timeout", "error"]
    assert [line["output"] for line in lines] == ["中\n", "", "a\n", ""]
    assert lines[1]["value"] == "2"
    assert all(
        {"file", "status", "output", "value", "state_lost", "artifacts", "seconds"} <= set(line)
        for line in lines
    )
    assert result.exit_code == 1


@pytest.mark.docker
def test_exec_saves_files_and_never_over_others(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "a.txt").symlink_to(tmp_path / "elsewhere")
    result = invoke(
        tmp_path, "open('a.txt', 'w').write('x')", options=["--json", "--output", str(folder)]
    )
    assert result.exit_code == 0
    assert json.loads(result.stdout)["artifacts"] == [str(folder / "a-2.txt")]
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.docker
def test_exec_speaks_to_people_as_well(tmp_path):
    result = invoke(tmp_path, "print('hello')\n6 * 7", options=[])
    assert "ok" in result.stdout
    assert "hello\n42" in result.stdout


@pytest.mark.parametrize("command", [["status"], ["gc"], ["build"], ["build", "--check"]])
def test_commands_without_a_daemon_stop_with_one_sentence(monkeypatch, tmp_path, command):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    result = CliRunner().invoke(sandbox, command)
    assert result.exit_code == 3
    assert "no Docker daemon" in result.stderr


@pytest.mark.docker
def test_a_built_image_is_not_built_again():
    result = CliRunner().invoke(sandbox, ["build"])
    assert result.exit_code == 0
    assert "already built" in result.stderr
    assert CliRunner().invoke(sandbox, ["build", "--check"]).exit_code == 0


def test_importing_the_package_loads_no_docker():
    code = "import sys, agentkit_sandbox; print({'docker', 'click', 'requests'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("here", "fault", "way", "origin"),
    [
        ({"python:3.12-slim"}, None, None, "python:3.12-slim"),
        ({"agentkit-sandbox-base:bookworm"}, None, None, "agentkit-sandbox-base:bookworm"),
        ({"agentkit-sandbox-base:bookworm"}, None, "registry", "python:3.12-slim"),
        (set(), None, None, "python:3.12-slim"),
        (set(), "no such host", None, "agentkit-sandbox-base:bookworm"),
        ({"python:3.12-slim"}, None, "debootstrap", "agentkit-sandbox-base:bookworm"),
    ],
)
def test_the_base_is_chosen_and_the_reason_is_told(monkeypatch, here, fault, way, origin):
    from unittest import mock

    from agentkit_sandbox.image import base

    made, told = [], []
    monkeypatch.setattr(base, "host_suite", lambda: "bookworm")
    monkeypatch.setattr(base, "present", lambda client, name: name in here)
    monkeypatch.setattr(base, "_registry_fault", lambda: fault)
    monkeypatch.setattr(base, "connect", mock.Mock())
    monkeypatch.setattr(base, "_tool", lambda way, report: way or "mmdebstrap")
    monkeypatch.setattr(base, "_bootstrap", lambda *arguments: made.append(arguments))
    assert base.obtain(mock.Mock(), told.append, way, None) == origin
    assert bool(made) == (origin.startswith("agentkit") and origin not in here)
    assert told
    assert fault is None or fault in told[0]


def test_nothing_is_installed_where_that_is_forbidden(monkeypatch):
    from agentkit_sandbox.image import base

    monkeypatch.setenv("AGENTKIT_NO_INSTALL", "1")
    monkeypatch.setattr(base.shutil, "which", lambda name: "/x" if name == "apt-get" else None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(SandboxUnavailable, match="AGENTKIT_NO_INSTALL"):
        base._tool(None, lambda line: None)
