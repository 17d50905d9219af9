"""Input and output that nobody wants: each a typed error or a defined result."""

import asyncio
import json

import pytest
from click.testing import CliRunner

from agentkit_sandbox.cli import sandbox

pytestmark = pytest.mark.docker
MB = 2**20


def test_a_program_of_100_mb_is_refused_and_the_session_goes_on(box):
    with pytest.raises(ValueError, match=r"at most 4194304 are allowed\. Put data into a file"):
        box.run("#" * (100 * MB))
    assert box.run("1").value == "1"


def test_the_longest_program_runs(box):
    assert box.run("#" * (4 * MB - 4) + "\n1+1", timeout=20).value == "2"


def test_calls_that_come_at_once_wait_for_each_other(box):
    async def run():
        async with asyncio.TaskGroup() as group:
            first = group.create_task(
                box.session.execute("import time; time.sleep(0.3); x = 1; print('first')")
            )
            await asyncio.sleep(0)
            second = group.create_task(box.session.execute("print('second', x)"))
            third = group.create_task(box.session.shell("echo third"))
            fourth = group.create_task(box.session.put("a", b"x"))
            fifth = group.create_task(box.session.list())
        assert fourth.result() is None
        assert len(fifth.result().files) == 1
        return [task.result().stdout for task in (first, second, third)]

    assert box.wait(run()) == ["first\n", "second 1\n", "third\n"]
    box.run("import os; os.remove('a')")


def test_an_interrupt_that_comes_too_late_stops_nobody(box):
    async def run():
        await box.session.execute("1")
        await box.session.interrupt()
        return await box.session.execute("2")

    assert box.wait(run()).value == "2"


@pytest.mark.parametrize(
    "code",
    [
        "x = '\ud800'",
        "print('\x00')",
        "\x00",
        "\ufeffx = 1",
        "# -*- coding: no-such-encoding -*-\nx = 1",
        "x = 1\r\ny = 2\rz = 3",
        "\t\n\f\n   ",
    ],
    ids=[
        "surrogate",
        "zero in text",
        "zero",
        "byte order mark",
        "odd coding",
        "line ends",
        "blank",
    ],
)
def test_odd_text_of_a_program_is_an_ordinary_result(box, code):
    result = box.run(code)
    assert result.status in ("ok", "error")
    assert not result.state_lost
    assert box.run("1").value == "1"


def test_output_is_the_same_however_it_is_cut(box):
    """What is told while it comes is the head of what the result has."""
    told = []
    code = "for n in range(3000): print(n, '中' * 30)"
    result = box.wait(box.session.execute(code, on_output=told.append))
    assert "".join(told) == result.stdout
    assert result.stdout == "".join(f"{n} {'中' * 30}\n" for n in range(3000))


def test_lines_are_told_while_the_program_runs(box):
    """A program that prints a line a moment is heard before it ends."""

    async def run():
        heard = asyncio.Event()
        code = "import time\nprint('now', flush=True)\ntime.sleep(30)"
        task = asyncio.create_task(
            box.session.execute(code, 30, on_output=lambda text: heard.set())
        )
        await asyncio.wait_for(heard.wait(), 10)
        assert not task.done()
        await box.session.interrupt()
        return await task

    assert box.wait(run()).stdout == "now\n"


def invoke(*arguments):
    result = CliRunner().invoke(sandbox, ["exec", *map(str, arguments)])
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()]


def test_exec_takes_odd_files_and_shell_scripts(tmp_path):
    files = {
        "large.py": b"#" * (20 * MB),
        "binary.py": bytes(range(256)),
        "good.py": b"open('from_python', 'w').write('x')",
        "script.sh": b"ls; exit 3",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    code, rows = invoke(*(tmp_path / name for name in files), "--json", "--timeout", "5")
    assert code == 1
    assert [row["status"] for row in rows] == ["error", "error", "ok", "error"]
    assert [row["ok"] for row in rows] == [False, False, True, False]
    assert "at most" in rows[0]["error"]
    assert (rows[3]["stdout"], rows[3]["exit_code"]) == ("from_python\n", 3)


def test_exec_gives_each_file_a_sandbox_of_its_own_when_asked(tmp_path):
    for name in "ab":
        (tmp_path / name).write_text("import os\nx = 'x' in globals()\nopen('f', 'w')\nx")
    code, rows = invoke(tmp_path / "a", tmp_path / "b", "--fresh", "--json")
    assert code == 0
    assert [row["value"] for row in rows] == ["False", "False"]


@pytest.mark.parametrize("name", ["missing.py", ".", "*.py"])
def test_exec_names_a_file_that_is_none(tmp_path, name):
    result = CliRunner().invoke(sandbox, ["exec", str(tmp_path / name)])
    assert result.exit_code == 2
    assert "FILES" in result.stderr
