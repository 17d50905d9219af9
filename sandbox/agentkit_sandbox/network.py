"""The network of one sandbox with an allow-list: an internal bridge, and a proxy on it.

The bridge has no address of the host's (`inhibit_ipv4`): what the sandbox sends to its gateway is
answered by nobody, so neither this machine nor what lies behind it can be reached. `--internal`
alone is not enough: it leaves the host's own address on the bridge, and all its services with it.
Names are not resolved inside, either: the daemon's resolver may only ask an address in the
container itself, where nobody listens (without that, Docker before 23.0.11 passes questions on
through the host, CVE-2024-29018).
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final, cast

from agentkit_sandbox.attach import ATTACH, Demultiplexer
from agentkit_sandbox.base import PolicyNotInForce, SandboxUnavailable
from agentkit_sandbox.daemon import Engine, explained, in_thread, remove_container
from agentkit_sandbox.policy import MIB, SandboxPolicy

READY_SECONDS: Final = 30.0
SILENT: Final = {"com.docker.network.bridge.inhibit_ipv4": "true"}
_QUIET: Final[dict[str, Any]] = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "mem_limit": 64 * MIB,
    "memswap_limit": 64 * MIB,
    "nano_cpus": 500_000_000,
    "pids_limit": 16,
    "sysctls": {"net.ipv4.ip_forward": "0"},
    "log_config": {"Type": "none", "Config": {}},
    "auto_remove": True,
}


@dataclass(frozen=True, slots=True)
class Egress:
    """A network with its proxy.

    Attributes:
        network: name of the network.
        proxy: address of the proxy, such as "http://172.18.0.2:3128".
    """

    network: str
    proxy: str
    _engine: Engine
    _name: str
    _writer: asyncio.StreamWriter

    @property
    def environment(self) -> dict[str, str]:
        """What tells programs of the proxy."""
        names = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
        return dict.fromkeys(names, self.proxy)

    async def check(self, sandbox: str) -> None:
        """Look whether the running sandbox has this network, and the network nobody else.

        Raises:
            PolicyNotInForce: it is not so.
        """
        found: dict[str, Any] = await in_thread(self._engine.api.inspect_network, self.network)
        containers: dict[str, dict[str, Any]] = found.get("Containers") or {}
        members = sorted(str(each["Name"]) for each in containers.values())
        options: dict[str, str] = found.get("Options") or {}
        good = (
            found.get("Internal") is True
            and not found.get("EnableIPv6")
            and all(options.get(key) == value for key, value in SILENT.items())
            and members == sorted([sandbox, self._name])
        )
        if not good:
            raise PolicyNotInForce(
                f"The sandbox was refused: its network is not closed (members {members}, "
                f"internal {found.get('Internal')}, options {options})."
            )

    async def close(self) -> None:
        """Remove the proxy and the network, within bounded time."""
        self._writer.close()
        await in_thread(remove_egress, self._engine, self._name, self.network)
        with suppress(OSError):
            await self._writer.wait_closed()


async def open_egress(
    engine: Engine, policy: SandboxPolicy, name: str, labels: Mapping[str, str], uids: range
) -> Egress:
    """Make the network of a sandbox that is about to start, and the proxy on it.

    Args:
        engine: the daemon.
        policy: its allow-list is what the proxy serves.
        name: of the sandbox.
        labels: of its owner; network and proxy are removed with the same right.
        uids: user ids, of which the proxy gets one.

    Raises:
        SandboxUnavailable: the daemon has no network to give.
        PolicyNotInForce: the host could be reached over it.
    """
    network, proxy = f"{name}-net", f"{name}-proxy"
    writer: asyncio.StreamWriter | None = None
    try:
        subnet = await in_thread(_create, engine, network, proxy, policy, (labels, uids))
        reader, writer = await engine.hijack(ATTACH.format(proxy))
        await in_thread(engine.api.start, proxy)
        answer = await _first_line(Demultiplexer(reader), proxy)
        if answer.get("exposed") is not False:
            raise _exposed(subnet)  # noqa: TRY301 (the same clean-up)
        address = f"http://{answer['address']}:{answer['port']}"
        return Egress(network, address, engine, proxy, writer)
    except BaseException as error:
        if writer is not None:
            writer.close()
        await in_thread(remove_egress, engine, proxy, network)
        if type(error).__name__ == "APIError" or isinstance(error, (OSError, TimeoutError)):
            raise SandboxUnavailable(
                f"No sandbox with an allow-list can be had here: {explained(cast('Any', error))}. "
                "The daemon needs bridge networks (it is started without --bridge=none), and "
                "address pools that are not used up."
            ) from error
        raise


def _exposed(subnet: str) -> PolicyNotInForce:
    return PolicyNotInForce(
        "The sandbox was refused: this machine answers on the sandbox's own network "
        f"({subnet}), so its services could be reached. Docker did not take the option "
        "`inhibit_ipv4`; use a daemon of version 20.10 or newer."
    )


def remove_egress(engine: Engine, proxy: str, network: str) -> None:
    """Remove a proxy and its network; they may be gone already."""
    from docker.errors import APIError  # noqa: PLC0415 (heavy)

    remove_container(engine.client, proxy)
    with suppress(APIError, OSError):
        # A container that is going holds its end for a moment longer.
        members: dict[str, Any] = engine.api.inspect_network(network).get("Containers") or {}
        for member in members:
            with suppress(APIError):
                engine.api.disconnect_container_from_network(member, network, force=True)
        engine.api.remove_network(network)


def _create(
    engine: Engine,
    network: str,
    proxy: str,
    policy: SandboxPolicy,
    identity: tuple[Mapping[str, str], range],
) -> str:
    """Create the network and the proxy, not started; return the network's addresses."""
    from agentkit_sandbox.image.builder import image_name  # noqa: PLC0415 (imports daemon.py)

    labels, uids = identity
    api, uid = engine.api, uids.start + secrets.randbelow(len(uids))
    api.create_network(
        network, driver="bridge", internal=True, options=dict(SILENT), labels=dict(labels)
    )
    found: dict[str, Any] = api.inspect_network(network)
    config: dict[str, str] = found["IPAM"]["Config"][0]
    subnet = ipaddress.ip_network(config["Subnet"])
    settings: dict[str, Any] = {
        "allowed": policy.destinations,
        "neighbour": str(subnet[1]),
        "gateway": config.get("Gateway") or str(subnet[1]),
    }
    api.create_container(
        image_name(),
        command=["-I", "-c", _program(), json.dumps(settings)],
        entrypoint=["python3"],
        name=proxy,
        hostname="proxy",
        user=f"{uid}:{uid}",
        working_dir="/",
        labels=dict(labels),
        stdin_open=True,
        host_config=api.create_host_config(network_mode="bridge", **_QUIET),
    )
    api.connect_container_to_network(proxy, network)
    return str(subnet)


@functools.cache
def _program() -> str:
    source = resources.files("agentkit_sandbox").joinpath("proxy.py").read_text("utf-8")
    return f"{source}\nasyncio.run(main())\n"


async def _first_line(source: Demultiplexer, proxy: str) -> dict[str, Any]:
    said, words = b"", b""
    async with asyncio.timeout(READY_SECONDS):
        while b"\n" not in said:
            number, data = await source.read()
            if not number:
                last = words.decode("utf-8", "replace").strip()[-300:]
                raise OSError(f"the proxy {proxy} ended: {last}")
            said, words = (said + data, words) if number == 1 else (said, words + data)
    return cast("dict[str, Any]", json.loads(said))
