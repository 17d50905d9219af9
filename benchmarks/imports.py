"""CPU of a start: `import agentkit` beside its main packages alone, a first answer, the commands.

Each in a process of its own, from its start to its end, with the bytecode already compiled.

python -m benchmarks.imports [--rounds 11]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import requires
from importlib.metadata import version as installed
from typing import Any

from agentkit.testing import Call, GLMServer, Say

BASE = "httpx, pydantic, structlog"
ANSWER = """
from agentkit import GLM, Agent, tool

@tool
async def add(a: int, b: int) -> int:
    "Add two numbers."
    return a + b

model = GLM("glm-5", base_url={url!r}, api_key="k", provider="zai")
assert Agent(model, tools={tools}).run_sync("2 + 3?").output == "5"
"""
COMMAND = """
import sys
from agentkit.cli.main import main
sys.argv = ["agentkit", *{words!r}]
main()
"""


def answer(body: dict[str, Any]) -> Say:
    """Call the tool, if there is one that was not called yet, and say what it said."""
    if body.get("tools") and body["messages"][-1]["role"] == "user":
        return Say(calls=(Call("add", {"a": 2, "b": 3}),))
    return Say("5")


def cases(url: str) -> dict[str, str]:
    """Return the programs by name, for a GLM endpoint at `url`."""
    return {
        "python alone": "pass",
        BASE: "import httpx, pydantic, structlog",
        "with orjson, sqlite3": "import httpx, pydantic, orjson, structlog, sqlite3",
        "agentkit": "import agentkit",
        "agentkit, every name": "from agentkit import *",
        "agentkit, a GLM made": "from agentkit import GLM; GLM('glm-5', api_key='k')",
        "first answer": ANSWER.format(url=url, tools="[]"),
        "first answer, with a tool": ANSWER.format(url=url, tools="[add]"),
        "agentkit --help": COMMAND.format(words=["--help"]),
        "agentkit runs list": COMMAND.format(words=["runs", "list"]),
    }


def cpu(program: str, environment: dict[str, str]) -> float:
    """Return the CPU ms that a program takes in a fresh interpreter, all its threads counted."""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return (used.ru_utime + used.ru_stime) * 1000


async def measure(rounds: int) -> dict[str, list[float]]:
    """Return the CPU ms of each case in each round."""
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "AGENTKIT_HOME": folder, "PYTHONPYCACHEPREFIX": folder}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        async with GLMServer(answer) as server:
            programs = cases(server.base_url)
            for _ in range(rounds + 1):  # by turns, so that a busy moment hits all alike
                for name, program in programs.items():
                    took = await asyncio.to_thread(cpu, program, environment)
                    times.setdefault(name, []).append(took)
    return {name: each[1:] for name, each in times.items()}  # the first one compiled


def distributions(name: str = "agentkit-glm") -> int:
    """Return how many distributions the base install brings, agentkit itself left out."""
    from importlib.metadata import PackageNotFoundError

    from packaging.requirements import Requirement

    found: set[str] = set()
    pending = [name]
    while pending:
        for text in requires(pending.pop()) or ():
            need = Requirement(text)
            if need.marker is not None and not need.marker.evaluate({"extra": ""}):
                continue
            key = need.name.lower().replace("_", "-")
            try:
                installed(key)
            except PackageNotFoundError:
                continue
            if key not in found:
                found.add(key)
                pending.append(key)
    return len(found)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    rounds = parser.parse_args().rounds
    times = asyncio.run(measure(rounds))
    base = statistics.median(times[BASE])
    print("CPU ms: minimum, median, ratio to the import of httpx + pydantic + structlog")
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:<28} {min(values):>6.0f} {median:>6.0f} {median / base:>6.2f}")
    print(f"distributions in the base install: {distributions()} (goal 28)")


if __name__ == "__main__":
    main()
