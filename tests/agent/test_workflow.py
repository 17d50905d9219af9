"""Workflows: steps that are done stay done, whatever happens to the script."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass

import pytest

from agentkit import Agent, MemoryStore, workflow
from agentkit.errors import ConfigError, RunChanged, StepInterrupted
from agentkit.testing import Say, ScriptedModel


@dataclass
class Found:
    names: list[str]


class Broken(Exception):
    pass


def script_of(store, done, die_at=None, key="k"):
    """A script of three steps that dies in the step `die_at`."""

    async def gather(what: str) -> Found:
        done.append("gather")
        if die_at == "gather":
            raise Broken
        return Found([what, "b"])

    def count(found: Found) -> int:
        done.append("count")
        if die_at == "count":
            raise Broken
        return len(found.names)

    def brain(request):
        done.append("agent")
        if die_at == "agent":
            raise Broken
        return Say("report on " + request["messages"][-1]["content"])

    async def main():
        async with workflow("demo", key=key, store=store) as flow:
            found = await flow.step("gather", gather, "a")
            assert isinstance(found, Found)
            number = await flow.step("count", count, found)
            agent = Agent(ScriptedModel(brain))
            report = await flow.step("report", agent.run, f"{number} names")
            return report.output

    return main


@pytest.mark.parametrize("die_at", ["gather", "count", "agent"])
def test_a_script_goes_on_at_the_step_where_it_died(die_at, capsys):
    store, done = MemoryStore(), []

    async def main():
        with pytest.raises(Broken):
            await script_of(store, done, die_at)()
        died = list(done)
        assert await script_of(store, done)() == "report on 2 names"
        assert done[len(died) :] == ["gather", "count", "agent"][died.index(die_at) :]
        again = list(done)
        assert await script_of(store, done)() == "report on 2 names"
        assert done == again

    asyncio.run(main())
    assert ("workflow.step_again" in capsys.readouterr().err) == (die_at != "agent")


def test_another_key_is_another_execution():
    store, done = MemoryStore(), []

    async def main():
        await script_of(store, done)()
        await script_of(store, done, key="other")()

    asyncio.run(main())
    assert done == ["gather", "count", "agent"] * 2


def test_steps_run_side_by_side_and_share_one_log():
    store = MemoryStore()

    async def one(number: int) -> int:
        await asyncio.sleep(0)
        return number

    async def main():
        async with workflow("many", store=store) as flow:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(flow.step(f"s{n}", one, n)) for n in range(20)]
            assert [task.result() for task in tasks] == list(range(20))
        log = await store.load(flow.id)
        assert [event.seq for event in log] == list(range(42))

    asyncio.run(main())


def test_other_arguments_two_steps_of_one_name_and_unloggable_results_are_refused():
    store = MemoryStore()

    async def main():
        async with workflow("w", store=store) as flow:
            await flow.step("a", int, "1")
            with pytest.raises(ConfigError, match="Two steps"):
                await flow.step("a", int, "1")
            with pytest.raises(ConfigError, match="log cannot hold"):
                await flow.step("b", object)
        async with workflow("w", store=store) as flow:
            with pytest.raises(RunChanged, match="other arguments"):
                await flow.step("a", int, "2")

    asyncio.run(main())


def test_a_step_marked_once_is_not_done_twice():
    store = MemoryStore()

    async def main():
        def pay():
            raise Broken

        with pytest.raises(Broken):
            async with workflow("w", store=store) as flow:
                await flow.step("pay", pay, once=True)
        with pytest.raises(StepInterrupted, match="'pay'"):
            async with workflow("w", store=store) as flow:
                await flow.step("pay", pay, once=True)

    asyncio.run(main())


PROGRAM = """
    import asyncio, os, signal, sys
    from pathlib import Path
    from agentkit import Agent, SQLiteStore, tool, workflow
    from agentkit.testing import Call, Say, ScriptedModel

    FOLDER, DIE_AT = Path(sys.argv[1]), sys.argv[2]

    def point(name):
        with (FOLDER / "points").open("a") as file:
            file.write(name + "\\n")
        if name == DIE_AT:
            os.kill(os.getpid(), signal.SIGKILL)

    def first() -> int:
        point("first")
        return 41

    @tool(read_only=True)
    def look() -> str:
        point("tool")
        return "seen"

    def brain(request):
        point("model")
        if request["messages"][-1]["role"] == "tool":
            return Say("answer")
        return Say(calls=[Call("look")])

    async def main():
        store = SQLiteStore(FOLDER / "log")
        async with workflow("w", key="k", store=store) as flow:
            number = await flow.step("first", first)
            point("between")
            agent = Agent(ScriptedModel(brain), tools=[look])
            result = await flow.step("second", agent.run, "go")
            print(number + 1, result.output)
        await store.close()

    asyncio.run(main())
"""


@pytest.mark.parametrize("die_at", ["first", "between", "model", "tool"])
def test_a_script_survives_kill_9_between_and_within_steps(tmp_path, die_at):
    def run(die):
        program = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(tmp_path), die]
        return subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)

    assert run(die_at).returncode == -signal.SIGKILL
    finished = run("never")
    assert finished.stdout == "42 answer\n", finished.stderr
    points = (tmp_path / "points").read_text().split()
    assert points.count("first") == (2 if die_at == "first" else 1)
    assert (tmp_path / "log" / "runs.db").exists()
    again = run("never")
    assert again.stdout == "42 answer\n"
    assert (tmp_path / "points").read_text().split() == [*points, "between"]
