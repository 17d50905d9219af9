"""A tool that blocks the event loop is named, with its line."""

import asyncio
import inspect
import threading
import time

from dispatching import call, turn

from agentkit.tool import tool

BLOCKED = 1.2
"""Seconds: the lag that is told, and two looks of the watch."""


def wait_badly():
    time.sleep(BLOCKED)


@tool
async def clumsy() -> None:
    await asyncio.sleep(0)
    wait_badly()


@tool
async def decent() -> None:
    await asyncio.sleep(BLOCKED)


@tool
def in_thread() -> None:
    time.sleep(BLOCKED)


def test_a_tool_that_blocks_the_event_loop_is_named_with_its_line_once(capsys):
    asyncio.run(turn([clumsy, decent], [call(clumsy, {}, "a"), call(decent, {}, "b")]))
    said = capsys.readouterr().err
    assert said.count("tool.blocks_event_loop") == 1
    assert "tool=clumsy" in said
    assert "call_id=a" in said
    line = inspect.getsourcelines(clumsy.function)[1] + 3
    assert f"{__file__}:{line} (in test_loop_watch.py:" in said
    assert "in wait_badly" in said


@tool
async def delegate() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(clumsy.function())


def test_a_task_that_a_tool_started_is_told_with_its_line(capsys):
    """Before Python 3.12 nothing says for which tool a task runs: the running ones are told."""
    asyncio.run(turn([delegate], [call(delegate)]))
    said = capsys.readouterr().err
    assert said.count("block") >= 1
    assert "delegate" in said
    assert __file__ in said


def test_a_tool_that_awaits_or_runs_in_a_thread_is_not(capsys):
    asyncio.run(turn([decent, in_thread], [call(decent, {}, "a"), call(in_thread, {}, "b")]))
    assert "blocks_event_loop" not in capsys.readouterr().err


def test_the_watch_ends_with_the_last_dispatcher():
    names = []

    @tool
    async def look() -> None:
        names.extend(one.name for one in threading.enumerate())

    asyncio.run(turn([look], [call(look)]))
    assert "agentkit-loop-watch" in names
    for one in threading.enumerate():
        if one.name == "agentkit-loop-watch":
            one.join(timeout=5)
            assert not one.is_alive()
