"""How long the sandbox takes, beside the docker command line in the same run.

Run it with `python -m benchmarks.sandbox`. Times are milliseconds; on a busy machine the minimum
is nearer to the truth than the median.
"""

import asyncio
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

from agentkit_sandbox import DockerBackend, Pool, SandboxPolicy, SandboxUnavailable
from agentkit_sandbox.daemon import connect
from agentkit_sandbox.image.builder import build, image_name
from agentkit_sandbox.session import Session

HARDENED = [
    "--network=none",
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--memory=512m",
    "--pids-limit=64",
    "--cpus=1",
    "--log-driver=none",
    "--user=4711:4711",
]
PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 2, 3])"
POLICY = SandboxPolicy()


async def timed(count: int, call: Callable[[], Awaitable[object]]) -> list[float]:
    times = []
    for _ in range(count):
        start = time.perf_counter()
        await call()
        times.append((time.perf_counter() - start) * 1000)
    return times


def docker(*arguments: str) -> None:
    subprocess.run(["docker", *arguments], check=True, capture_output=True)


async def docker_run() -> None:
    await asyncio.to_thread(
        docker, "run", "--rm", *HARDENED, image_name(), "python3", "-I", "-c", "1+1"
    )


async def docker_exec(rows: dict[str, list[float]]) -> None:
    name = f"agentkit-bench-{secrets.token_hex(4)}"
    docker("run", "--rm", "--detach", "--name", name, *HARDENED, image_name(), "sleep", "120")
    try:

        async def call() -> None:
            await asyncio.to_thread(docker, "exec", name, "python3", "-I", "-c", "1+1")

        rows["docker exec python3 -c 1+1"] = await timed(15, call)
    finally:
        docker("rm", "--force", name)


async def live(backend: DockerBackend, rows: dict[str, list[float]]) -> None:
    session = await backend.start(POLICY)
    try:
        await session.execute("1 + 1")
        rows["execute_code, live session"] = await timed(500, lambda: session.execute("1 + 1"))
        rows["the code's own time, seen inside"] = [
            (await session.execute("1 + 1")).seconds * 1000 for _ in range(200)
        ]
        rows["small plot to PNG"] = await timed(10, lambda: session.execute(PLOT))
        rows["kernel reset"] = await timed(30, session.reset)
        big = "open('big.bin', 'wb').write(bytes(10 * 2**20))"
        rows["10 MiB file out"] = await timed(5, lambda: session.execute(big))
    finally:
        await session.close()


async def starts(backend: DockerBackend, rows: dict[str, list[float]]) -> None:
    sessions: list[Session] = []

    async def cold(policy: SandboxPolicy) -> None:
        session = await backend.start(policy)
        await session.execute("1 + 1")
        sessions.append(session)

    bare = SandboxPolicy(preload=())
    rows["cold start and first result, nothing preloaded"] = await timed(6, lambda: cold(bare))
    rows["cold start and first result, matplotlib preloaded"] = await timed(6, lambda: cold(POLICY))
    rows["remove"] = [each for session in sessions for each in await timed(1, session.close)]
    async with Pool(backend, POLICY, size=5) as pool:
        await asyncio.sleep(12)
        taken = []

        async def acquire() -> None:
            taken.append(await pool.start(POLICY))

        rows["acquire from a warm pool"] = await timed(5, acquire)
        for session in taken:
            await session.close()


async def main() -> None:
    rows: dict[str, list[float]] = {}
    backend = DockerBackend()
    rows["docker run python3 -c 1+1 (hardened)"] = await timed(6, docker_run)
    await docker_exec(rows)
    await live(backend, rows)
    await starts(backend, rows)
    run = min(rows["docker run python3 -c 1+1 (hardened)"])
    execute = min(rows["docker exec python3 -c 1+1"])
    print(f"{'ms':<52}{'min':>9}{'median':>9}{'/ run':>8}{'/ exec':>8}")
    for name, times in rows.items():
        low, middle = min(times), statistics.median(times)
        print(f"{name:<52}{low:9.2f}{middle:9.2f}{low / run:8.3f}{low / execute:8.3f}")


if __name__ == "__main__":
    try:
        connect()
        build(lambda line: print(line, file=sys.stderr))
    except SandboxUnavailable as error:
        sys.exit(str(error))
    asyncio.run(main())
