"""`agentkit chat` as a script pipes into it and as a person at a terminal types into it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import textwrap

import pytest

from agentkit.testing import Call, GLMServer, Refuse, Say
from logs import read_log
from terminal import Terminal

TOOLS = """
    from agentkit import tool

    @tool(destructive=True)
    def erase(path: str) -> str:
        "Erase a file."
        with open("erased", "a") as file:
            file.write(path + "\\n")
        return f"erased {path}"
"""
ERASING = ("--tools", "tools.py", "--ask", "destructive")

SUB_AGENT = """
    from agentkit import Agent, ApprovalPolicy, Rule
    import tools

    asking = ApprovalPolicy((Rule("ask", hint="destructive"),))
    cleaner = Agent(name="cleaner", tools=[tools.erase], approval=asking).as_tool()
"""


def brain(request):
    """Say what the user said so far; erase and refuse where the last message asks for it."""
    said = [m["content"] for m in request["messages"] if m["role"] == "user"]
    last = request["messages"][-1]
    if "delegate" in said[-1] and last["role"] == "user":
        return Say(calls=[Call("cleaner", {"task": "erase it"}, id=f"sub_{len(said)}")])
    if "refuse" in said[-1]:
        return Refuse(401, "1000", "bad key")
    if "erase" in said[-1] and last["role"] == "user":
        return Say(calls=[Call("erase", {"path": "a.txt"}, id=f"call_{len(said)}")])
    if "long" in said[-1] and last["role"] == "user":
        return Say("word " * 4000)
    results = [m["content"] for m in request["messages"] if m["role"] == "tool"]
    return Say(f"heard {' / '.join(said + results)}.")


def environment(server, folder):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("ZAI", "AGENTKIT"))}
    env |= {"AGENTKIT_HOME": str(folder / "home"), "ZAI_API_KEY": "key-0123456789"}
    return {**env, "ZAI_BASE_URL": server.base_url, "TERM": "xterm", "PYTHONWARNINGS": "error"}


@pytest.fixture
def piped(tmp_path):
    """A function that pipes lines into `agentkit` and returns code, stdout and stderr."""
    (tmp_path / "tools.py").write_text(textwrap.dedent(TOOLS))

    def run(lines, *words, command="chat"):
        async def main():
            async with GLMServer(brain) as server:
                process = await asyncio.create_subprocess_exec(
                    *[sys.executable, "-m", "agentkit.cli.main", command, *words],
                    env=environment(server, tmp_path),
                    cwd=tmp_path,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                )
                out, err = await process.communicate("".join(f"{x}\n" for x in lines).encode())
                assert "Traceback" not in err.decode()
                return process.returncode, out.decode().splitlines(), err.decode()

        return asyncio.run(main())

    return run


def ids(err):
    return re.findall(r"\brun ([0-9a-f]{24})\b", err)


def test_each_line_is_a_message_of_one_conversation(piped, tmp_path):
    code, out, err = piped(["one", "two \\", "lines", "", '"""', "a", "b", '"""', "//quit"])
    assert code == 0
    assert out[0] == "heard one."
    assert out[1:3] == ["heard one / two ", "lines."]
    assert out[-1] == "b / /quit."
    kinds = [event.kind for event in read_log(tmp_path / "home", ids(err)[0])]
    assert kinds[:3] == ["run_started", "noted", "user_message"]
    assert kinds.count("run_finished") == 4


def test_undo_goes_on_in_a_copy_that_ends_before_the_last_message(piped, tmp_path):
    code, out, err = piped(["one", "two", "/undo", "three", "/undo", "/undo", "four"])
    assert code == 0
    assert out == ["heard one.", "heard one / two.", "heard one / three.", "heard four."]
    first, *_, last = dict.fromkeys(ids(err))
    log = read_log(tmp_path / "home", last)
    assert log[0].body.forked_from
    assert [e.body.content for e in log if e.kind == "user_message"] == ["four"]
    old = read_log(tmp_path / "home", first)
    assert [e.body.content for e in old if e.kind == "user_message"] == ["one", "two"]


def test_compact_shortens_what_the_model_is_sent_and_the_talk_goes_on(piped, tmp_path):
    code, out, err = piped(["one", "/compact", *["long"] * 9, "/compact", "and now?"])
    assert code == 0
    assert "nothing to compact" in err
    assert re.search(r"[\d,]{5,} tokens left the prompt", err)
    log = read_log(tmp_path / "home", ids(err)[0])
    kinds = [event.kind for event in log]
    assert kinds.count("compacted") == 1
    assert [e.body.content for e in log if e.kind == "user_message"][-1] == "and now?"
    assert out[-1].endswith("and now?.")


def test_a_fork_leaves_the_first_run_as_it_is_and_both_can_be_resumed(piped):
    _, out, err = piped(["one", "/fork", "two"])
    assert out == ["heard one.", "heard one / two."]
    first, *_, second = dict.fromkeys(ids(err))
    _, out, err = piped(["three"], "--resume")
    assert out == ["heard one / two / three."]
    assert second in err
    assert piped(["other"], "--resume", first)[1] == ["heard one / other."]
    # A chat goes on as any other run does.
    _, out, _ = piped([], first, "--say", "more", command="resume")
    assert out == ["heard one / other / more."]


def test_a_call_waits_for_a_command_where_nobody_can_be_asked(piped, tmp_path):
    code, out, err = piped(["erase it", "hello"], *ERASING)
    assert (code, out) == (3, [])
    assert "erase waits, call call_1" in err
    code, out, _ = piped(["/approve", "hi", "erase it", "/deny not that one"], "--resume")
    assert code == 0
    assert (tmp_path / "erased").read_text() == "a.txt\n"
    assert out[0] == "heard erase it / erased a.txt."
    assert "not that one" in out[-1]


def test_a_call_of_a_sub_agent_waits_for_a_command_too(piped, tmp_path):
    (tmp_path / "subs.py").write_text(textwrap.dedent(SUB_AGENT))
    code, _, err = piped(["delegate", "hello"], "--tools", "subs.py:cleaner")
    assert code == 3
    assert "erase waits, call call_1" in err
    code, out, err = piped(["/approve", "delegate", "/deny not that one"], "--resume")
    assert (code, len(out)) == (0, 2), err
    assert out[0] == "heard delegate / heard erase it / erased a.txt.."
    assert "not that one" in out[1]
    assert (tmp_path / "erased").read_text() == "a.txt\n"


def test_commands_tell_about_the_run_and_a_wrong_one_is_not_sent(piped, tmp_path):
    lines = ["/undo", "/fork", "/continue", "/approve", "one", "/help", "/tools", "/cost", "/coast"]
    code, out, err = piped([*lines, "/trace page.html", "/trace no/such", "/quit", "x"], *ERASING)
    assert (code, out) == (1, ["heard one."])
    for phrase in (
        "no message to take back",
        "nothing to copy",
        "no user message yet",
        "No call waits for approval.",
        "/undo      Take the last message back",
        "Erase a file. (destructive)",
        "the next prompt has about",
        "Did you mean /cost?",
    ):
        assert phrase in err
    assert b"<html" in (tmp_path / "page.html").read_bytes()[:200]


def test_a_failed_turn_does_not_end_the_conversation(piped):
    code, out, err = piped(["refuse", "/continue", "/undo", "hello"])
    assert (code, out) == (0, ["heard hello."])
    assert err.count("Error:") == 2
    assert piped(["refuse"])[0] == 1


def test_turns_are_counted_for_each_message(piped):
    code, out, _ = piped(["one", "two", "three"], "--turns", "1")
    assert (code, len(out)) == (0, 3)


def test_nothing_said_leaves_no_run(piped):
    assert piped(["/help"])[0] == 0
    code, _, err = piped(["x"], "--resume")
    assert code == 2
    assert "no chat to resume" in err


@contextlib.asynccontextmanager
async def terminal(folder, *words, launch=("-m", "agentkit.cli.main"), command="chat", **more):
    async with GLMServer(brain, chunk_seconds=0.01) as server:
        words = [sys.executable, *launch, command, *words]
        screen = Terminal(words, environment(server, folder) | more, folder)
        try:
            yield screen
        except BaseException:
            screen.process.kill()
            screen.process.wait()
            print(screen.shown)
            raise


WITHOUT = """
import sys, importlib.util as u
find = u.find_spec
u.find_spec = lambda name, *more: None if name == "prompt_toolkit" else find(name, *more)
from agentkit.cli.main import main
main()
"""


@pytest.mark.parametrize("launch", [("-m", "agentkit.cli.main"), ("-c", WITHOUT)])
def test_a_person_talks_cancels_a_turn_and_leaves(tmp_path, launch):
    """With prompt_toolkit, and without it."""

    async def main():
        async with terminal(tmp_path, launch=launch) as screen:
            if launch[0] == "-c":
                await screen.until("agentkit-glm[chat]")
            await screen.until(">")
            screen.type("hello\r")
            await screen.until("heard hello.")
            await screen.until(">")
            screen.type("a long story\r")
            await screen.until("word word")
            screen.type("\x03")
            await screen.until("/undo takes the message back")
            await screen.until(">")
            screen.type("/undo\r")
            await screen.until("a long story")
            if launch[0] == "-m":  # it stands there to be edited
                screen.type("\x15")
            screen.type("short\r")
            await screen.until("heard hello / short.")
            await screen.until(">")
            screen.type("\x04")
            return await screen.end()

    assert asyncio.run(main()) == 0


def test_a_person_is_asked_writes_several_lines_and_has_a_history(tmp_path):
    (tmp_path / "tools.py").write_text(textwrap.dedent(TOOLS))

    async def main():
        async with terminal(tmp_path, *ERASING) as screen:
            await screen.until(">")
            screen.type("erase\x1b\rboth\r")
            await screen.until("Allow erase (destructive tool)?")
            await screen.until("[l]ater")
            screen.type("y\r")
            await screen.until("both / erased a.txt.")
            await screen.until(">")
            screen.type("erase again\r")
            await screen.until("[l]ater")
            screen.type("\x03")
            await screen.until("/undo takes the message back")
            screen.type("/continue\r")
            await screen.until("Cancelled before it started")
            await screen.until(">")
            screen.type("erase more\r")
            await screen.until("[l]ater")
            screen.type("n\r")
            await screen.until("Why not")
            screen.type("that is enough\r")
            await screen.until("heard")
            await screen.until(">")
            screen.type("\x04")
            assert await screen.end() == 0
        async with terminal(tmp_path, "--resume") as screen:
            await screen.until("> erase more")
            await screen.until(">")
            screen.type("\x1b[A")  # up: what was typed last
            await screen.until("erase more")
            screen.type("\x03\x04")
            return await screen.end()

    assert asyncio.run(main()) == 0
    assert (tmp_path / "erased").read_text() == "a.txt\n"
    assert (tmp_path / "home" / "chat_history").stat().st_mode & 0o077 == 0
