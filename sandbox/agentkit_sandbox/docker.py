"""Sandboxes as Docker containers: the only file that imports docker, and only when it is used.

The SDK blocks, so each of its calls runs in a thread; the attached stream is read by asyncio.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import struct
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, ParamSpec, TypeVar, cast

from agentkit_sandbox.base import SandboxError, SandboxPolicy, SandboxUnavailable
from agentkit_sandbox.limits import WORKSPACE, check_facts, check_settings, host_config
from agentkit_sandbox.reaper import MARK, is_orphan, owner_labels
from agentkit_sandbox.runner.bundle import program
from agentkit_sandbox.session import Session
from agentkit_sandbox.settings import docker_host

if TYPE_CHECKING:
    from docker import DockerClient

CALL_SECONDS: Final = 30.0  # one request to the daemon; a start on a busy machine takes seconds
MAX_WORDS: Final = 4096
# A user id for each live sandbox: inotify watches, keys and pending signals are counted by user
# across containers, so two sandboxes with one id could starve each other.
UIDS: Final = range(1_000_000, 1_000_000_000)
MAPPED_UIDS: Final = range(20_000, 60_000)  # rootless daemons and userns-remap map 65536 ids

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


def connect(seconds: float = CALL_SECONDS) -> DockerClient:
    """Return a client of the daemon that DOCKER_HOST names, after it has answered.

    Raises:
        SandboxUnavailable: there is none; the text says why and what to do.
    """
    try:
        import docker  # noqa: PLC0415 (heavy: only those who use a sandbox pay for it)
        from docker.errors import DockerException  # noqa: PLC0415
    except ImportError:
        raise SandboxUnavailable(
            "Code cannot be run here: the Python package `docker` is missing. "
            "Install it with `pip install docker`."
        ) from None
    _knock()
    client: DockerClient | None = None
    try:
        client = docker.from_env(timeout=int(seconds))
        client.ping()
    except (DockerException, OSError) as error:  # requests' own errors are OSErrors
        if client is not None:
            client.close()
        raise SandboxUnavailable(
            f"Code cannot be run here: the Docker daemon did not answer ({str(error)[:200]})."
        ) from error
    return client


def _knock() -> None:
    """Try a local daemon's socket first: the plain error says more than the SDK's."""
    kind, _, path = docker_host().partition("://")
    if kind != "unix":
        return
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(5)
            probe.connect(path)
    except PermissionError:
        raise SandboxUnavailable(
            "Code cannot be run here: this user may not talk to the Docker daemon. "
            "Add the user to the group `docker` and log in again, or run as root."
        ) from None
    except OSError as error:
        raise SandboxUnavailable(
            f"Code cannot be run here: no Docker daemon is running ({path}: {error.strerror}). "
            "Start one, or run `agentkit setup`, which installs and starts it."
        ) from None


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
        text = str(getattr(error, "explanation", None) or error)
        raise SandboxUnavailable(f"{failure}: {text[:400]}") from error


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


class DockerBackend:
    """Starts sandboxes on a Docker daemon. See `agentkit_sandbox.base.Backend`.

    Args:
        owner: labels that name the process whose end makes a sandbox an orphan; by default this
            process.
    """

    def __init__(self, owner: dict[str, str] | None = None) -> None:
        self._owner = owner
        self._client: DockerClient | None = None
        self._uids: range | None = None
        self._lock = asyncio.Lock()

    async def _connected(self) -> DockerClient:
        async with self._lock:
            if self._client is None:
                client = await in_thread(connect)
                if not str(api_of(client).base_url).startswith(("http+docker://local", "http://")):
                    raise SandboxUnavailable(
                        f"Code cannot be run on {docker_host()}: sandboxes need a daemon on a "
                        "local socket or plain TCP for now. Unset DOCKER_HOST to use the local one."
                    )
                self._client = client
                info: dict[str, Any] = await in_thread(self._client.info)
                options = " ".join(cast("list[str]", info.get("SecurityOptions") or []))
                mapped = "rootless" in options or "userns" in options
                self._uids = MAPPED_UIDS if mapped else UIDS
                await in_thread(reap, self._client)
            return self._client

    async def start(self, policy: SandboxPolicy) -> Session:
        """Start a sandbox whose kernel is ready.

        Raises:
            SandboxUnavailable: none can be had here; the text says why and the way out.
            PolicyNotInForce: a limit did not take effect.
            SandboxLost: it ended while it was starting.
        """
        client = await self._connected()
        assert self._uids is not None
        uid = self._uids.start + secrets.randbelow(len(self._uids))
        name = f"agentkit-{secrets.token_hex(6)}"
        labels = self._owner or owner_labels()
        session: Session | None = None
        streams: list[socket.socket] = []  # filled in the thread, so that none is lost on the way
        try:
            await in_thread(_launch, client, policy, streams, Identity(name, uid, labels))
            channel = await AttachedChannel.open(client, name, streams.pop())
            session = Session(channel, policy, name)
            info = await in_thread(api_of(client).inspect_container, name)
            check_settings(policy, uid, cast("dict[str, Any]", info))
            await session.greet()
            check_facts(policy, uid, session.facts)
        except BaseException as error:
            if session is not None:
                await session.close()
            else:
                for stream in streams:
                    stream.close()
                await in_thread(remove, client, name)
            if isinstance(error, (SandboxError, asyncio.CancelledError)):
                raise
            if isinstance(error, Exception):
                raise SandboxUnavailable(_why_not_started(error, policy)) from error
            raise
        return session

    async def reap(self) -> int:
        """Remove sandboxes whose owner is gone; return how many."""
        return await in_thread(reap, await self._connected())


def _why_not_started(error: Exception, policy: SandboxPolicy) -> str:
    if type(error).__name__ == "ImageNotFound":
        wanted = policy.image or "the sandbox image"
        return f"Code cannot be run here: {wanted} is missing. Run `agentkit sandbox build`."
    text = str(getattr(error, "explanation", None) or error)
    return f"Code cannot be run here: Docker could not start a sandbox ({text[:300]})."


class Identity(NamedTuple):
    """What is one sandbox's own: its name, its user id and its labels."""

    name: str
    uid: int
    labels: dict[str, str]


def _launch(
    client: DockerClient,
    policy: SandboxPolicy,
    streams: list[socket.socket],
    identity: Identity,
) -> None:
    """Create, attach and start a container; the attached stream is added to `streams`."""
    from agentkit_sandbox.image.builder import image_name  # noqa: PLC0415 (imports this file)

    api = api_of(client)
    name, uid, labels = identity
    settings = api.create_host_config(**host_config(policy, uid))
    api.create_container(
        policy.image or image_name(),
        command=["-I", "-c", program()],
        entrypoint=["python3"],
        name=name,
        hostname="sandbox",
        user=f"{uid}:{uid}",
        working_dir=WORKSPACE,
        environment={"HOME": WORKSPACE, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        labels=labels,
        stdin_open=True,
        tty=False,
        network_disabled=True,
        host_config=settings,
    )
    flags = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
    # Attached before the start, so that no moment exists in which nobody holds its input.
    attached = api.attach_socket(name, params=flags)
    # The connection is ours from here on: a descriptor of our own, and the SDK's response closed in
    # order. Left to the garbage collector it complains on stderr under Python 3.13.
    stream = socket.socket(fileno=os.dup(attached.fileno()))
    streams.append(stream)
    response = getattr(attached, "_response", None)
    if response is not None:
        response.close()
    stream.setblocking(False)
    api.start(name)


def remove(client: DockerClient, name: str) -> None:
    """Remove a container, running or not; it may be gone already."""
    from docker.errors import APIError  # noqa: PLC0415 (heavy)

    with suppress(APIError, OSError):  # gone, or going: auto-remove was quicker
        api_of(client).remove_container(name, force=True, v=True)


def live(client: DockerClient) -> list[dict[str, Any]]:
    """Return the daemon's summary of each sandbox, running or not."""
    found: Any = api_of(client).containers(all=True, filters={"label": f"{MARK}=1"})
    return cast("list[dict[str, Any]]", found)


def reap(client: DockerClient) -> int:
    """Remove the sandboxes whose owner is gone; return how many."""
    orphans = [each["Id"] for each in live(client) if is_orphan(each.get("Labels") or {})]
    for identifier in orphans:
        remove(client, identifier)
    return len(orphans)


class AttachedChannel:
    """The attached streams of a container. See `agentkit_sandbox.session.Channel`.

    Without a terminal Docker sends stdout and stderr in pieces, each with a header of 8 bytes:
    the stream's number, three zero bytes and a big-endian length.
    """

    _HEADER = struct.Struct(">BxxxI")

    def __init__(
        self,
        client: DockerClient,
        name: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._client, self._name = client, name
        self._reader, self._writer = reader, writer
        self._left = 0
        self._words = bytearray()

    @classmethod
    async def open(cls, client: DockerClient, name: str, stream: socket.socket) -> AttachedChannel:
        """Read and write an attached socket by asyncio."""
        reader, writer = await asyncio.open_connection(sock=stream, limit=1 << 20)
        return cls(client, name, reader, writer)

    async def send(self, data: bytes) -> None:
        """Send bytes to the supervisor's standard input."""
        self._writer.write(data)
        await self._writer.drain()

    async def receive(self) -> bytes:
        """Return bytes of its standard output, or b"" at the end."""
        while True:
            if self._left:
                data = await self._reader.read(min(self._left, 1 << 20))
                self._left -= len(data)
                return data
            try:
                header = await self._reader.readexactly(self._HEADER.size)
                number, size = self._HEADER.unpack(header)
                if number == 1:
                    self._left = size
                    continue
                while size:
                    words = await self._reader.readexactly(min(size, 1 << 16))
                    size -= len(words)
                    self._words += words[: MAX_WORDS - len(self._words)]
            except asyncio.IncompleteReadError:
                return b""

    async def close(self) -> str:
        """Remove the container, within bounded time; return what it wrote to standard error."""
        self._writer.close()
        await in_thread(remove, self._client, self._name)  # bounded by CALL_SECONDS
        with suppress(OSError):
            await self._writer.wait_closed()
        return self._words.decode("utf-8", "replace").strip()
