"""Daemons that fail: no disk, no sense, no answer. Each is one typed error, and nothing hangs."""

import asyncio
import json

import pytest
from test_sandbox_support import V1_ROOTFUL

from agentkit_sandbox import Daemon, DockerBackend, Placement, SandboxPolicy, SandboxUnavailable

GOOD = {
    "GET /version": (200, {"ApiVersion": "1.41", "Version": "20.10.24"}),
    "GET /info": (200, V1_ROOTFUL),
    "GET /containers/json": (200, []),
    "GET /networks": (200, []),
    "GET /networks/": (404, {"message": "no such network"}),
    "GET /images": (200, {"Id": "sha256:1", "Architecture": "amd64"}),
    "POST /containers/create": (201, {"Id": "c1", "Warnings": []}),
    "POST /networks/create": (201, {"Id": "n1"}),
    "DELETE /containers": (204, None),
    "DELETE /networks": (204, None),
}


class Stub:
    """A daemon on a socket of its own that answers from a table.

    Attributes:
        asked: methods and paths, in order.
    """

    def __init__(self, path, **answers):
        self.path, self.asked = path, []
        self.answers = GOOD | {key.replace("_", " ", 1): value for key, value in answers.items()}

    async def __aenter__(self):
        self.server = await asyncio.start_unix_server(self.serve, self.path)
        return DockerBackend(daemon=Daemon(f"unix://{self.path}"))

    async def __aexit__(self, *_):
        self.server.close()

    async def serve(self, reader, writer):
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                lines = head.lower().splitlines()
                length = [int(line.split(":")[1]) for line in lines if "content-length" in line]
                await reader.readexactly(sum(length))
                writer.write(self.answer(*head.split(" ")[:2]))
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    def answer(self, method, path):
        path = path.removeprefix("/v1.41").partition("?")[0]
        self.asked.append(f"{method} {path}")
        found = [key for key in self.answers if f"{method} {path}".startswith(key)]
        status, body = self.answers[max(found, key=len)] if found else (404, {"message": "no"})
        if isinstance(body, bytes):
            return body
        data = b"" if body is None else json.dumps(body).encode()
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data


def started(tmp_path, policy=None, **answers):
    """Start a sandbox on a stub; returns the error's text and what the daemon was asked."""

    async def run():
        stub = Stub(str(tmp_path / "docker.sock"), **answers)
        async with stub as backend:
            with pytest.raises(SandboxUnavailable) as caught:
                await backend.start(policy or SandboxPolicy())
            await backend.close()
        return str(caught.value), stub.asked

    return asyncio.run(run())


FULL = (500, {"message": "mkdir /var/lib/docker/overlay2/x: no space left on device"})


def test_a_full_disk_is_told_in_the_daemons_words(tmp_path):
    text, asked = started(tmp_path, **{"POST_/containers/create": FULL})
    assert "no space left on device" in text
    assert any(each.startswith("DELETE /containers/agentkit-") for each in asked), "cleaned up"


def test_a_full_disk_while_a_network_is_made_leaves_no_network(tmp_path):
    policy = SandboxPolicy(allowlist=("a.invalid",))
    text, asked = started(tmp_path, policy, **{"POST_/networks/create": FULL})
    assert "no space left on device" in text
    assert any(each.startswith("DELETE /containers/agentkit-") for each in asked)


def test_without_address_pools_an_allow_list_says_what_is_missing(tmp_path):
    used_up = "could not find an available, non-overlapping IPv4 address pool"
    policy = SandboxPolicy(allowlist=("a.invalid",))
    text, _ = started(tmp_path, policy, **{"POST_/networks/create": (500, {"message": used_up})})
    assert "address pools" in text


def test_an_attach_that_is_refused_removes_what_was_made(tmp_path):
    """The stub knows no attach: it answers 404, as a daemon does whose container has gone."""
    text, asked = started(tmp_path)
    assert "404" in text
    assert asked[-1].startswith("DELETE /containers/agentkit-")


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"\x00\x01 what\r\n\r\n"),
        (200, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<html"),
        (200, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"),
        (500, {"message": "it is broken"}),
        (200, {}),
    ],
    ids=["no HTTP", "a page", "a list", "an error", "nothing in it"],
)
@pytest.mark.parametrize("place", ["GET_/version", "GET_/info"])
def test_what_is_no_daemon_is_one_sentence(tmp_path, place, answer):
    text, _ = started(tmp_path, **{place: answer})
    assert text.startswith("Code cannot be run here")


def test_a_daemon_of_too_little_is_passed_over_with_its_reason(tmp_path):
    async def run():
        stub = Stub(str(tmp_path / "docker.sock"), **{"GET_/info": (200, V1_ROOTFUL | {"NCPU": 2})})
        async with stub as backend:
            with pytest.raises(SandboxUnavailable, match="has 24105 MiB left of the 30000"):
                await Placement([backend]).start(SandboxPolicy(memory_mb=30_000))
            await backend.close()

    asyncio.run(run())
