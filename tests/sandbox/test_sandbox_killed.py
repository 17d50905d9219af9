"""The host process is killed at fifty random moments, and nothing is left of it."""

import json
import subprocess
import sys
import textwrap
import time

import pytest

from agentkit_sandbox import daemon, docker
from agentkit_sandbox.reaper import MARK

KILLS = 50
HOSTS = textwrap.dedent(
    """
    import asyncio, json, os, random, signal, sys, time
    import docker
    from agentkit_sandbox import DockerBackend, Pool, Runner, SandboxPolicy

    async def work(number):
        kinds = [{}, {"allowlist": ("a.invalid",)}, {"runner": Runner()}]
        policy = SandboxPolicy(preload=(), memory_mb=64, **kinds[number % 3])
        async with Pool(DockerBackend(), policy, memory_mb=128, calls=2) as pool:
            while True:
                session = await pool.start(policy)
                await session.execute("1")
                await session.put("x", b"x" * 100_000)
                await session.shell("sleep 0.1; cat x")
                await session.close()

    random.seed(int(sys.argv[2]))
    alive, killed, number = {}, [], 0
    while number < int(sys.argv[1]) or alive:
        while len(alive) < 5 and number < int(sys.argv[1]):
            number += 1
            pid = os.fork()
            if not pid:
                asyncio.run(work(number))
            alive[pid] = time.monotonic() + random.uniform(0.0, 4.0)
        pid = min(alive, key=alive.get)
        time.sleep(max(0.0, alive.pop(pid) - time.monotonic()))
        os.kill(pid, signal.SIGKILL)
        assert os.WIFSIGNALED(os.waitpid(pid, 0)[1]), "it had ended by itself"
        killed.append(pid)
    print(json.dumps(killed))
    """
)


def left(client, killed, *states):
    """Names of the killed processes' containers, in these states or any, and networks."""
    found = [each for each in docker.live(client) if not states or each["State"] in states]
    found += [] if states else docker.networks(client)
    return [
        each.get("Names") or each["Name"]
        for each in found
        if docker.labels_of(each).get(f"{MARK}.pid") in killed
    ]


def wait(condition, seconds):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.1)
    return condition()


@pytest.mark.docker
@pytest.mark.slow
def test_a_host_that_is_killed_at_any_moment_leaves_nothing():
    """What ran ends by itself; what was made and never started goes at the next process's start."""
    done = subprocess.run(
        [sys.executable, "-c", HOSTS, str(KILLS), "20261122"],
        check=False,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    killed = {str(pid) for pid in json.loads(done.stdout)}
    assert len(killed) == KILLS
    client = daemon.connect()
    try:
        assert wait(lambda: not left(client, killed, "running"), 15), left(client, killed)
        assert wait(lambda: docker.reap(client) == 0 and not left(client, killed), 15), left(
            client, killed
        )
    finally:
        client.close()
