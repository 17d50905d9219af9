"""Sandboxes as Docker containers."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from agentkit_sandbox.attach import ATTACH, AttachedChannel
from agentkit_sandbox.base import (
    Capacity,
    OnWait,
    Sandbox,
    SandboxError,
    SandboxPolicy,
    SandboxUnavailable,
)
from agentkit_sandbox.daemon import (
    CANNOT,
    Daemon,
    Engine,
    api_of,
    explained,
    in_thread,
    open_engine,
    remove_container,
    translated,
)
from agentkit_sandbox.limits import (
    WORKSPACE,
    check_facts,
    check_settings,
    host_config,
    network_mode,
)
from agentkit_sandbox.network import Egress, open_egress
from agentkit_sandbox.reaper import MARK, is_orphan, owner_labels
from agentkit_sandbox.runner.bundle import program
from agentkit_sandbox.script import PID_1, ScriptSession
from agentkit_sandbox.session import Session
from agentkit_sandbox.sockets import limit_sockets
from agentkit_sandbox.support import Support, support

if TYPE_CHECKING:
    from docker import DockerClient

_UNSTARTED: Final = 600.0  # seconds; no start takes that long
_ENVIRONMENT: Final = {"HOME": WORKSPACE, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class _Identity:
    """What is one sandbox's own."""

    name: str
    uid: int
    image: str
    labels: Mapping[str, str]


class DockerBackend:
    """Starts sandboxes on a Docker daemon. See `agentkit_sandbox.base.Backend`.

    Args:
        owner: labels that name the process whose end makes a sandbox an orphan; by default this
            process.
        daemon: where it listens; by default DOCKER_HOST, with DOCKER_TLS_VERIFY and
            DOCKER_CERT_PATH. A far daemon keeps the same promises: the dead-man's switch is the
            connection itself.
    """

    def __init__(self, owner: dict[str, str] | None = None, daemon: Daemon | None = None) -> None:
        self._owner = owner
        self._daemon = daemon
        self._engine: Engine | None = None
        self._support: Support | None = None
        self._images: dict[tuple[str | None, tuple[str, ...]], str] = {}
        self._taken: set[int] = set()
        self._lock = asyncio.Lock()

    async def start(self, policy: SandboxPolicy, on_wait: OnWait | None = None) -> Sandbox:
        """Start a sandbox whose kernel is ready.

        Raises:
            SandboxUnavailable: none can be had here; the text says why and the way out.
            PolicyNotInForce: a limit did not take effect.
            SandboxLost: it ended while it was starting.
        """
        engine, found = await self._connected()
        if (reason := found.refuse(policy)) is not None:
            raise SandboxUnavailable(f"{CANNOT}: {reason}.")
        image = await self._image(engine, found, policy, on_wait)
        uid = await self._free_uid(engine, found.uids)
        labels = owner_labels(lifetime=policy.lifetime_seconds) | (self._owner or {})
        labels |= {f"{MARK}.uid": str(uid), f"{MARK}.memory": str(policy.memory_mb)}
        identity = _Identity(f"agentkit-{secrets.token_hex(6)}", uid, image, labels)
        try:
            return await self._launch(engine, policy, identity, found.uids)
        except (SandboxError, asyncio.CancelledError):
            raise
        except Exception as error:
            raise SandboxUnavailable(_why_not_started(error, image)) from error
        finally:
            self._taken.discard(uid)  # from here on the container's label says it

    async def capacity(self) -> Capacity:
        """Return what the daemon has left: its memory, less what live sandboxes may use."""
        engine, found = await self._connected()
        promised = 0
        for each in await in_thread(live, engine.client):
            memory = labels_of(each).get(f"{MARK}.memory", "")
            promised += int(memory) if memory.isdigit() else 0
        return Capacity(max(0, found.memory_mb - promised), found.cpus)

    async def reap(self) -> int:
        """Remove sandboxes whose owner is gone; return how many."""
        engine, _ = await self._connected()
        return await in_thread(reap, engine.client)

    async def close(self) -> None:
        """Let go of the connections; sandboxes that were started live on."""
        async with self._lock:
            engine, self._engine = self._engine, None
            if engine is not None:
                await in_thread(engine.close)

    async def _connected(self) -> tuple[Engine, Support]:
        async with self._lock:
            if self._engine is None or self._support is None:
                engine = await in_thread(open_engine, self._daemon)
                try:
                    with translated(f"{CANNOT}: the Docker daemon did not say what it can"):
                        info: Any = await in_thread(engine.api.info)
                    self._support = support(cast("Any", info) if isinstance(info, dict) else {})
                    await in_thread(reap, engine.client)
                except BaseException:
                    await in_thread(engine.close)
                    raise
                self._engine = engine
            return self._engine, self._support

    async def _image(
        self, engine: Engine, found: Support, policy: SandboxPolicy, on_wait: OnWait | None
    ) -> str:
        """Return the name of the policy's image, there and of the right architecture."""
        from agentkit_sandbox.image import derived  # noqa: PLC0415 (imports this package)

        key = (policy.image, policy.packages)
        async with self._lock:  # packages are built once, whoever asks first
            if key not in self._images:
                if policy.packages and on_wait is not None:
                    on_wait("building an image with " + ", ".join(policy.packages))
                self._images[key] = await in_thread(
                    derived.ready, engine.client, policy, found.architecture
                )
            return self._images[key]

    async def _free_uid(self, engine: Engine, uids: range) -> int:
        """Return a user id that no live sandbox has."""
        taken = set(self._taken)
        if len(uids) < 1_000_000:  # among a billion, two do not meet
            for each in await in_thread(live, engine.client):
                taken.add(int(labels_of(each).get(f"{MARK}.uid") or 0))
            taken |= self._taken
        while (uid := uids.start + secrets.randbelow(len(uids))) in taken:
            continue
        self._taken.add(uid)
        return uid

    async def _launch(
        self, engine: Engine, policy: SandboxPolicy, identity: _Identity, uids: range
    ) -> Sandbox:
        name, uid = identity.name, identity.uid
        egress: Egress | None = None
        channel: AttachedChannel | None = None

        async def remove() -> None:
            await in_thread(remove_container, engine.client, name)  # bounded by CALL_SECONDS
            if egress is not None:
                await egress.close()

        try:
            if policy.allowlist:
                egress = await open_egress(engine, policy, name, identity.labels, uids)
            network = network_mode(policy, egress.network if egress else "")
            environment = _ENVIRONMENT | (egress.environment if egress else {})
            await in_thread(_create, engine, policy, identity, (network, environment))
            # Attached before the start, so that no moment exists in which nobody holds its input.
            reader, writer = await engine.hijack(ATTACH.format(name))
            channel = AttachedChannel(reader, writer, remove)
            await in_thread(engine.api.start, name)
            info: dict[str, Any] = await in_thread(engine.api.inspect_container, name)
            check_settings(policy, uid, info, network)
            await in_thread(limit_sockets, info)
            if egress is not None:
                await egress.check(name)
            if policy.runner is not None:
                return await ScriptSession.open(engine, channel, policy, name)
            session = Session(channel, policy, name)
            await session.greet()
            check_facts(policy, uid, session.facts)
        except BaseException:
            await (remove() if channel is None else channel.close())
            raise
        return session


def _create(
    engine: Engine,
    policy: SandboxPolicy,
    identity: _Identity,
    surroundings: tuple[str, Mapping[str, str]],
) -> None:
    network, environment = surroundings
    ours = policy.runner is None
    settings = engine.api.create_host_config(**host_config(policy, identity.uid, network))
    engine.api.create_container(
        identity.image,
        command=["-I", "-c", program()] if ours else ["-c", PID_1],
        entrypoint=["python3"] if ours else ["sh"],
        name=identity.name,
        hostname="sandbox",
        user=f"{identity.uid}:{identity.uid}",
        working_dir=WORKSPACE,
        environment=dict(environment),
        labels=dict(identity.labels),
        stdin_open=True,
        tty=False,
        network_disabled=network == "none",
        host_config=settings,
    )


def _why_not_started(error: Exception, image: str) -> str:
    text = explained(error)
    if "executable file not found" in text:
        wanted = "python3" if "python3" in text else "sh"
        return (
            f"{CANNOT}: the image {image} has no {wanted}. An image without Python needs a policy "
            'with a runner, such as SandboxPolicy(image=..., runner=Runner(("node",), ".js")).'
        )
    return f"{CANNOT}: Docker could not start a sandbox ({text[:300]})."


def live(client: DockerClient) -> list[dict[str, Any]]:
    """Return the daemon's summary of each sandbox and proxy, running or not.

    Raises:
        SandboxUnavailable: the daemon does not answer.
    """
    with translated("The Docker daemon did not answer"):
        found: Any = api_of(client).containers(all=True, filters={"label": f"{MARK}=1"})
    return cast("list[dict[str, Any]]", found)


def labels_of(summary: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels in the daemon's summary of a container or network."""
    return cast("dict[str, str]", summary.get("Labels") or {})


def networks(client: DockerClient) -> list[dict[str, Any]]:
    """Return the daemon's summary of each sandbox's own network.

    Raises:
        SandboxUnavailable: the daemon does not answer.
    """
    with translated("The Docker daemon did not answer"):
        found: Any = api_of(client).networks(filters={"label": f"{MARK}=1"})
    return cast("list[dict[str, Any]]", found)


def _orphaned(summary: Mapping[str, Any]) -> bool:
    labels = labels_of(summary)
    if summary.get("State") == "created":  # whoever wanted it would have started it long ago
        labels = labels | {f"{MARK}.lifetime": f"{_UNSTARTED:.0f}"}
    return is_orphan(labels)


def reap(client: DockerClient) -> int:
    """Remove the sandboxes whose owner is gone, with their networks; return how many.

    One that was created and not started within ten minutes counts too: the connection broke before
    its owner learned of it.
    """
    from docker.errors import APIError  # noqa: PLC0415 (heavy)

    orphans = [each["Id"] for each in live(client) if _orphaned(each)]
    for identifier in orphans:
        remove_container(client, identifier)
    for network in networks(client):
        if is_orphan(labels_of(network)):
            try:
                api_of(client).remove_network(network["Id"])
            except (APIError, OSError):
                continue  # a proxy holds it while it goes; the next round takes it
    return len(orphans)
