"""The command line as a person or a script uses it: real processes, a real server on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

import pytest

from agentkit.testing import Call, GLMServer, Refuse, Say
from logs import read_log

KEY = "secret-key-0123456789"


async def agentkit(*words, home, **environment):
    """Start `agentkit` in a process of its own."""
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ZAI", "AGENTKIT"))
    }
    env |= {"AGENTKIT_HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), **environment}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "agentkit.cli.main",
        *words,
        env=env,
        cwd=home,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


def call(*words, home, script=None, **environment):
    """Run `agentkit`, with a server when there is a script; return code, stdout and stderr."""

    async def main():
        if script is None:
            process = await agentkit(*words, home=home, **environment)
            out, err = await process.communicate()
        else:
            async with GLMServer(script, key=KEY) as server:
                process = await agentkit(
                    *words,
                    home=home,
                    **{"ZAI_BASE_URL": server.base_url, "ZAI_API_KEY": KEY, **environment},
                )
                out, err = await process.communicate()
        assert KEY not in out.decode() + err.decode()
        return process.returncode, out.decode(), err.decode()

    return asyncio.run(main())


def test_help_names_every_command_and_each_command_has_help(tmp_path):
    code, out, _ = call("--help", home=tmp_path)
    assert code == 0
    for command in ("demo", "doctor", "documents", "run", "sandbox", "setup", "trace"):
        assert command in out
        code, text, _ = call(command, "--help", home=tmp_path)
        assert (code, "Usage: agentkit " + command in text) == (0, True)
        assert "\\b" not in text  # what keeps lines apart is for click, not for people


def test_run_prints_the_answer_on_stdout_and_the_cost_on_stderr(tmp_path):
    code, out, err = call("run", "say hello", home=tmp_path, script=["hello"])
    assert (code, out) == (0, "hello\n")
    assert "1 turn ·" in err
    assert "$0.0" in err


def test_run_json_prints_the_durable_events_and_last_the_finished_run(tmp_path):
    plan = Say(calls=[Call("update_plan", {"steps": [{"title": "look"}]})])
    code, out, _ = call("run", "plan it", "--json", home=tmp_path, script=[plan, "done"])
    events = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [event["seq"] for event in events] == list(range(len(events)))
    assert events[-1]["kind"] == "run_finished"
    assert events[-1]["body"]["output"] == "done"
    assert events[-1]["body"]["artifacts"] == []
    log = read_log(tmp_path, events[0]["run_id"])
    assert [event.kind for event in log] == [event["kind"] for event in events]


@pytest.mark.parametrize(
    ("words", "script", "expected", "phrase"),
    [
        (["run", "x"], [Refuse(401, "1000", f"bad key {KEY}")], 1, "ZAI_API_KEY"),
        (["run", "x"], [Refuse(429, "1113", "no money")], 1, "balance"),
        (["run", "x", "--tools", "nothing"], [], 2, "code, documents"),
        (["run", "x", "--tools", "documents"], [], 2, "documents"),
        (["run", "x", "--instructions", "@nowhere.txt"], [], 2, "nowhere.txt"),
        (["run", "x", "--provider", "nobody"], [], 2, "nobody"),
        (["run"], [], 2, "TASK"),
        (["run", " "], [], 2, "TASK is empty"),
        (["run", "x", "--cost", "0"], [], 2, "cost_usd=0"),
        (["run", "x", "--tools", "code:x"], [], 2, "too many"),
        (["chat", "--agent", "nowhere.py:x"], [], 2, "--agent nowhere.py:x"),
        (["chat", "--agent", "agentkit:tool"], [], 2, "expected an Agent"),
        (["runs", "tail"], [], 1, "agentkit demo"),
        (["demo", "--documents", "nowhere"], [], 2, "nowhere"),
    ],
)
def test_a_failure_is_one_clear_sentence_and_an_exit_code(
    tmp_path, words, script, expected, phrase
):
    code, out, err = call(*words, home=tmp_path, script=script)
    assert code == expected
    assert phrase in err
    assert "Traceback" not in err
    assert out == ""


def test_without_a_key_run_says_which_variable_to_set(tmp_path):
    code, _, err = call("run", "x", home=tmp_path)
    assert code == 2
    assert "ZAI_API_KEY" in err
    assert "agentkit demo" in err


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_marks_the_run_interrupted_in_the_log(tmp_path, number, expected):
    async def main():
        async with GLMServer(lambda _: Say("a" * 4000), chunk_seconds=0.02) as server:
            process = await agentkit(
                "run", "x", "--json", home=tmp_path, ZAI_BASE_URL=server.base_url, ZAI_API_KEY=KEY
            )
            line = json.loads(await process.stdout.readline())
            await process.stdout.readline()
            await asyncio.sleep(0.3)
            process.send_signal(number)
            _, err = await process.communicate()
            return process.returncode, line["run_id"], err.decode()

    code, run_id, err = asyncio.run(main())
    assert code == expected
    assert "Traceback" not in err
    log = read_log(tmp_path, run_id)
    assert log[-1].kind == "run_interrupted"
    assert f"agentkit resume {run_id}" in err


def test_an_answer_is_told_even_when_its_files_cannot_be_saved(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from agentkit.tool import Artifact, tool\n"
        "@tool\n"
        "def draw() -> Artifact:\n"
        "    return Artifact('x.txt', 'text/plain', b'hello')\n"
    )
    words = ("run", "x", "--tools", "mine.py", "--artifacts", "mine.py/here")
    script = [Say(calls=[Call("draw", {})]), "drawn"]
    code, out, err = call(*words, home=tmp_path, script=script)
    assert (code, out) == (2, "drawn\n")
    assert "x.txt cannot be saved in mine.py/here" in err
    assert "Traceback" not in err


def test_a_limit_says_how_to_go_on(tmp_path):
    plan = Say(calls=[Call("update_plan", {"steps": [{"title": "look"}]})])
    words = ("plan it", "--turns", "1")
    code, _, err = call("run", *words, home=tmp_path, script=[plan])
    assert code == 1
    going_on = err.splitlines()[-1].removeprefix("go on with: agentkit ").replace("N", "5")
    code, out, _ = call(*going_on.split(), home=tmp_path, script=["done"])
    assert (code, out) == (0, "done\n")


def test_doctor_says_what_is_missing_and_how_to_get_it(tmp_path):
    code, out, _ = call("doctor", "--json", home=tmp_path)
    findings = {finding["name"]: finding for finding in map(json.loads, out.splitlines())}
    assert code == 1
    assert not findings["model"]["ok"]
    assert "ZAI_API_KEY" in findings["model"]["text"]
    assert findings["log"]["ok"]
    code, out, _ = call("doctor", home=tmp_path, ZAI_API_KEY=KEY, ZAI_BASE_URL="nonsense")
    assert "no http(s) URL" in out


def test_an_unknown_log_level_is_told(tmp_path):
    code, _, err = call("doctor", home=tmp_path, AGENTKIT_LOG="loud")
    assert code == 2
    assert "AGENTKIT_LOG" in err
