"""How long the sandbox takes, beside `docker run` and `docker exec` in the same run.

Run it with `make bench-sandbox`. Times are milliseconds; on a busy machine the minimum is nearer
to the truth than the median, and a ratio to docker's own time nearer than either. Each goal is
printed with what was measured.
"""

import asyncio
import os
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from agentkit_sandbox import DockerBackend, Pool, Sandbox, SandboxPolicy, SandboxUnavailable
from agentkit_sandbox.daemon import connect, open_engine
from agentkit_sandbox.docker import live
from agentkit_sandbox.image.builder import build, image_name

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
    "--tmpfs=/tmp",
]
POLICY = SandboxPolicy()
# With matplotlib's list of fonts, as the supervisor has it: without, it would take seconds more.
PRELOAD = f"""
import os, shutil
shutil.copytree("/opt/agentkit/matplotlib", "/tmp/matplotlib")
os.environ |= {{"MPLCONFIGDIR": "/tmp/matplotlib", "MPLBACKEND": "Agg"}}
import {", ".join(POLICY.preload)}
"""
PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 2, 3])"
MIB = 2**20
LIVE, SESSIONS, CALLS = 30, 16, 50
RUN, EXEC = "docker run python3 -c 1+1", "docker exec python3 -c 1+1"


@dataclass
class Report:
    """What was measured.

    Attributes:
        times: name of each thing to its times, ms.
        goals: sentence, what was found, and whether it is good.
    """

    times: dict[str, list[float]] = field(default_factory=dict)
    goals: list[tuple[str, str, bool]] = field(default_factory=list)

    def low(self, name: str) -> float:
        """Return the minimum of a row."""
        return min(self.times[name])

    def goal(self, text: str, name: str, most: float) -> None:
        """Compare the minimum and the median of a row with what it may be at most."""
        low, middle = self.low(name), statistics.median(self.times[name])
        self.goals.append((text, f"{low:.2f} / {middle:.2f} ms", low < most))

    def show(self) -> None:
        """Print both tables."""
        run, execute = self.low(RUN), self.low(EXEC)
        print(f"{'ms':<46}{'min':>9}{'median':>9}{'run /':>9}{'exec /':>9}")
        for name, times in self.times.items():
            low = min(times)
            ratios = f"{run / low:9.1f}{execute / low:9.1f}"
            print(f"{name:<46}{low:9.2f}{statistics.median(times):9.2f}{ratios}")
        print(f"\n{'goal':<46}found (min / median)")
        for text, found, good in self.goals:
            print(f"{text:<46}{found}{'' if good else '   NOT REACHED'}")


async def timed(count: int, call: Callable[[], Awaitable[object]]) -> list[float]:
    """Return how long each of `count` calls took, ms."""
    times = []
    for _ in range(count):
        start = time.perf_counter()
        await call()
        times.append((time.perf_counter() - start) * 1000)
    return times


@asynccontextmanager
async def started(backend: DockerBackend, count: int = 1) -> AsyncGenerator[list[Sandbox]]:
    """Yield sandboxes that live at once; remove them in the end."""
    sessions: list[Sandbox] = []
    few = asyncio.Semaphore(2 * (os.cpu_count() or 1))  # importing libraries takes a processor

    async def one() -> None:
        async with few:
            sessions.append(await backend.start(POLICY))

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(one())
        yield sessions
    finally:
        for session in sessions:
            await session.close()


def docker(*arguments: str) -> None:
    subprocess.run(["docker", *arguments], check=True, capture_output=True)


async def docker_alone(report: Report) -> None:
    """The floor: what docker's own commands take with the same image and limits."""

    async def run(code: str) -> None:
        python = (image_name(), "python3", "-I", "-c", code)
        await asyncio.to_thread(docker, "run", "--rm", *HARDENED, *python)

    report.times[RUN] = await timed(6, lambda: run("1+1"))
    report.times["docker run with the libraries imported"] = await timed(3, lambda: run(PRELOAD))
    name = f"agentkit-bench-{secrets.token_hex(4)}"
    docker("run", "--rm", "--detach", "--name", name, *HARDENED, image_name(), "sleep", "300")
    try:

        async def execute() -> None:
            await asyncio.to_thread(docker, "exec", name, "python3", "-I", "-c", "1+1")

        report.times[EXEC] = await timed(15, execute)
    finally:
        docker("rm", "--force", name)


async def calls(backend: DockerBackend, report: Report) -> None:
    """One live session: round trips, a fresh kernel, files."""
    async with started(backend) as [session]:
        await session.execute("1 + 1")
        times = report.times
        times["call in a live session"] = await timed(500, lambda: session.execute("1 + 1"))
        times["of it inside the sandbox"] = [
            (await session.execute("1 + 1")).seconds * 1000 for _ in range(200)
        ]
        times["shell command in a live session"] = await timed(40, lambda: session.shell("true"))
        times["small plot to PNG"] = await timed(8, lambda: session.execute(PLOT))
        times["fresh kernel"] = await timed(30, session.reset)
        big = os.urandom(10 * MIB)
        times["put 10 MiB"] = await timed(6, lambda: session.put("big.bin", big))
        times["get 10 MiB"] = await timed(6, lambda: session.get("big.bin"))
        touch = "import os; os.utime('big.bin')"
        times["10 MiB artifact of a call"] = await timed(6, lambda: session.execute(touch))
    report.goal("round trip below 2 ms", "call in a live session", 2)
    report.goal("kernel reset below 30 ms", "fresh kernel", 30)
    for name in ("10 MiB artifact of a call", "put 10 MiB"):
        speeds = [10 / (each / 1000) for each in report.times[name]]
        found = f"{max(speeds):.0f} / {statistics.median(speeds):.0f} MiB/s"
        report.goals.append((f"{name} above 50 MB/s", found, max(speeds) * MIB > 50e6))


async def starts(backend: DockerBackend, report: Report) -> None:
    """From nothing to a first result, and from a warm pool."""
    sessions: list[Sandbox] = []

    async def cold() -> None:
        session = await backend.start(POLICY)
        sessions.append(session)
        await session.execute("1 + 1")

    name = "cold start and first result, preloaded"
    report.times[name] = await timed(5, cold)
    report.times["remove"] = [each for one in sessions for each in await timed(1, one.close)]
    run, loaded = report.low(RUN), report.low("docker run with the libraries imported")
    most = 2 * run + (loaded - run)
    report.goal(f"cold start below 2 runs and preload ({most:.0f})", name, most)
    warm: list[float] = []
    async with Pool(backend, POLICY, size=1) as pool:
        for _ in range(6):
            while not pool_is_ready(pool):  # noqa: ASYNC110 (the pool tells nobody, rightly)
                await asyncio.sleep(0.1)
            await asyncio.sleep(0.5)
            began = time.perf_counter()
            session = await pool.start(POLICY)
            await session.execute("1 + 1")
            warm.append((time.perf_counter() - began) * 1000)
            await session.close()
    report.times["first result from a warm pool"] = warm
    report.goal("first result from a warm pool below 10 ms", "first result from a warm pool", 10)


def pool_is_ready(pool: Pool) -> bool:
    """Say whether a sandbox waits in the pool."""
    return any(task.done() for task in pool._ready)  # noqa: SLF001 (nothing else shows it)


async def many(backend: DockerBackend, report: Report) -> None:
    """All at once: thirty that live, sixteen that work."""
    began = time.perf_counter()
    async with started(backend, LIVE) as sessions:
        took = time.perf_counter() - began
        answers = [await session.execute("6 * 7") for session in sessions]
        good = sum(answer.value == "42" for answer in answers)
        found = f"{good} of {LIVE} answer, started in {took:.1f} s"
        report.goals.append((f"{LIVE} live sandboxes answer", found, good == LIVE))
        idle = await asyncio.to_thread(memory)
        if idle:
            found = f"{min(idle):.1f} / {statistics.median(idle):.1f} MiB"
            report.goals.append(("idle memory of one, libraries preloaded", found, True))

    async def work(session: Sandbox) -> int:
        results = [await session.execute(f"x = {each}; x") for each in range(CALLS)]
        return sum(result.value == str(each) for each, result in enumerate(results))

    async with started(backend, SESSIONS) as sessions:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work(session)) for session in sessions]
        took = time.perf_counter() - began
        good = sum(task.result() for task in tasks)
    found = f"{good} good in {took:.2f} s ({good / took:.0f} a second)"
    wanted = SESSIONS * CALLS
    report.goals.append((f"{SESSIONS} sessions x {CALLS} calls", found, good == wanted))


def own() -> list[dict[str, object]]:
    """The daemon's summaries of this process's sandboxes."""
    engine = open_engine()
    try:
        return [
            each
            for each in live(engine.client)
            if each["Labels"].get("agentkit.sandbox.pid") == str(os.getpid())
        ]
    finally:
        engine.close()


def memory() -> list[float]:
    """Memory of each live sandbox of this process, without caches, MiB."""
    engine = open_engine()
    try:
        found = [engine.api.stats(each["Id"], stream=False)["memory_stats"] for each in own()[:5]]
    finally:
        engine.close()
    return [
        (each["usage"] - each["stats"].get("total_inactive_file", 0)) / MIB
        for each in found
        if "usage" in each
    ]


async def main() -> bool:
    report = Report()
    backend = DockerBackend()
    await docker_alone(report)
    await calls(backend, report)
    await starts(backend, report)
    await many(backend, report)
    left = len(await asyncio.to_thread(own))
    report.goals.append(("nothing is left", f"{left} containers", not left))
    await backend.close()
    report.show()
    return all(good for _, _, good in report.goals)


if __name__ == "__main__":
    try:
        connect().close()
        build(lambda line: print(line, file=sys.stderr))
    except SandboxUnavailable as error:
        sys.exit(str(error))
    asyncio.run(main())
