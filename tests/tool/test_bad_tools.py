"""Tools that return too much, fork, or raise what ends programs: all of it is contained."""

import asyncio
import os
import sys
import tracemalloc
from collections import OrderedDict
from dataclasses import dataclass

import pytest
from dispatching import POLICY, Log, call, result_of, turn
from pydantic import BaseModel

from agentkit.events import ToolFinished, ToolStarted
from agentkit.tool import Artifact, DispatchPolicy, ToolResult, tool

SMALL = DispatchPolicy(max_result_bytes=10_000, max_artifact_bytes=10_000)


def result_for(value, policy=SMALL):
    @tool
    async def give():
        return value

    return result_of(give, policy=policy)


@dataclass
class Row:
    text: str


class Page(BaseModel):
    text: str


@pytest.mark.parametrize(
    "value",
    [
        ["x" * 100] * 1000,
        {str(index): "x" * 100 for index in range(1000)},
        [[[["x" * 20_000]]]],
        Row("x" * 20_000),
        Page(text="x" * 20_000),
        list(range(100_000)),
        OrderedDict(a="x" * 20_000),
        {"a": {1, 2}, "b": ("x" * 20_000,)},
        ToolResult(["x" * 20_000]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_that_is_too_large_is_shown_in_part_and_the_model_is_told(value):
    result = result_for(value)
    assert result.status == "ok"
    assert "larger than 10000 bytes" in result.content
    assert 1000 < len(result.content) < 12_000


def test_a_value_that_fits_is_shown_whole():
    value = {"rows": [{"id": index, "name": "x" * 20} for index in range(50)]}
    assert "larger" not in result_for(value).content


def test_a_value_that_holds_itself_is_an_error_or_a_part():
    value = []
    value.append(value)
    result = result_for(value)
    assert result.status in ("ok", "error")
    assert len(result.content) < 12_000


def test_files_beyond_the_bound_are_left_out_and_the_model_is_told():
    @tool
    async def draw():
        names = ("a", "b", "c")
        files = tuple(Artifact(name, "text/plain", b"x" * 6000) for name in names)
        return ToolResult("three files", artifacts=files)

    log = asyncio.run(turn([draw], [call(draw)], SMALL))
    assert list(log.kept) == ["a"]
    assert "The file b was left out" in log.result().content
    assert "The file c was left out" in log.result().content


def test_files_in_a_list_are_not_weighed_as_text():
    files = [Artifact("a", "text/plain", b"x" * 9000), Artifact("b", "text/plain", b"x" * 9000)]
    assert "as text" not in result_for(files).content


@pytest.mark.parametrize("kind", ["text", "list"])
def test_a_gigabyte_is_not_copied(kind):
    """The tool makes the value before anything can bound it; what follows adds next to nothing."""
    value = "x" * 300_000_000 if kind == "text" else ["x" * 1_000_000] * 1000

    @tool
    async def flood():
        tracemalloc.start()
        return value

    result = result_of(flood)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result.status == "ok"
    assert len(result.content) < 50_000
    assert peak < 100_000_000


@pytest.mark.parametrize("blocking", [True, False])
def test_the_child_of_a_tool_that_forks_ends_there(blocking, tmp_path):
    children = []

    def fork():
        child = os.fork()
        if child:
            children.append(child)
        return f"I am {'the parent' if child else 'the child'}"

    if blocking:

        @tool
        def split() -> str:
            return fork()

    else:

        @tool
        async def split() -> str:
            return fork()

    log = asyncio.run(turn([split], [call(split)]))
    (child,) = children
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == os.EX_SOFTWARE
    assert log.result().content == "I am the parent"


def test_the_child_of_a_tool_that_forks_and_waits_writes_nothing(tmp_path):
    children, path = [], tmp_path / "log"

    class OnDisk(Log):
        async def record(self, bodies):
            with path.open("a") as file:
                file.writelines(f"{os.getpid()} {body.kind}\n" for body in bodies)
            await super().record(bodies)

    @tool
    async def split() -> str:
        loop = asyncio.get_running_loop()
        later = loop.create_future()
        loop.call_later(0.05, later.set_result, None)
        child = os.fork()
        if child:
            children.append(child)
        await later
        return "done"

    @tool
    async def sibling() -> None:
        await asyncio.sleep(0.01)

    calls = [call(sibling, {}, "a"), call(split, {}, "b")]
    asyncio.run(turn([split, sibling], calls, log=OnDisk()))
    (child,) = children
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == os.EX_SOFTWARE
    lines = path.read_text().split()
    assert lines[::2] == [str(os.getpid())] * 4
    assert sorted(lines[1::2]) == ["tool_finished"] * 2 + ["tool_started"] * 2


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("no words")


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        SystemExit(1),
        MemoryError(),
        GeneratorExit(),
        BaseExceptionGroup("g", [SystemExit(1), KeyboardInterrupt()]),
        RecursionError(),
        Unprintable(),
        StopIteration(),
        StopAsyncIteration(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_tool_raises_its_siblings_go_on_and_the_log_is_right(error, blocking):
    if blocking:

        @tool
        def explode() -> None:
            raise error

    else:

        @tool
        async def explode() -> None:
            await asyncio.sleep(0)
            raise error

    @tool
    async def sibling() -> str:
        await asyncio.sleep(0.001)
        return "fine"

    calls = [call(explode, {}, "a"), call(sibling, {}, "b"), call(explode, {}, "c")]
    log = asyncio.run(turn([explode, sibling], calls))
    assert {one: log.result(one).status for one in "abc"} == {"a": "error", "b": "ok", "c": "error"}
    assert len([one for one in log.bodies if isinstance(one, ToolStarted)]) == 3
    assert len([one for one in log.bodies if isinstance(one, ToolFinished)]) == 3


def test_a_tool_that_uses_up_the_stack_is_an_error():
    @tool
    async def deep() -> int:
        def down(level):
            return down(level + 1)

        return down(0)

    limit = sys.getrecursionlimit()
    assert "RecursionError" in result_of(deep).content
    assert sys.getrecursionlimit() == limit


def test_a_thousand_calls_in_one_turn_are_all_answered_within_bounds():
    running, most = [0], [0]

    @tool
    async def work(key: int) -> str:
        running[0] += 1
        most[0] = max(most[0], running[0])
        await asyncio.sleep(0)
        running[0] -= 1
        return str(key) * 10

    calls = [call(work, {"key": index}, str(index)) for index in range(1000)]
    log = asyncio.run(turn([work], calls, POLICY))
    assert len(log.finished) == 1000
    assert most[0] == POLICY.concurrency
    assert all(log.result(str(index)).content == str(index) * 10 for index in range(0, 1000, 97))
