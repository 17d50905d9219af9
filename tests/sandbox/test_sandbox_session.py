"""The host's side against a supervisor that lies."""

import asyncio

import pytest

from agentkit_sandbox import SandboxLost, SandboxPolicy
from agentkit_sandbox import session as session_module
from agentkit_sandbox.protocol import FrameBuffer, encode
from agentkit_sandbox.session import Session

DONE = {"op": "done", "status": "ok", "seconds": 0.1, "value": "2"}


class Liar:
    """A channel whose other side answers each request with prepared frames."""

    def __init__(self, *frames, end=False, silent=False):
        self.frames, self.end, self.silent = frames, end, silent
        self.closed = 0
        self.answers = asyncio.Queue()

    async def send(self, data):
        if self.silent:
            return
        [request] = FrameBuffer().feed(data)
        for header, body in self.frames:
            await self.answers.put(encode({"nonce": request.header["nonce"]} | header, body))
        if self.end:
            await self.answers.put(b"")

    async def receive(self):
        return await self.answers.get()

    async def close(self):
        self.closed += 1
        await asyncio.sleep(0.01)
        return "last words"


def execute(liar_arguments, policy=None, **options):
    async def run():
        liar = Liar(*liar_arguments, **options)
        session = Session(liar, policy or SandboxPolicy(), "liar")
        try:
            return await session.execute("1+1"), liar
        except SandboxLost as error:
            with pytest.raises(SandboxLost):
                await session.execute("2")
            return error, liar

    return asyncio.run(run())


def test_a_good_answer_is_taken():
    body = b"\x89PNG\r\n\x1a\n"
    result, liar = execute(
        [
            ({"op": "output", "stream": "stdout"}, b"a\xff"),
            ({"op": "artifact", "name": "../../x.png"}, body),
            ({"op": "artifact", "name": "x.png"}, body),
            (DONE, b""),
        ]
    )
    assert (result.status, result.value, result.stdout) == ("ok", "2", "a\ufffd")
    assert [file.name for file in result.artifacts] == ["x.png", "x-2.png"]
    assert not liar.closed


MB = 2**20


@pytest.mark.parametrize(
    "frames",
    [
        [(DONE | {"nonce": "guessed"}, b"")],
        [({"op": "done", "status": "splendid"}, b"")],
        [({"op": "format the disk"}, b"")],
        [({"op": "output", "stream": "stdin"}, b"x")],
        [({"op": "output", "stream": "stdout"}, b"x" * (400 * 1024))],
        [({"op": "artifact", "name": "big"}, b"x" * (10 * MB + 1))],
        [({"op": "artifact", "name": "many"}, b"x")] * 21,
        [({"op": "artifact", "name": "sum"}, b"x" * (9 * MB))] * 6,
        [(DONE | {"skipped": [["a"]]}, b"")],
        [({"op": []}, b"")],
    ],
    ids=[
        "wrong nonce",
        "unknown status",
        "unknown frame",
        "unknown stream",
        "output above its cap",
        "file above its cap",
        "too many files",
        "files above their sum",
        "odd skipped",
        "odd operation",
    ],
)
def test_a_lie_ends_the_sandbox(frames):
    error, liar = execute(frames)
    assert isinstance(error, SandboxLost)
    assert liar.closed == 1


def test_odd_types_in_a_result_do_no_harm():
    odd = {"value": ["x"], "error": 7, "seconds": "soon", "state_lost": "yes", "skipped": {"a": 1}}
    result, _ = execute([(DONE | odd, b"")])
    assert (result.value, result.error, result.seconds) == (None, None, 0.0)
    assert result.state_lost is False


def test_the_end_of_the_stream_is_told_with_the_last_words():
    error, liar = execute([], end=True)
    assert "last words" in str(error)
    assert liar.closed == 1


def test_a_silent_supervisor_is_removed_after_the_hosts_own_deadline(monkeypatch):
    monkeypatch.setattr(session_module, "SLACK", 0.1)

    async def run():
        liar = Liar(silent=True)
        session = Session(liar, SandboxPolicy(), "silent")
        with pytest.raises(SandboxLost, match="did not answer in time"):
            await session.execute("1", timeout=0.1)
        assert liar.closed == 1

    asyncio.run(run())


def test_a_cancelled_call_ends_the_sandbox():
    async def run():
        liar = Liar(silent=True)
        session = Session(liar, SandboxPolicy(), "silent")
        task = asyncio.create_task(session.execute("1"))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert liar.closed == 1
        await session.close()
        assert liar.closed == 1

    asyncio.run(run())


@pytest.mark.parametrize("timeout", [0, -1, 3601, float("nan")])
def test_a_timeout_out_of_range_is_refused(timeout):
    async def run():
        with pytest.raises(ValueError, match="timeout"):
            await Session(Liar(), SandboxPolicy(), "x").execute("1", timeout)

    asyncio.run(run())
