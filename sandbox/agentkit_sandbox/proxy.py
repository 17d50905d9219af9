"""The only way out of a sandbox with an allow-list: a CONNECT proxy in a container of its own.

It is sent there as one source, so it imports the standard library only. It reaches the hosts of
the list and nothing else; names are resolved here, once, and the connection goes to the address
that was looked at: a name that leads to a private address, now or at its second look-up, is of no
use to the program that asks.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

PORT = 3128
MAX_HEAD = 8192
MAX_CONNECTIONS = 64
WAIT_SECONDS = 10.0
IDLE_SECONDS = 300.0
PROBE_SECONDS = 0.25

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[list[str]]]
NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Refused(Exception):
    """A request that is not served; the first argument is the HTTP status, the second says why."""


def innermost(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one carries, so that no notation hides a private one."""
    if isinstance(address, ipaddress.IPv6Address):
        for inner in (address.ipv4_mapped, address.sixtofour):
            if inner is not None:
                return inner
        if address in NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def parse(host: str) -> Address | None:
    """Return an address that is written out, or None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def public(text: str) -> bool:
    """Say whether an address is one of the public internet."""
    address = innermost(ipaddress.ip_address(text.partition("%")[0]))
    return address.is_global and not address.is_multicast


def never(address: Address) -> bool:
    """Say whether an address is refused even when the list has it: this machine, metadata."""
    inner = innermost(address)
    return inner.is_loopback or inner.is_link_local or inner.is_unspecified or inner.is_multicast


async def look_up(host: str, port: int) -> list[str]:
    """Return the addresses of a name."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(each[4][0]) for each in found]


class Proxy:
    """Serves CONNECT for the hosts of an allow-list.

    Args:
        allowed: pairs of host, in lower case, and port.
        resolve: looks a name up.
    """

    def __init__(self, allowed: Iterable[tuple[str, int]], resolve: Resolve = look_up) -> None:
        self._allowed = {(host, port) for host, port in allowed}
        self._resolve = resolve
        self._open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, whatever it sends."""
        self._open += 1
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                there = await self._connect(await self._asked(reader))
        except (Refused, TimeoutError, OSError, ValueError, asyncio.IncompleteReadError) as error:
            status, why = error.args if isinstance(error, Refused) else ("502 Bad Gateway", "")
            body = (why or f"The host could not be reached: {type(error).__name__}.").encode()
            head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        else:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await self._relay((reader, writer), there)
        finally:
            self._open -= 1
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(WAIT_SECONDS):
                    await writer.drain()
            writer.close()

    async def _asked(self, reader: asyncio.StreamReader) -> tuple[str, int]:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            raise Refused("431 Request Header Fields Too Large", "The head is too long.") from None
        words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(words) != 3 or words[0] != "CONNECT":
            why = "This proxy serves CONNECT only: use https."
            raise Refused("405 Method Not Allowed", why)
        host, _, port = words[1].rpartition(":")
        host = host.strip("[]").rstrip(".").lower()
        if not host or not port.isdecimal():
            raise Refused("400 Bad Request", "Ask for host:port.")
        if self._open > MAX_CONNECTIONS:
            raise Refused("503 Service Unavailable", "Too many connections at a time.")
        if (host, int(port)) not in self._allowed:
            listed = ", ".join(sorted(f"{name}:{number}" for name, number in self._allowed))
            why = f"{host}:{port} is not on this sandbox's allow-list ({listed})."
            raise Refused("403 Forbidden", why)
        return host, int(port)

    async def _connect(
        self, asked: tuple[str, int]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = asked
        literal = parse(host)
        addresses = [host] if literal else await self._resolve(host, port)
        bad = never(literal) if literal else not all(public(each) for each in addresses)
        if bad or not addresses:
            why = f"{host} leads to an address that is not public; it is not served."
            raise Refused("403 Forbidden", why)
        failure: OSError = OSError("no address")
        for each in dict.fromkeys(addresses):
            try:
                return await asyncio.open_connection(each, port)
            except OSError as error:
                failure = error
        raise failure

    async def _relay(
        self,
        here: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        there: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        with suppress(OSError, TimeoutError):
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(here[0], there[1]))
                group.create_task(_copy(there[0], here[1]))
        there[1].close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Copy until the end and pass the end on; an error or a silence ends both directions."""
    with suppress(OSError, TimeoutError):
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                data = await source.read(1 << 16)
            if not data:
                target.write_eof()
                return
            target.write(data)
            await target.drain()
    target.close()


async def answers(address: str) -> bool:
    """Say whether a machine is there: one that refuses a connection is, one that is silent not."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            _, writer = await asyncio.open_connection(address, 9)
    except ConnectionRefusedError:
        return True
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def own_address(neighbour: str) -> str:
    """Return the address of the interface behind which a neighbour would be; sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((neighbour, 9))
        return str(probe.getsockname()[0])


async def main() -> None:
    """Serve on the sandbox's network until standard input ends: then the owner is gone."""
    settings = json.loads(sys.argv[1])
    proxy = Proxy((host, port) for host, port in settings["allowed"])
    here = own_address(settings["neighbour"])
    exposed = bool(settings["gateway"]) and await answers(settings["gateway"])
    await asyncio.start_server(proxy.serve, here, PORT, limit=MAX_HEAD)
    os.write(1, json.dumps({"address": here, "port": PORT, "exposed": exposed}).encode() + b"\n")
    await asyncio.to_thread(sys.stdin.buffer.read)
    os._exit(0)
