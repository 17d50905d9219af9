"""The daemon of this machine as a far one: TLS with client certificates on loopback before it.

dockerd is left alone: a forwarder ends the TLS and passes bytes on to its socket, both ways and
one way after the other, as the daemon's own listener would.
"""

import asyncio
import os
import ssl
import subprocess
import threading
from contextlib import suppress

from agentkit_sandbox import Daemon, daemon, docker
from agentkit_sandbox.reaper import MARK


def ours(found):
    """Those of the daemon's containers or networks that this very process owns."""
    own = str(os.getpid())
    return [each for each in found if docker.labels_of(each).get(f"{MARK}.pid") == own]


def live():
    """Names of this process's containers."""
    client = daemon.connect()
    try:
        return {each["Names"][0].lstrip("/") for each in ours(docker.live(client))}
    finally:
        client.close()


def openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def make_certificates(folder):
    """Make an authority, a server's certificate for 127.0.0.1 and a client's."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(
        folder, "req", "-x509", *key, "-keyout", "ca-key.pem", "-out", "ca.pem", "-days", "2",
        "-subj", "/CN=test authority", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
    )  # fmt: skip
    for name, usage in (("server", "serverAuth"), ("client", "clientAuth")):
        (folder / "extensions").write_text(
            f"subjectAltName=IP:127.0.0.1\nextendedKeyUsage={usage}\n"
            "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
        )
        files = ("key.pem", "cert.pem") if name == "client" else ("server-key.pem", "server.pem")
        openssl(folder, "req", *key, "-keyout", files[0], "-out", "request", "-subj", f"/CN={name}")
        openssl(
            folder, "x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca-key.pem",
            "-CAcreateserial", "-days", "2", "-extfile", "extensions", "-out", files[1],
        )  # fmt: skip
    return folder


class FarDaemon:
    """A TLS listener in front of the daemon, in a thread with a loop of its own.

    Attributes:
        daemon: how it is reached.
        connections: how many were accepted, certificate and all.
    """

    def __init__(self, certificates, socket="/var/run/docker.sock"):
        self._certificates, self._socket = certificates, socket
        self._loop = asyncio.new_event_loop()
        self._tasks = set()
        self.connections = 0
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self):
        self._thread.start()
        port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        self.daemon = Daemon(f"tcp://127.0.0.1:{port}", str(self._certificates))
        return self

    def __exit__(self, *_):
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def cut(self):
        """Break all connections and listen no more: the daemon is gone."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result(10)

    async def _listen(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(
            self._certificates / "server.pem", self._certificates / "server-key.pem"
        )
        context.load_verify_locations(self._certificates / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        return self._server.sockets[0].getsockname()[1]

    async def _cut(self):
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=5)

    async def _serve(self, reader, writer):
        self.connections += 1
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            there, to_daemon = await asyncio.open_unix_connection(self._socket)
        except OSError:
            writer.close()
            return
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._copy(reader, to_daemon))
                back = group.create_task(self._copy(there, writer))
                back.add_done_callback(lambda _: writer.close())
        except asyncio.CancelledError:
            pass
        finally:
            self._tasks.discard(task)
            for each in (writer, to_daemon):
                each.transport.abort()

    @staticmethod
    async def _copy(source, target):
        with suppress(OSError, ssl.SSLError):
            while data := await source.read(1 << 16):
                target.write(data)
                await target.drain()
            if target.can_write_eof():
                target.write_eof()  # the half-close: TLS has none of its own towards the client
