"""One Docker daemon, near or far: the only file that imports docker, and only when it is used.

The SDK blocks, so each of its calls runs in a thread. What has to stream is dialled by asyncio.
"""

from __future__ import annotations

import asyncio
import atexit
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, cast
from urllib.parse import urlsplit

from agentkit_sandbox.base import SandboxUnavailable
from agentkit_sandbox.settings import docker_certificates, docker_host

if TYPE_CHECKING:
    from docker import DockerClient

CALL_SECONDS: Final = 30.0  # one request to the daemon; a start on a busy machine takes seconds
TUNNEL_SECONDS: Final = 20.0
OLDEST_API: Final = "1.41"  # Docker 20.10
REMOTE_SOCKET: Final = "/var/run/docker.sock"
CANNOT: Final = "Code cannot be run here"

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking call in a thread and stay until it is over, even when cancelled.

    A cancelled `create` that goes on unseen would leave a container behind.
    """
    task = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


@dataclass(frozen=True, slots=True)
class Daemon:
    """Where a daemon listens.

    Attributes:
        address: "unix:///var/run/docker.sock", "tcp://host:2376" or "ssh://user@host".
        certificates: folder with ca.pem, cert.pem and key.pem; with it a tcp address speaks TLS
            and both sides prove who they are.
    """

    address: str
    certificates: str | None = None

    @classmethod
    def named(cls) -> Daemon:
        """Return the daemon that DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH name."""
        return cls(docker_host(), docker_certificates())

    @property
    def local(self) -> bool:
        """Whether its socket is on this machine."""
        return self.address.startswith("unix://")


class Engine:
    """A daemon that has answered.

    Attributes:
        client: the SDK's; its calls block.
        api: its low-level client, whose stubs lack parts; the tests check the calls.
    """

    def __init__(
        self, client: DockerClient, daemon: Daemon, tunnel: subprocess.Popen[bytes] | None
    ) -> None:
        self.client = client
        self.api: Any = cast("Any", client).api
        self._daemon = daemon
        self._tunnel = tunnel

    async def dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a stream of our own to the daemon.

        Raises:
            OSError: it does not answer.
        """
        url = urlsplit(self._daemon.address)
        if url.scheme == "unix":
            return await asyncio.open_unix_connection(url.path, limit=1 << 20)
        context = _tls(self._daemon.certificates) if self._daemon.certificates else None
        port = url.port or (2376 if context else 2375)
        return await asyncio.open_connection(url.hostname, port, ssl=context, limit=1 << 20)

    async def hijack(
        self, path: str, body: bytes = b""
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Ask for an upgraded stream, such as a container's `attach`.

        Args:
            path: of the daemon's API, without its version.
            body: JSON.

        Raises:
            OSError: the daemon is gone, or refused.
        """
        async with asyncio.timeout(CALL_SECONDS):
            reader, writer = await self.dial()
            try:
                version = self.api.api_version
                head = f"POST /v{version}{path} HTTP/1.1\r\nHost: docker\r\nUpgrade: tcp\r\n"
                head += "Connection: Upgrade\r\nContent-Type: application/json\r\n"
                writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                code = answer.split(" ", 2)[1]
                if code not in ("101", "200"):
                    raise OSError(f"the daemon answered {code}: {await reader.read(400)!r}")  # noqa: TRY301 (the same clean-up)
            except BaseException as error:
                await hang_up(writer)
                if isinstance(error, (asyncio.IncompleteReadError, asyncio.LimitOverrunError)):
                    raise OSError("the daemon closed the connection") from error
                raise
            return reader, writer

    def close(self) -> None:
        """Let go of the connections; sandboxes live on."""
        self.client.close()
        if self._tunnel is not None:
            end_tunnel(self._tunnel)


def open_engine(daemon: Daemon | None = None, seconds: float = CALL_SECONDS) -> Engine:
    """Connect to a daemon, by default the one that DOCKER_HOST names.

    Args:
        daemon: where it listens.
        seconds: how long one of its answers may take.

    Raises:
        SandboxUnavailable: there is none; the text says why and what to do.
    """
    daemon = daemon or Daemon.named()
    try:
        import docker  # noqa: PLC0415 (heavy: only those who use a sandbox pay for it)
        from docker.errors import DockerException  # noqa: PLC0415
        from docker.tls import TLSConfig  # noqa: PLC0415
    except ImportError:
        raise SandboxUnavailable(
            f"{CANNOT}: the Python package `docker` is missing. "
            "Install it with `pip install docker`."
        ) from None
    tunnel: subprocess.Popen[bytes] | None = None
    if daemon.address.startswith("ssh://"):
        tunnel, daemon = open_tunnel(daemon)
    _knock(daemon)
    client: DockerClient | None = None
    try:
        tls: Any = False
        if daemon.certificates is not None:
            folder = Path(daemon.certificates)
            pair = (str(folder / "cert.pem"), str(folder / "key.pem"))
            tls = TLSConfig(client_cert=pair, ca_cert=str(folder / "ca.pem"), verify=True)
        client = docker.DockerClient(
            base_url=daemon.address, tls=tls, timeout=int(seconds), version=OLDEST_API
        )
        api = api_of(client)
        # As `dial`: no web proxy on the way to a daemon, and no authority but its own. Before the
        # first request, which is why the version is asked for here and not by the SDK.
        api.trust_env = False
        api._version = api.version(api_version=False)["ApiVersion"]  # noqa: SLF001 (no other door)
    except (DockerException, OSError, KeyError, TypeError) as error:  # requests' are OSErrors
        if client is not None:
            client.close()
        if tunnel is not None:
            end_tunnel(tunnel)
        raise SandboxUnavailable(
            f"{CANNOT}: the Docker daemon did not answer at {daemon.address} ({str(error)[:200]})."
        ) from error
    return Engine(client, daemon, tunnel)


def connect(seconds: float = CALL_SECONDS) -> DockerClient:
    """Return a client of the daemon that DOCKER_HOST names, after it has answered.

    Raises:
        SandboxUnavailable: there is none; the text says why and what to do.
    """
    return open_engine(seconds=seconds).client


def _tls(certificates: str) -> ssl.SSLContext:
    folder = Path(certificates)
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def _knock(daemon: Daemon) -> None:
    """Try a local daemon's socket first: the plain error says more than the SDK's."""
    kind, _, path = daemon.address.partition("://")
    if kind not in ("unix", "tcp") or not path:
        raise SandboxUnavailable(
            f"{CANNOT}: {daemon.address!r} is no daemon's address. Give unix:///path, "
            "tcp://host:2376 or ssh://user@host in DOCKER_HOST."
        )
    if kind != "unix":
        return
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(5)
            probe.connect(path)
    except PermissionError:
        raise SandboxUnavailable(
            f"{CANNOT}: this user may not talk to the Docker daemon. "
            "Add the user to the group `docker` and log in again, or run as root."
        ) from None
    except OSError as error:
        raise SandboxUnavailable(
            f"{CANNOT}: no Docker daemon is running ({path}: {error.strerror}). "
            "Start one, or run `agentkit setup`, which installs and starts it."
        ) from None


def open_tunnel(daemon: Daemon) -> tuple[subprocess.Popen[bytes], Daemon]:
    """Forward a far daemon's socket to a local one by the `ssh` program and its settings.

    The far side runs `cat` on our pipe: when this process dies, the pipe ends, `cat` ends, and
    `ssh` with it.

    Raises:
        SandboxUnavailable: there is no `ssh`, or it could not get through.
    """
    url = urlsplit(daemon.address)
    program = shutil.which("ssh")
    if program is None or not url.hostname or url.hostname.startswith("-"):
        why = "the program `ssh` is missing" if program is None else "the address has no host"
        raise SandboxUnavailable(f"{CANNOT}: {daemon.address} cannot be reached: {why}.")
    folder = tempfile.mkdtemp(prefix="agentkit-ssh-")  # mode 0700: the socket is a root shell there
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = f"{folder}/docker.sock"
    command = [program, "-T", "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes"]
    command += ["-o", f"ConnectTimeout={TUNNEL_SECONDS:.0f}"]
    command += ["-p", str(url.port)] if url.port else []
    command += ["-l", url.username] if url.username else []
    command += ["-L", f"{path}:{url.path or REMOTE_SOCKET}", "--", url.hostname, "cat"]
    pipe = subprocess.PIPE
    tunnel = subprocess.Popen(  # noqa: S603 (no shell; the host cannot be an option)
        command, stdin=pipe, stdout=subprocess.DEVNULL, stderr=pipe
    )
    until = time.monotonic() + TUNNEL_SECONDS + 5
    while not Path(path).exists() and tunnel.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    if not Path(path).exists():
        words = end_tunnel(tunnel) or "no answer in time"
        raise SandboxUnavailable(f"{CANNOT}: `ssh {url.hostname}` did not get through: {words}")
    return tunnel, Daemon(f"unix://{path}")


def end_tunnel(tunnel: subprocess.Popen[bytes]) -> str:
    """End a tunnel and return the last words of `ssh`."""
    tunnel.terminate()
    with suppress(subprocess.TimeoutExpired):
        _, words = tunnel.communicate(timeout=5)
        return words.decode("utf-8", "replace").strip()[-300:]
    tunnel.kill()
    tunnel.communicate()
    return ""


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close a stream for good, whatever has become of the other side."""
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


@contextmanager
def translated(failure: str) -> Generator[None]:
    """Turn the SDK's errors into ours.

    Args:
        failure: the beginning of the sentence, such as "The image was not built".

    Raises:
        SandboxUnavailable: the daemon refused or did not answer.
    """
    from docker.errors import DockerException  # noqa: PLC0415 (heavy)

    try:
        yield
    except (DockerException, OSError) as error:
        raise SandboxUnavailable(f"{failure}: {explained(error)}") from error


def explained(error: Exception) -> str:
    """Return what the daemon said, or what went wrong on the way to it."""
    return str(getattr(error, "explanation", None) or error)[:400]


def present(client: DockerClient, name: str) -> bool:
    """Say whether the daemon has an image."""
    from docker.errors import ImageNotFound  # noqa: PLC0415 (heavy)

    with translated("The daemon could not be asked for its images"):
        try:
            client.images.get(name)
        except ImageNotFound:
            return False
    return True


def api_of(client: DockerClient) -> Any:
    """Return the SDK's low-level client, whose stubs lack parts; the tests check the calls."""
    return cast("Any", client).api


def remove_container(client: DockerClient, name: str) -> None:
    """Remove a container, running or not; it may be gone already."""
    from docker.errors import APIError  # noqa: PLC0415 (heavy)

    api = api_of(client)
    with suppress(APIError, OSError):  # gone
        try:
            api.remove_container(name, force=True, v=True)
        except APIError as error:
            if error.status_code == 409:  # going: auto-remove was quicker, and is waited for
                api.wait(name, timeout=CALL_SECONDS, condition="removed")
