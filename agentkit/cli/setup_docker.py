"""The Docker engine and the sandbox image: found, installed, started, or explained.

Standard library only. Where no engine can be had, a `Problem` says what was missing and how to
get it; the caller decides whether to go on without.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from agentkit.cli.setup_host import Done, Host, Problem

_PATIENCE = 60.0  # seconds for a started daemon to answer
_CAP_SYS_ADMIN = 21  # number of the capability in linux/capability.h; a daemon mounts file systems
# A daemon for sandboxes needs no network of its own: they have none. This is the second try, for
# machines where the daemon may not touch the packet filter.
_WITHOUT_NETWORK = ("--iptables=false", "--ip6tables=false", "--bridge=none")
# All that a daemon gets of our environment: it outlives us, and keys must not stay in it.
_DAEMON_ENV = re.compile(r"(?i)PATH|HOME|LANG|TMPDIR|(https?|no|all)_proxy|SSL_CERT_(FILE|DIR)")


class NoEngine(Problem):
    """No engine can run on this machine, whatever is installed on it."""


@dataclass(frozen=True, slots=True)
class Engine:
    """Where the Docker engine is looked for, and what its daemon would meet here.

    Attributes:
        socket: the daemon's own socket.
        status: this process's status, which tells its capabilities.
        log: file for what a daemon started by us says.
        systemd: folder that exists where systemd runs.
        init: name of process 1.
    """

    socket: Path = Path("/var/run/docker.sock")
    status: Path = Path("/proc/self/status")
    log: Path = Path("/var/log/agentkit-dockerd.log")
    systemd: Path = Path("/run/systemd/system")
    init: Path = Path("/proc/1/comm")


def ensure(host: Host, engine: Engine) -> str:
    """Have a Docker engine that answers; install and start one if root.

    Returns:
        Its version, or "" if it can only be asked through a Docker client.

    Raises:
        NoEngine: none can run here.
        Problem: one could, but not by us.
    """
    version = _find(host, engine)
    if version is None and not host.find("dockerd"):
        _install(host)
        version = _answer(engine.socket)  # the package's own script may have started it
    return _start(host, engine) if version is None else version


def what_is_missing() -> str | None:
    """Why no Docker engine answers here, and how to get one; None if one does. Changes nothing."""
    try:
        if _find(Host.here(), Engine()) is not None:
            return None
    except Problem as problem:
        return str(problem)
    return str(Problem("the Docker engine is not running", "run `agentkit setup`"))


def build_image(host: Host, python: Path) -> None:
    """Have the sandbox image.

    Args:
        host: this machine.
        python: the interpreter of the environment that agentkit is installed in; its
            `agentkit sandbox build` does the work.

    Raises:
        Problem: forbidden, or the build failed.
    """
    agentkit = [str(python), "-I", "-m", "agentkit.cli.main"]
    if host.run("image", [*agentkit, "sandbox", "build", "--check"]).code == 0:
        return
    if host.no_install:
        raise Problem(
            "the sandbox image is missing, and AGENTKIT_NO_INSTALL is set",
            "run `agentkit sandbox build` once",
        )
    with host.timed("image", "agentkit sandbox build makes the image that code runs in"):
        done = host.run("image", [*agentkit, "sandbox", "build"], echo=True)
        if done.code:
            raise Problem(
                f"the sandbox image cannot be made ({_last_line(done.text)})",
                f"mend that and run `agentkit sandbox build`; its whole output is in {host.log}",
            )


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300].rstrip(".") if lines else "without a word"


def _find(host: Host, engine: Engine) -> str | None:
    """Version of the engine that answers; None where root can install or start one.

    Raises:
        NoEngine: none can run here.
        Problem: one could, but not by us.
    """
    if chosen := host.env.get("DOCKER_HOST", ""):
        return _ask_chosen(chosen)
    try:
        return _ask(engine.socket)
    except PermissionError:
        raise Problem(
            "a Docker engine runs here, but this user may not use it",
            "run `sudo usermod -aG docker $USER` and log in again",
        ) from None
    except OSError:
        _refuse_where_hopeless(host, engine)
        return None


def _answer(path: Path) -> str | None:
    try:
        return _ask(path)
    except OSError:
        return None


def _ask(path: Path) -> str:
    """Version of the daemon behind a Unix socket.

    Raises:
        PermissionError: this user may not ask.
        OSError: nobody answers.
    """
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(10)
        line.connect(str(path))
        line.sendall(b"GET /version HTTP/1.0\r\nHost: docker\r\n\r\n")
        reply = b"".join(iter(lambda: line.recv(65536), b""))
    try:
        return str(json.loads(reply.partition(b"\r\n\r\n")[2])["Version"])
    except (ValueError, KeyError, TypeError):
        raise ConnectionError("what answers is no Docker engine") from None


def _ask_chosen(address: str) -> str:
    """Ask the engine that DOCKER_HOST names; it is the user's choice, so nothing is installed."""
    url = urlsplit(address)
    try:
        if url.scheme == "unix":
            return _ask(Path(url.path))
        if url.scheme == "tcp" and url.hostname:
            socket.create_connection((url.hostname, url.port or 2375), timeout=10).close()
    except OSError as error:
        raise Problem(
            f"the Docker engine that DOCKER_HOST names does not answer ({error})",
            "start it, mend DOCKER_HOST, or unset it to use an engine on this machine",
        ) from None
    return ""  # ssh and TLS are the client's business; `sandbox build` will tell


def _refuse_where_hopeless(host: Host, engine: Engine) -> None:
    """Raise where installing an engine could not help."""
    # What root has here, or could have.
    capabilities = "CapEff" if host.root else "CapBnd"
    found = re.search(rf"^{capabilities}:\s*([0-9a-f]+)", _read(engine.status), re.MULTILINE)
    if found and not int(found[1], 16) >> _CAP_SYS_ADMIN & 1:
        raise NoEngine(
            "this machine is an unprivileged container, in which no Docker engine can run"
            " (CAP_SYS_ADMIN is missing)",
            "start the container with `--privileged`, or hand it the engine of its host with"
            " `-v /var/run/docker.sock:/var/run/docker.sock`",
        )
    if not host.root:
        installed = host.find("dockerd")
        state = "is not running" if installed else "is not installed"
        remedy = "systemctl start docker" if installed else "apt-get install docker.io"
        raise Problem(
            f"the Docker engine {state}, and only root can change that",
            f"run `sudo {remedy}` and `sudo usermod -aG docker $USER`, then log in again;"
            " or start a rootless engine and set DOCKER_HOST to its socket",
        )


def _install(host: Host) -> None:
    # mmdebstrap makes the image's base where no registry can be reached.
    host.apt_install("docker", ["docker.io", "mmdebstrap"], "the Docker engine is not installed")


def _start(host: Host, engine: Engine) -> str:
    if host.no_install:
        raise Problem(
            "the Docker engine is not running, and AGENTKIT_NO_INSTALL is set",
            "start it with `systemctl start docker` or `service docker start`",
        )
    started = time.monotonic()
    if engine.systemd.is_dir() and host.find("systemctl"):
        version = _start_service(host, engine, ["systemctl", "start", "docker"])
    elif _read(engine.init).strip() in ("init", "openrc-init", "runit") and host.find("service"):
        version = _start_service(host, engine, ["service", "docker", "start"])
    else:
        version = _start_daemon(host, engine)
    host.say("docker", f"engine {version} answers after {time.monotonic() - started:.1f} s")
    return version


def _start_service(host: Host, engine: Engine, command: list[str]) -> str:
    host.say("docker", f"starting the engine: {' '.join(command)}")
    done = host.run("docker", command)
    if version := _wait(engine, None):
        return version
    raise host.failure(" ".join(command), Done(done.code, done.text or "no answer from the engine"))


def _start_daemon(host: Host, engine: Engine) -> str:
    """Start the daemon ourselves, where no init would: in a container, or a bare machine."""
    dockerd = host.find("dockerd") or "dockerd"
    said = ""
    for flags in ((), _WITHOUT_NETWORK):
        host.say("docker", f"starting {' '.join(['dockerd', *flags])}, log in {engine.log}")
        with engine.log.open("ab") as log:
            begin = log.tell()
            daemon = subprocess.Popen(
                [dockerd, *flags],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={k: v for k, v in host.env.items() if _DAEMON_ENV.fullmatch(k)},
                start_new_session=True,  # it is to outlive this program and its Ctrl-C
            )
        if version := _wait(engine, daemon):
            return version
        with engine.log.open("rb") as log:
            log.seek(begin)
            said = log.read().decode(errors="replace")
        if daemon.poll() is None or not re.search(r"iptables|nftables|bridge|netlink", said):
            break
    raise NoEngine(
        f"the Docker engine cannot run on this machine ({_last_words(said)})",
        "if it is a container, start it with `--privileged` or hand it the engine of its host with"
        f" `-v /var/run/docker.sock:/var/run/docker.sock`; the daemon's log is {engine.log}",
    )


def _wait(engine: Engine, daemon: subprocess.Popen[bytes] | None) -> str | None:
    """Version of the engine as soon as it answers; None if its daemon ends or takes too long."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        if version := _answer(engine.socket):
            return version
        if daemon and daemon.poll() is not None and not _another_is_starting(engine):
            return _answer(engine.socket)
        time.sleep(0.1)
    return None


def _another_is_starting(engine: Engine) -> bool:
    """Whether a second daemon, of another setup or of apt's script, has taken the place of ours."""
    pid = _read(engine.socket.with_name("docker.pid")).strip()
    return pid.isdigit() and os.path.exists(f"/proc/{pid}")  # noqa: PTH110


def _last_words(said: str) -> str:
    """Why a daemon ended: the last failure in its log, without its decoration."""
    for line in reversed(said.splitlines()):
        if re.search(r"(?i)failed|error|fatal|denied", line):
            message = re.search(r'msg="((?:[^"\\]|\\.)*)"', line)
            return (message[1] if message else line).strip()[:200]
    return "it gave no answer and no reason"


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
