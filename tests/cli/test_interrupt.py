"""Whatever ends the process, no container outlives it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys

import pytest

from agentkit.testing import Call, GLMServer, Say

SLEEP = Call("execute_code", {"code": "import time\nprint('hi', flush=True)\ntime.sleep(60)"})


def containers(pid: int) -> list[str]:
    """Return the ids of the containers that a process owns, by their label."""
    command = ["docker", "ps", "-aq", "--filter", f"label=agentkit.sandbox.pid={pid}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


async def soon(condition) -> bool:
    """Wait up to 20 seconds for a condition."""
    for _ in range(200):
        if condition():
            return True
        await asyncio.sleep(0.1)
    return False


@pytest.mark.docker
@pytest.mark.parametrize(
    ("number", "code", "ending"),
    [
        (signal.SIGINT, 130, ["tool_finished", "run_interrupted"]),
        (signal.SIGTERM, 143, ["tool_finished", "run_interrupted"]),
        (signal.SIGKILL, -9, []),
    ],
)
def test_a_run_that_is_stopped_while_code_runs_leaves_no_container(tmp_path, number, code, ending):
    async def main():
        async with GLMServer([Say(calls=[SLEEP])]) as server:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "agentkit.cli.main", "run", "x", "--tools", "code", "--json"),
                env={
                    **os.environ,
                    "ZAI_BASE_URL": server.base_url,
                    "ZAI_API_KEY": "key-0123456789",
                    "AGENTKIT_HOME": str(tmp_path),
                },
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            async for line in process.stdout:
                if json.loads(line)["kind"] == "tool_started":
                    break
            assert await soon(lambda: containers(process.pid))
            await asyncio.sleep(1)
            process.send_signal(number)
            out, err = await process.communicate()
            assert await soon(lambda: not containers(process.pid))
            assert b"Traceback" not in err
            return process.returncode, [json.loads(line)["kind"] for line in out.splitlines()]

    assert asyncio.run(main()) == (code, ending)
