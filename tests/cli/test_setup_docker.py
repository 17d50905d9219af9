"""`agentkit setup` and Docker: the engine is a stand-in, as the real one is in use."""

import json
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from agentkit.cli import setup, setup_docker
from agentkit.cli.setup_docker import Engine, NoEngine, build_image, ensure
from agentkit.cli.setup_host import Host, Problem

PRIVILEGED = "CapEff:\t000001ffffffffff\nCapBnd:\t000001ffffffffff\n"
UNPRIVILEGED = (
    "CapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\n"  # what Docker gives a container
)
STUB = """#!{python} -I
import json, os, sys
with open({calls!r}, "a") as file:
    file.write(json.dumps([{name!r}, *sys.argv[1:]]) + "\\n")
{body}
"""
DAEMON = """
import pathlib, socket
pathlib.Path({pid!r}).write_text(str(os.getpid()))
pathlib.Path({env!r}).write_text(json.dumps(dict(os.environ)))
with socket.socket(socket.AF_UNIX) as server:
    server.bind({socket!r})
    server.listen()
    while True:
        line, _ = server.accept()
        line.recv(1000)
        line.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\n{{"Version": "28.1"}}')
        line.close()
"""


# Setup leaves a daemon running on purpose; Python warns of a child that nobody waits for.
pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")


class Machine:
    """A machine with its own PATH, socket and process status."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.calls_file = folder / "calls"
        self.pid = folder / "docker.pid"
        (folder / "status").write_text(PRIVILEGED)
        (folder / "init").write_text("sleep\n")
        self.engine = Engine(
            socket=folder / "docker.sock",
            status=folder / "status",
            log=folder / "dockerd.log",
            systemd=folder / "systemd",
            init=folder / "init",
        )

    def host(self, *, root: bool = True, **env: str) -> Host:
        return Host(
            env={"PATH": str(self.bin), "ZAI_API_KEY": "secret", **env},
            root=root,
            log=self.folder / "setup.log",
            admin_path="",
            apt_lists=self.folder / "lists",
        )

    def program(self, name: str, body: str = "") -> Path:
        stub = self.bin / name
        calls = str(self.calls_file)
        stub.write_text(STUB.format(python=sys.executable, calls=calls, name=name, body=body))
        stub.chmod(0o755)
        return stub

    def dockerd(self, before: str = "") -> Path:
        daemon = DAEMON.format(
            pid=str(self.pid), env=str(self.folder / "env"), socket=str(self.engine.socket)
        )
        return self.program("dockerd", before + daemon)

    def apt_get(self) -> None:
        """An apt-get whose docker.io brings dockerd."""
        aside = self.dockerd().rename(self.folder / "dockerd")
        target = str(self.bin / "dockerd")
        self.program(
            "apt-get",
            f"if 'docker.io' in sys.argv: os.symlink({str(aside)!r}, {target!r})",
        )

    @property
    def calls(self) -> list[list[str]]:
        if not self.calls_file.exists():
            return []
        return [json.loads(line) for line in self.calls_file.read_text().splitlines()]


@pytest.fixture
def machine(tmp_path):
    machine = Machine(tmp_path)
    yield machine
    if machine.pid.exists():
        os.kill(int(machine.pid.read_text()), signal.SIGKILL)


def test_a_bare_machine_gets_an_engine_once(machine, capsys):
    machine.apt_get()
    assert ensure(machine.host(), machine.engine) == "28.1"
    update, install, start = machine.calls
    assert update[-1] == "update"
    assert install[-2:] == ["docker.io", "mmdebstrap"]
    assert {"-y", "--no-install-recommends", "--no-remove"} <= {*install}
    assert start == ["dockerd"]
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "setup: docker: apt-get installs docker.io mmdebstrap"
    assert said[2].startswith("setup: docker: starting dockerd, log in ")

    assert ensure(machine.host(), machine.engine) == "28.1"
    assert len(machine.calls) == 3
    assert capsys.readouterr().err == ""


def test_the_daemon_gets_no_key_and_outlives_ctrl_c(machine):
    machine.dockerd()
    ensure(machine.host(HTTPS_PROXY="http://proxy"), machine.engine)
    env = json.loads((machine.folder / "env").read_text())
    assert "ZAI_API_KEY" not in env
    assert env["HTTPS_PROXY"] == "http://proxy"
    pid = int(machine.pid.read_text())
    assert os.getsid(pid) == pid


@pytest.mark.parametrize("root", [True, False])
def test_an_unprivileged_container_installs_nothing_and_says_what_to_do(machine, root):
    machine.apt_get()
    (machine.folder / "status").write_text(UNPRIVILEGED)
    with pytest.raises(NoEngine, match=r"CAP_SYS_ADMIN is missing.*--privileged"):
        ensure(machine.host(root=root), machine.engine)
    assert machine.calls == []


@pytest.mark.parametrize(
    ("installed", "remedy"), [(False, "apt-get install docker.io"), (True, "s")]
)
def test_a_user_is_told_what_root_has_to_do(machine, installed, remedy):
    machine.apt_get()
    if installed:
        machine.dockerd()
    with pytest.raises(
        Problem, match=f"only root can change that. Way forward: run `sudo {remedy}"
    ):
        ensure(machine.host(root=False), machine.engine)
    assert machine.calls == []


def test_a_user_outside_the_docker_group_is_told_so(machine, monkeypatch):
    def refuse(_path):
        raise PermissionError

    monkeypatch.setattr(setup_docker, "_ask", refuse)
    with pytest.raises(Problem, match=r"may not use it. Way forward: run `sudo usermod -aG docker"):
        ensure(machine.host(root=False), machine.engine)


@pytest.mark.parametrize("installed", [False, True])
def test_no_install_neither_installs_nor_starts(machine, installed):
    machine.apt_get()
    if installed:
        machine.dockerd()
    with pytest.raises(Problem, match=r"AGENTKIT_NO_INSTALL is set.*Way forward: (run|start)"):
        ensure(machine.host(AGENTKIT_NO_INSTALL="1"), machine.engine)
    assert machine.calls == []


def test_what_is_missing_is_told_without_a_change(machine, monkeypatch):
    host, engine = machine.host(), machine.engine
    monkeypatch.setattr(Host, "here", lambda: host)
    monkeypatch.setattr(setup_docker, "Engine", lambda: engine)
    machine.dockerd()
    told = setup_docker.what_is_missing()
    assert told == "the Docker engine is not running. Way forward: run `agentkit setup`."
    assert machine.calls == []
    (machine.folder / "status").write_text(UNPRIVILEGED)
    assert "CAP_SYS_ADMIN" in setup_docker.what_is_missing()
    (machine.folder / "status").write_text(PRIVILEGED)
    ensure(host, engine)
    assert setup_docker.what_is_missing() is None


def test_a_machine_without_apt_is_told_the_package(machine):
    with pytest.raises(
        Problem, match=r"is not installed. Way forward: install docker.io mmdebstrap"
    ):
        ensure(machine.host(), machine.engine)


def test_where_the_packet_filter_is_forbidden_the_daemon_runs_without_a_network(machine):
    machine.dockerd(
        "if len(sys.argv) == 1:\n"
        "    print('failed to start daemon: iptables failed', file=sys.stderr)\n"
        "    sys.exit(1)\n"
    )
    assert ensure(machine.host(), machine.engine) == "28.1"
    assert machine.calls[1] == ["dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none"]


def test_a_daemon_that_ends_is_quoted(machine):
    machine.program(
        "dockerd",
        """sys.exit('time="x" level=fatal msg="failed to mount cgroup: \\\\"no\\\\""')""",
    )
    with pytest.raises(
        NoEngine, match=r"cannot run on this machine \(failed to mount cgroup"
    ) as told:
        ensure(machine.host(), machine.engine)
    assert "--privileged" in str(told.value)
    assert str(machine.engine.log) in str(told.value)


@pytest.mark.parametrize(
    ("init", "systemd", "command"),
    [
        ("systemd", True, ["systemctl", "start", "docker"]),
        ("init", False, ["service", "docker", "start"]),
    ],
)
def test_where_an_init_runs_it_starts_the_daemon(machine, init, systemd, command):
    dockerd = machine.dockerd()
    (machine.folder / "init").write_text(init + "\n")
    if systemd:
        machine.engine.systemd.mkdir()
    spawn = f"import subprocess; subprocess.Popen([{str(dockerd)!r}], start_new_session=True)"
    machine.program(command[0], spawn)
    assert ensure(machine.host(), machine.engine) == "28.1"
    assert command in machine.calls


def test_an_engine_of_the_users_choice_is_asked_and_never_replaced(machine):
    machine.apt_get()
    with pytest.raises(Problem, match=r"DOCKER_HOST names does not answer.*unset it"):
        ensure(machine.host(DOCKER_HOST="unix:///nowhere.sock"), machine.engine)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(Problem, match="does not answer"):
        ensure(machine.host(DOCKER_HOST=f"tcp://127.0.0.1:{port}"), machine.engine)
    assert machine.calls == []


def test_a_failed_apt_is_told_in_one_sentence(machine):
    machine.program("apt-get", "sys.exit('E: Unable to locate package docker.io')")
    with pytest.raises(Problem, match=r"the package index has no docker.io") as told:
        ensure(machine.host(), machine.engine)
    assert str(machine.folder / "setup.log") in told.value.way_forward


def test_an_interrupted_dpkg_is_mended(machine):
    ready = str(machine.folder / "ready")
    machine.program("dpkg", f"open({ready!r}, 'w')")
    machine.program(
        "apt-get",
        f"""
if 'install' in sys.argv and not os.path.exists({ready!r}):
    sys.exit("E: dpkg was interrupted, you must manually run 'dpkg --configure -a'")
""",
    )
    machine.host().apt_install("docker", ["docker.io"], "it is missing")
    assert ["dpkg", "--configure", "-a"] in machine.calls


def test_the_image_is_built_when_missing_and_its_steps_are_told(machine, capsys):
    made = str(machine.folder / "made")
    python = machine.program(
        "python",
        f"""
if sys.argv[-1] != 'build': sys.exit(not os.path.exists({made!r}))
print('Base: pulled.', file=sys.stderr, flush=True)
if 'REFUSE' in os.environ: sys.exit('Error: no base can be had.')
open({made!r}, 'w')
print('Built it.', file=sys.stderr)
""",
    )
    with pytest.raises(Problem, match="the sandbox image is missing, and AGENTKIT_NO_INSTALL"):
        build_image(machine.host(AGENTKIT_NO_INSTALL="1"), python)
    with pytest.raises(Problem, match=r"cannot be made \(Error: no base can be had\)"):
        build_image(machine.host(REFUSE="1"), python)
    said = capsys.readouterr().err
    assert "setup: image: Base: pulled." in said
    assert "no base can be had" not in said  # the problem tells it, once

    build_image(machine.host(), python)
    said = capsys.readouterr().err
    assert [line.split(": ", 2)[2] for line in said.splitlines()[1:3]] == [
        "Base: pulled.",
        "Built it.",
    ]
    calls = len(machine.calls)
    build_image(machine.host(), python)
    assert len(machine.calls) == calls + 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("docker", "env", "code", "told"),
    [
        ("auto", {}, 0, "Going on without it"),
        ("require", {}, 1, "does not answer"),
        ("skip", {}, 0, "without Docker, as asked"),
        ("auto", {"AGENTKIT_NO_INSTALL": "1"}, 1, "does not answer"),
    ],
)
def test_a_missing_engine_stops_only_who_needs_it(
    docker, env, code, told, monkeypatch, capsys, tmp_path
):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(setup, "_checkout", lambda: None)  # as from an installed wheel
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert setup.set_up(dev=False, docker=docker) == code
    said = capsys.readouterr().err
    assert told in said
    assert ("setup: ready in" in said) == (code == 0)
