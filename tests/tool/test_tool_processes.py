"""Functions that run in processes of their own."""

import asyncio
import os
import time
from dataclasses import replace
from pathlib import Path

import process_tools
import pytest
from dispatching import Log, call, turn, until

from agentkit.tool import Dispatcher, DispatchPolicy, tool

POLICY = DispatchPolicy(timeout=60, grace=5, processes=2)


def is_gone(pid):
    """Whether a process has ended and was waited for; give the kernel a moment."""
    for _ in range(200):
        if not Path(f"/proc/{pid}").exists():
            return True
        time.sleep(0.01)
    return False


def test_one_worker_serves_one_call_after_the_other_and_ends_with_the_dispatcher(tmp_path):
    tools = [process_tools.where, process_tools.fail, process_tools.big, process_tools.file]
    calls = [
        call("where", {}, "a"),
        call("fail", {"how": "tool"}, "b"),
        call("fail", {"how": "interrupt"}, "c"),
        call("fail", {"how": "plain"}, "d"),
        call("big", {"size": 1_000_000}, "e"),
        call("file", {}, "f"),
        call("where", {}, "g"),
    ]
    policy = DispatchPolicy(timeout=60, processes=1, max_result_characters=1000)
    log = asyncio.run(turn(tools, calls, policy))
    pid = int(log.result("a").content)
    assert pid != os.getpid()
    assert log.result("g").content == str(pid)
    assert log.result("b").content == "not like this"
    assert log.result("c").content.startswith("KeyboardInterrupt")
    assert log.result("d").content.startswith("ValueError: plain")
    assert "999000 of 1000000 characters left out" in log.result("e").content
    assert log.kept == {"a.txt": b"a"}
    assert is_gone(pid)


def test_a_process_that_dies_is_an_error_and_the_next_call_gets_a_new_one():
    tools = [process_tools.fail, process_tools.where]
    calls = [call("fail", {"how": "exit"}, "a"), call("where", {}, "b")]
    log = asyncio.run(turn(tools, calls, DispatchPolicy(timeout=60, processes=1)))
    assert log.result("a").status == "error"
    assert "ended before the call did (exit code 7)" in log.result("a").content
    assert log.result("b").status == "ok"


def test_a_process_is_killed_at_the_timeout(tmp_path):
    path = tmp_path / "pid"
    tools = [process_tools.where, process_tools.spin]  # the first call starts the worker
    calls = [call("where", {}, "w"), call("spin", {"path": str(path)}, "a")]
    log = asyncio.run(turn(tools, calls, DispatchPolicy(timeout=60, grace=5, processes=1)))
    assert path.read_text() == log.result("w").content
    assert log.result("a").status == "timeout"
    assert "It stopped" in log.result("a").content
    assert is_gone(path.read_text())


def test_a_process_is_killed_when_its_run_is_cancelled(tmp_path):
    path = tmp_path / "pid"
    spin = replace(process_tools.spin, timeout=None)

    async def main():
        log = Log()
        async with Dispatcher([spin], POLICY) as dispatcher:
            work = asyncio.create_task(
                dispatcher.dispatch(
                    [call("spin", {"path": str(path)}, "a")],
                    log.record,
                    keep=log.keep,
                    emit=log.emit,
                )
            )
            await until(lambda: path.exists() and path.read_text())
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work
        return log

    assert asyncio.run(main()).result("a").status == "cancelled"
    assert is_gone(path.read_text())


def test_a_call_that_failed_in_a_process_is_made_again(tmp_path):
    path = str(tmp_path / "marks")
    log = asyncio.run(turn([process_tools.flaky], [call("flaky", {"path": path}, "a")], POLICY))
    assert log.result("a").content == "second time"


def test_no_more_processes_run_than_the_policy_says(tmp_path):
    """Two meet; a third would only come once one of them has left."""
    calls = [call("meet", {"path": str(tmp_path), "count": 2}, name) for name in "abcd"]
    log = asyncio.run(turn([process_tools.meet], calls, POLICY))
    assert [one.content for one in log.finished] == ["2"] * 4


def test_arguments_that_cannot_be_sent_and_functions_that_cannot_be_found_are_errors():
    stranger = tool(process=True, name="stranger")(compile_stranger())
    log = asyncio.run(turn([stranger], [call(stranger, {}, "a")], POLICY))
    assert log.result("a").status == "error"
    assert "no function vanished in process_tools" in log.result("a").content


def compile_stranger():
    def vanished() -> None: ...

    vanished.__module__ = "process_tools"
    vanished.__qualname__ = "vanished"
    return vanished
