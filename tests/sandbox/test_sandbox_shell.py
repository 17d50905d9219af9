"""Shell commands in a real sandbox, beside the programs of the same session."""

import asyncio

import pytest

pytestmark = pytest.mark.docker


def shell(box, command, timeout=10.0):
    return box.wait(box.session.shell(command, timeout))


@pytest.fixture(autouse=True)
def variables_stay(box):
    """Whatever a command did, the session answers and says the truth about its variables."""
    box.run("kept = 1")
    result = []
    yield result
    [last] = result or [None]
    expected = "False" if last is not None and last.state_lost else "True"
    assert box.run("'kept' in globals()").value == expected


def test_a_command_prints_and_has_an_exit_code(box):
    result = shell(box, "echo out; echo err >&2; exit 3")
    assert (result.status, result.exit_code) == ("error", 3)
    assert (result.stdout, result.stderr) == ("out\n", "err\n")
    assert not result.state_lost
    assert shell(box, "true").exit_code == 0


def test_commands_and_programs_share_the_files(box):
    assert shell(box, "echo from the shell > a.txt").artifacts[0].data == b"from the shell\n"
    assert box.run("open('a.txt').read()").value == r"'from the shell\n'"
    box.run("open('b.py', 'w').write('print(6 * 7)')")
    assert shell(box, "python3 b.py").stdout == "42\n"


def test_the_next_command_starts_anew(box):
    shell(box, "cd /tmp; export A=1")
    assert shell(box, "pwd; echo $A").stdout == "/workspace\n\n"


def test_a_timeout_keeps_output_and_variables(box):
    result = shell(box, "echo before; sleep 60", 0.4)
    assert (result.status, result.stdout, result.exit_code) == ("timeout", "before\n", None)
    assert not result.state_lost


def test_a_command_that_ignores_the_interrupt_is_killed(box):
    result = shell(box, "trap '' INT; echo before; sleep 60; sleep 60", 0.3)
    assert (result.status, result.stdout) == ("timeout", "before\n")
    assert "ignored the interrupt" in result.detail
    assert not result.state_lost


def test_a_command_can_be_cancelled(box):
    async def run():
        task = asyncio.create_task(box.session.shell("echo here; sleep 60", 30))
        await asyncio.sleep(0.3)
        await box.session.interrupt()
        return await task

    result = box.wait(run())
    assert (result.status, result.stdout, result.state_lost) == ("cancelled", "here\n", False)


def test_output_is_told_while_it_comes(box):
    """Pieces are cut anywhere; a character is told whole all the same."""
    told = []
    command = r"printf '\344'; sleep 0.1; printf '\270\255'"
    result = box.wait(box.session.shell(command, on_output=told.append))
    assert result.stdout == "中"
    assert told == ["中"]


def test_what_is_left_in_the_background_is_killed_and_told(box):
    result = shell(box, "sleep 60 & setsid sleep 60 & sleep 0.1")
    assert result.status == "ok"
    assert "2 of its processes still ran and were killed" in result.detail
    assert not shell(box, "exec ls /proc").stdout.count("sleep")


def test_a_fork_bomb_costs_the_session_nothing(box):
    result = shell(box, "b() { b | b & }; b; sleep 60", 0.7)
    assert result.status == "timeout"
    assert not result.state_lost


def test_a_killed_shell_is_told(box):
    result = shell(box, "kill -9 $$")
    assert (result.status, result.exit_code, result.detail) == ("crashed", 137, "killed by SIGKILL")


def test_memory_that_ends_is_told(box):
    code = "x = bytearray(900 << 20); x[::4096] = b'1' * len(x[::4096])"
    result = shell(box, f'python3 -c "{code}"; echo $?')
    assert result.stdout == "137\n"
    assert result.detail == "out of memory: one of its processes was killed"


def test_a_command_that_kills_the_sessions_python_says_so(box, variables_stay):
    result = shell(box, "kill -9 $(ls /proc | grep -x '[0-9]*' | sort -n | sed -n 2p); sleep 0.2")
    variables_stay.append(result)
    assert (result.status, result.state_lost) == ("ok", True)
    assert "the session's Python had ended: killed by SIGKILL" in result.detail


def test_pipes_end_as_in_every_shell(box):
    """Python ignores SIGPIPE; what it starts must not."""
    result = shell(box, "yes | head -n 1; echo ${PIPESTATUS[0]}")
    assert result.stdout == "y\n141\n"
    assert result.stderr == ""


def test_the_filter_and_the_limits_are_those_of_programs(box):
    command = "grep -E '^(Seccomp|NoNewPrivs|CapEff):' /proc/self/status; cat /proc/self/oom_score_adj; ulimit -n; ls /proc/self/fd | wc -l; cat /proc/1/environ"  # noqa: E501
    result = shell(box, command)
    assert result.stdout.split() == [
        *("CapEff:", "0000000000000000", "NoNewPrivs:", "1", "Seccomp:", "2"),
        *("1000", "256", "4"),
    ]
    assert "Permission denied" in result.stderr
    assert shell(box, "unshare -U true").exit_code != 0


def test_a_full_process_table_refuses_the_command(box):
    code = """
import threading
stop = threading.Event()
try:
    while True: threading.Thread(target=stop.wait, daemon=True).start()
except RuntimeError: pass
"""
    box.run(code)
    result = shell(box, "echo never")
    assert result.status == "error"
    assert "no process could be started" in result.detail
    box.run("stop.set()")
    assert shell(box, "echo now").stdout == "now\n"


@pytest.mark.parametrize("command", ["x" * 100_001, "a\0b"], ids=["long", "zero byte"])
def test_a_command_that_no_shell_takes_is_refused(box, command):
    with pytest.raises(ValueError, match="command"):
        shell(box, command)


def test_a_long_command_is_taken(box):
    assert shell(box, "echo " + "x" * 99_000).stdout == "x" * 99_000 + "\n"


def test_the_supervisor_keeps_no_descriptor_of_what_is_over(box):
    """It may have 256; each command and each kernel has three or more."""

    async def run():
        for _ in range(60):
            await box.session.shell("true")
            await box.session.reset()
            await box.session.execute("kept = 1")
        return await box.session.shell("echo here")

    assert box.wait(run()).stdout == "here\n"
