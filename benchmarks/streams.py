"""Many streams at once: CPU per chunk and lag of one client process on one core.

One server process sends 200 streams of Z.ai's chunks at 20 tokens/s each over loopback; each chunk
says when it was written. Clients in turn, each in a process of its own pinned to one core: a raw
asyncio reader, httpx (its bytes alone, and its `aiter_lines`), GLM, and the openai SDK where it is
installed. All but the bytes decode each chunk's JSON; GLM also checks, collects and repairs.

    python -m benchmarks.streams [--streams 200] [--rate 20] [--seconds 8] [--rounds 2] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import orjson

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream;charset=UTF-8\r\n"
    b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
)
CHUNK = (
    b'data: {"id":"2026112203050305e26cddfc278c448a","created":1773349386,'
    b'"object":"chat.completion.chunk","model":"glm-5",'
    b'"choices":[{"index":0,"delta":{"role":"assistant","content":"%.6f "}}]}\n\n'
)
LAST = (
    b'data: {"id":"2026112203050305e26cddfc278c448a","model":"glm-5","choices":[{"index":0,'
    b'"finish_reason":"stop","delta":{"role":"assistant","content":""}}],"usage":'
    b'{"prompt_tokens":10,"completion_tokens":10,"total_tokens":20}}\n\ndata: [DONE]\n\n'
)
QUESTION = b'{"model":"glm-5","stream":true,"messages":[{"role":"user","content":"Go."}]}'
WARM_UP = 2.0
SLICES = 20
"""The streams are written to in so many groups, as the tokens of many users come spread."""
CLIENTS = {
    "raw": "raw asyncio reader",
    "bytes": "httpx bytes alone",
    "httpx": "httpx aiter_lines",
    "agentkit": "agentkit GLM.ask",
    "openai": "openai SDK",
}


class Clock:
    """Counts chunks and their lag inside the measured window."""

    def __init__(self) -> None:
        self.lags: list[float] = []
        self.is_open = False

    def take(self, text: str) -> None:
        """Take one chunk's text: the time at which it was written."""
        if self.is_open and text:
            self.lags.append(time.monotonic() - float(text))

    async def watch(self, seconds: float) -> dict:
        """Open the window after the warm-up, close it after so many seconds."""
        await asyncio.sleep(WARM_UP)
        cpu, wall, self.is_open = time.process_time(), time.monotonic(), True
        await asyncio.sleep(seconds)
        self.is_open = False
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
        lags = sorted(self.lags)
        return {
            "chunks": len(lags),
            "rate": len(lags) / wall,
            "us": cpu * 1e6 / max(len(lags), 1),
            "core": cpu / wall,
            "p50": lags[len(lags) // 2] * 1e3,
            "p99": lags[len(lags) * 99 // 100] * 1e3,
            "max": lags[-1] * 1e3,
        }


async def serve(count: int, rate: float, seconds: float) -> None:
    """Serve streams until standard input closes."""
    writers: list[asyncio.StreamWriter] = []
    sending: list[asyncio.Task[None]] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.splitlines()
            if line.lower().startswith(b"content-length")
        )
        await reader.readexactly(length)
        writer.write(HEAD)
        writers.append(writer)
        if len(writers) == count:
            group, writers[:] = list(writers), []
            sending.append(asyncio.create_task(send(group, rate, seconds)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, backlog=count)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/paas/v4", flush=True)
    await asyncio.to_thread(sys.stdin.read)


async def send(writers: list[asyncio.StreamWriter], rate: float, seconds: float) -> None:
    """Send to all streams, each `rate` times a second, never more than one chunk at once."""
    start = time.monotonic()
    pause = 1 / rate / SLICES
    for tick in range(int((WARM_UP + seconds + 1) * rate * SLICES)):
        late = start + tick * pause - time.monotonic()
        if late > 0:
            await asyncio.sleep(late)
        for writer in writers[tick % SLICES :: SLICES]:
            if writer.is_closing():  # the client has measured enough
                return
            writer.write(framed(CHUNK % time.monotonic()))
    for writer in writers:
        writer.write(framed(LAST) + b"0\r\n\r\n")
        writer.close()


def framed(data: bytes) -> bytes:
    """Return data as one piece of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def content(data: bytes | str) -> str:
    """Return the text of one line of a stream."""
    if data in {"[DONE]", b"[DONE]"}:
        return ""
    return orjson.loads(data)["choices"][0]["delta"]["content"]


async def raw(base_url: str, clock: Clock) -> None:
    """Read a stream line by line from the socket, taking no notice of HTTP."""
    host, port = base_url.split("/")[2].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /api/paas/v4/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
        % (len(QUESTION), QUESTION)
    )
    while line := await reader.readline():
        if line.startswith(b"data: "):
            clock.take(content(line[6:].strip()))
    writer.close()


async def plain_httpx(base_url: str, clock: Clock, client) -> None:
    """Read a stream as httpx's own documentation does."""
    async with client.stream("POST", f"{base_url}/chat/completions", content=QUESTION) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                clock.take(content(line[6:]))


async def bytes_of_httpx(base_url: str, clock: Clock, client) -> None:
    """Take what httpx delivers and decode nothing: the cost of the transport."""
    async with client.stream("POST", f"{base_url}/chat/completions", content=QUESTION) as response:
        async for data in response.aiter_bytes():
            for piece in data.split(b'"content":"')[1:]:
                clock.take(piece[: piece.index(b'"')].decode())


async def run_kind(kind: str, base_url: str, count: int, clock: Clock) -> None:
    """Read `count` streams at once with one client."""
    one: Callable[[], Awaitable[object]]
    async with asyncio.TaskGroup() as group:
        if kind == "raw":
            one = lambda: raw(base_url, clock)  # noqa: E731
        elif kind in {"bytes", "httpx"}:
            import httpx

            limits = httpx.Limits(max_connections=None)
            client = httpx.AsyncClient(timeout=60, limits=limits, trust_env=False)
            # For its bytes alone a client to each stream, as in agentkit's transport.
            one = lambda: (  # noqa: E731
                plain_httpx(base_url, clock, client)
                if kind == "httpx"
                else bytes_of_httpx(base_url, clock, httpx.AsyncClient(timeout=60, verify=False))
            )
        elif kind == "agentkit":
            one = agentkit(base_url, count, clock)
        else:
            one = openai(base_url, clock)
        for _ in range(count):
            group.create_task(one())


def agentkit(base_url: str, count: int, clock: Clock) -> Callable[[], Awaitable[object]]:
    """Return what asks GLM once, with a subscriber to its deltas."""
    from agentkit import GLM
    from agentkit.events import TextDelta
    from agentkit.messages import User
    from agentkit.model import Request

    model = GLM(base_url=base_url, concurrency=count)
    request = Request([model.encode(User("Go."))])

    def emit(delta: object) -> None:
        if isinstance(delta, TextDelta):
            clock.take(delta.text)

    return lambda: model.ask(request, emit)


def openai(base_url: str, clock: Clock) -> Callable[[], Awaitable[object]]:
    """Return what asks the openai SDK once."""
    os.environ["NO_PROXY"] = "127.0.0.1"
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=base_url, api_key="none", timeout=60, max_retries=0)

    async def one() -> None:
        stream = await client.chat.completions.create(
            model="glm-5", messages=[{"role": "user", "content": "Go."}], stream=True
        )
        async for chunk in stream:
            if chunk.choices:
                clock.take(chunk.choices[0].delta.content or "")

    return one


async def measure(kind: str, base_url: str, count: int, seconds: float) -> dict:
    """Measure one client; stop it when the window is over."""
    clock = Clock()
    reading = asyncio.create_task(run_kind(kind, base_url, count, clock))
    try:
        async with asyncio.timeout(WARM_UP + seconds + 5):
            figures = await clock.watch(seconds)
    finally:
        reading.cancel()
        await asyncio.wait([reading])
    if not reading.cancelled() and reading.exception():
        raise reading.exception()
    return figures


def pin(core: int) -> None:
    """Keep this process on one core, where the system can do that."""
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {allowed[core % len(allowed)]})


def once(kind: str, options: argparse.Namespace) -> dict:
    """Measure one client against a server of its own, each in a process of its own."""
    words = [f"--{name}={getattr(options, name)}" for name in ("streams", "rate", "seconds")]
    command = [sys.executable, "-m", "benchmarks.streams", *words]
    with subprocess.Popen(
        [*command, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        base_url = server.stdout.readline().strip()
        done = subprocess.run(
            [*command, "--one", kind, base_url], check=True, capture_output=True, text=True
        )
        server.stdin.close()
    return json.loads(done.stdout)


def table(options: argparse.Namespace) -> None:
    """Measure the clients by turns and print a row each."""
    kinds = [kind for kind in CLIENTS if kind != "openai" or importlib.util.find_spec("openai")]
    rounds = [{kind: once(kind, options) for kind in kinds} for _ in range(options.rounds)]
    due = options.streams * options.rate
    rows = {}
    for kind in kinds:
        rows[kind] = {
            name: statistics.median(each[kind][name] for each in rounds) for name in rounds[0][kind]
        }
        rows[kind]["behind"] = 1 - rows[kind]["rate"] / due
    if options.json:
        print(json.dumps(rows))
        return
    print(f"{options.streams} streams at {options.rate:g} tokens/s each: {due:g} chunks/s due")
    print(f"{'':20} {'CPU us':>7} {'to raw':>7} {'core':>6} {'arrived':>8}  lag ms p50, p99, max")
    for kind, row in rows.items():
        print(
            f"{CLIENTS[kind]:20} {row['us']:>7.0f} {row['us'] / rows['raw']['us']:>7.2f}"
            f" {row['core']:>6.0%} {1 - row['behind']:>8.1%}"
            f"  {row['p50']:>6.1f} {row['p99']:>6.1f} {row['max']:>6.1f}"
        )
    if "openai" not in kinds:
        print("The openai SDK is not installed here: no row for it.")
    print(verdict(rows, due))


def verdict(rows: dict, due: float) -> str:
    """Say what the figures mean for httpx behind the one door (agentkit/model/transport.py)."""
    ours = rows["agentkit"]
    told = (
        f"agentkit's core is full at {1e6 / ours['us'] / due:.1f} times this load; httpx's bytes "
        f"alone are {rows['bytes']['us'] / ours['us']:.0%} of its CPU. "
    )
    if ours["behind"] < 0.02 and ours["p99"] < 100:
        return told + "It keeps up: httpx's transport can stay."
    return told + "It falls behind: httpx's transport has to be replaced."


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--rate", type=float, default=20.0, help="tokens a second of each stream")
    parser.add_argument("--seconds", type=float, default=8.0, help="measured time of each client")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        pin(1)
        asyncio.run(serve(options.streams, options.rate, options.seconds))
    elif options.one:
        pin(0)
        kind, base_url = options.one
        print(json.dumps(asyncio.run(measure(kind, base_url, options.streams, options.seconds))))
    else:
        table(options)


if __name__ == "__main__":
    main()
