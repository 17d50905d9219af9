"""What a sandbox can reach: nothing, the hosts of its list, or what the policy opens by name.

No test calls a foreign address: what must not be reached is proven by routes, by UDP connect(),
which sends nothing, and by listeners on addresses of this machine.
"""

import asyncio
import ipaddress
import json
import textwrap
from contextlib import asynccontextmanager

import pytest
from far_daemon import ours
from hypothesis import given
from hypothesis import strategies as st

from agentkit_sandbox import DockerBackend, PolicyNotInForce, SandboxPolicy, daemon, docker
from agentkit_sandbox import network as network_module
from agentkit_sandbox.policy import destination
from agentkit_sandbox.proxy import Proxy, never, public

PROBE = textwrap.dedent(
    """
    import json, os, socket
    from urllib.parse import urlsplit

    def reach(address, kind=socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            probe.settimeout(0.7)
            try:
                probe.connect(tuple(address))
            except OSError as error:
                return type(error).__name__
            return "reached"

    def ask(target, data=b""):
        proxy = urlsplit(os.environ["HTTPS_PROXY"])
        with socket.create_connection((proxy.hostname, proxy.port), 5) as stream:
            stream.settimeout(5)
            stream.sendall(f"CONNECT {target} HTTP/1.1\\r\\n\\r\\n".encode())
            answer = stream.recv(4096)
            if data and b" 200 " in answer:
                stream.sendall(data)
                stream.shutdown(socket.SHUT_WR)
                while piece := stream.recv(4096):
                    answer += piece
            return answer.decode()
    """
)


@asynccontextmanager
async def listener(address):
    """A service of this machine on one of its own addresses; yields its port and what it heard."""
    heard = []

    async def serve(reader, writer):
        heard.append(await reader.read())
        writer.write(b"hello " + heard[-1])
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, address, 0) as server:
        yield server.sockets[0].getsockname()[1], heard


def bridge():
    """The address of this machine on Docker's usual bridge."""
    client = daemon.connect()
    try:
        return client.networks.get("bridge").attrs["IPAM"]["Config"][0]["Gateway"]
    finally:
        client.close()


async def probe(session, expression):
    result = await session.execute(f"{PROBE}\nprint(json.dumps({expression}))", 30)
    assert result.status == "ok", result
    return json.loads(result.stdout)


@pytest.mark.docker
def test_with_an_allow_list_only_its_hosts_are_reached():
    async def run():
        backend, host = DockerBackend(), bridge()
        async with listener(host) as (port, heard), listener(host) as (secret, overheard):
            policy = SandboxPolicy(preload=(), allowlist=[f"{host}:{port}"])
            session = await backend.start(policy)
            try:
                answers = await probe(
                    session,
                    f"[ask('{host}:{port}', b'x'), ask('{host}:{secret}'), ask('127.0.0.1:3128'),"
                    f" reach(('{host}', {port})), reach(('{host}', {secret}))]",
                )
            finally:
                await session.close()
                await backend.close()
            return answers, heard, overheard

    (served, refused, loop, direct, secret), heard, overheard = asyncio.run(run())
    assert " 200 " in served
    assert served.endswith("hello x")
    assert heard == [b"x"]
    assert "not on this sandbox's allow-list" in refused
    assert " 403 " in loop
    assert "reached" not in (direct, secret)
    assert overheard == []


@pytest.mark.docker
def test_the_host_has_no_address_on_the_sandboxs_network():
    """A listener on all of this machine's addresses is met on none of them, gateway included."""

    async def run():
        backend = DockerBackend()
        async with listener("0.0.0.0") as (port, heard):
            session = await backend.start(SandboxPolicy(preload=(), allowlist=["a.invalid"]))
            try:
                own = await probe(session, "urlsplit(os.environ['HTTPS_PROXY']).hostname")
                around = ipaddress.ip_network(f"{own}/29", strict=False)
                gateway = str(next(around.hosts()))
                places = [gateway, bridge()]
                met = await probe(session, f"[reach((a, {port})) for a in {places}]")
                names = await probe(session, "sorted(os.listdir('/sys/class/net'))")
                client = daemon.connect()
                [made] = [n for n in docker.networks(client) if n["Name"] == f"{session.name}-net"]
                client.close()
            finally:
                await session.close()
                await backend.close()
            client = daemon.connect()
            left = [n["Name"] for n in docker.networks(client) if session.name in n["Name"]]
            left += [c for c in docker.live(client) if session.name in str(c["Names"])]
            client.close()
            return met, heard, names, made, left

    met, heard, names, made, left = asyncio.run(run())
    assert "reached" not in met
    assert "ConnectionRefusedError" not in met, "a refusal comes from a machine that was reached"
    assert heard == []
    assert names == ["eth0", "lo"]
    assert made["Internal"] is True
    assert left == [], "network and proxy go with their sandbox"


@pytest.mark.docker
def test_without_a_network_there_is_no_route_at_all():
    async def run():
        backend = DockerBackend()
        async with listener(bridge()) as (port, heard):
            session = await backend.start(SandboxPolicy(preload=()))
            try:
                routes = await probe(session, "open('/proc/net/route').read().splitlines()[1:]")
                places = [[bridge(), port], ["169.254.169.254", 80], ["198.18.0.1", 53]]
                udp = f"[reach(a, socket.SOCK_DGRAM) for a in {places}]"
                met = await probe(session, f"[reach({places[0]})] + {udp}")
            finally:
                await session.close()
                await backend.close()
        return routes, met, heard

    routes, met, heard = asyncio.run(run())
    assert routes == []
    assert set(met) == {"OSError"}, "network is unreachable, at once"
    assert heard == []


@pytest.mark.docker
def test_open_is_open_and_only_by_name():
    async def run():
        backend, host = DockerBackend(), bridge()
        async with listener(host) as (port, _):
            session = await backend.start(SandboxPolicy(preload=(), network="open"))
            try:
                return await probe(session, f"reach(('{host}', {port}))")
            finally:
                await session.close()
                await backend.close()

    assert asyncio.run(run()) == "reached"


@pytest.mark.docker
def test_a_network_on_which_the_host_answers_is_refused(monkeypatch):
    """Docker's --internal alone leaves the host there: what the proxy's own look is for."""
    monkeypatch.setattr(network_module, "SILENT", {})

    async def run():
        backend = DockerBackend()
        try:
            await backend.start(SandboxPolicy(preload=(), allowlist=["a.invalid"]))
        finally:
            await backend.close()

    with pytest.raises(PolicyNotInForce, match="answers on the sandbox's own network"):
        asyncio.run(run())
    client = daemon.connect()
    assert not ours(docker.networks(client))
    client.close()


async def converse(proxy, *pieces):
    """Send bytes to a proxy on loopback and return all that comes back."""
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=8192) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for piece in pieces:
            writer.write(piece)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer.decode()


def served(request, allowed, addresses=()):
    async def resolve(host, port):
        asked.append(host)
        return list(addresses)

    asked = []
    return asyncio.run(converse(Proxy(allowed, resolve), request)), asked


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.1.2.3"],
        ["169.254.169.254"],
        ["100.64.0.1"],
        ["0.0.0.0"],
        ["::1"],
        ["fd00::1"],
        ["fe80::1%eth0"],
        ["::ffff:10.0.0.1"],
        ["2002:0a00:0001::1"],
        ["64:ff9b::a00:1"],
        ["224.0.0.1"],
        ["93.184.216.34", "192.168.0.1"],
        [],
    ],
)
def test_a_name_that_leads_to_a_private_address_is_refused(addresses):
    """Also where only one of several is private: that is how a name is rebound."""
    answer, asked = served(
        b"CONNECT a.example:443 HTTP/1.1\r\n\r\n", [("a.example", 443)], addresses
    )
    assert " 403 " in answer
    assert asked == ["a.example"], "looked up once, and connected to what was looked at"


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET http://a.example/ HTTP/1.1", "405"),
        (b"CONNECT a.example:80 HTTP/1.1", "403"),
        (b"CONNECT b.example:443 HTTP/1.1", "403"),
        (b"CONNECT a.example.evil.example:443 HTTP/1.1", "403"),
        (b"CONNECT evil.a.example:443 HTTP/1.1", "403"),
        (b"CONNECT a.example:443@evil.example:443 HTTP/1.1", "403"),
        (b"CONNECT 127.0.0.1:443 HTTP/1.1", "403"),
        (b"CONNECT a.example HTTP/1.1", "400"),
        (b"CONNECT :443 HTTP/1.1", "400"),
        (b"CONNECT a.example:x HTTP/1.1", "400"),
        (b"CONNECT", "405"),
        (b"\x16\x03\x01\x02\x00", "405"),
        (b"CONNECT " + b"a" * 20_000 + b":443 HTTP/1.1", "431"),
    ],
)
def test_what_is_no_allowed_connect_is_refused(request_line, status):
    answer, asked = served(request_line + b"\r\n\r\n", [("a.example", 443)])
    assert answer.startswith(f"HTTP/1.1 {status} ")
    assert asked == []


def test_the_case_of_a_name_and_its_last_dot_do_not_matter():
    answer, asked = served(b"CONNECT A.Example.:443 HTTP/1.1\r\n\r\n", [("a.example", 443)])
    assert asked == ["a.example"]
    assert " 403 " in answer


def test_an_address_that_is_written_out_may_be_private_but_never_this_machine():
    assert not never(ipaddress.ip_address("10.0.0.5"))
    for address in ("127.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "0.0.0.0"):
        assert never(ipaddress.ip_address(address))


@given(st.ip_addresses())
def test_what_is_public_is_never_private(address):
    if public(str(address)):
        assert not address.is_private
        assert not never(address)


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ("api.example.org", ("api.example.org", 443)),
        ("API.example.org.:8443", ("api.example.org", 8443)),
        ("10.0.0.5:9000", ("10.0.0.5", 9000)),
        ("[2001:db8::1]:8443", ("2001:db8::1", 8443)),
        ("[2001:db8::1]", ("2001:db8::1", 443)),
    ],
)
def test_an_entry_is_a_host_with_or_without_a_port(entry, found):
    assert destination(entry) == found


@pytest.mark.parametrize(
    "entry",
    ["", "*", "*.example.org", "https://a.example", "a.example/x", "a b", "a:0", "a:99999", "a:x"],
)
def test_what_is_no_host_is_refused_when_the_policy_is_made(entry):
    with pytest.raises(ValueError, match="allowlist entry"):
        SandboxPolicy(allowlist=(entry,))


@pytest.mark.parametrize(
    "wrong",
    [
        {"memory_mb": 0},
        {"cpus": float("inf")},
        {"pids": -1},
        {"network": "host"},
        {"network": "open", "allowlist": ("a.example",)},
        {"packages": ("polars",), "image": "mine"},
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(wrong):
    with pytest.raises(ValueError, match="SandboxPolicy"):
        SandboxPolicy(**wrong)
