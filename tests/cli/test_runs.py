"""`agentkit runs` and `agentkit export`: what is in the log, from the shell."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading

import pytest
from click.testing import CliRunner

from agentkit.cli.main import cli
from agentkit.events import Event, RunFinished, RunStarted, UserMessage, load_line
from agentkit.store import SQLiteStore, open_store
from agentkit.usage import Usage
from bodies import EXAMPLES, events, notes
from otlp import receiver
from trace_recording import record

ENDED = RunFinished(output="o", turns=1, usage=Usage(), cost_usd=0.1, seconds=2.0)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A store with a recorded run, its sub-agent's, and one of every kind."""
    folder = tmp_path_factory.mktemp("home")

    async def main():
        store = SQLiteStore(folder)
        await record(store)
        blobs = [await store.put_blob(b"prompt"), await store.put_blob(b"")]
        first = RunStarted(
            agent="a", model="m", provider="p", instructions=blobs[0], tools=blobs[1]
        )
        bodies = [first, *(body for body in EXAMPLES[2:] if body.kind != "run_resumed"), ENDED]
        await store.append("ff01", events("ff01", *bodies), 0)
        await store.close()

    asyncio.run(main())
    return folder


@pytest.fixture
def run(home, monkeypatch):
    """A function that runs a command on that store and returns what it printed."""
    monkeypatch.setenv("AGENTKIT_HOME", str(home))
    monkeypatch.delenv("AGENTKIT_STORE", raising=False)

    def call(*arguments, code=0):
        result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result

    return call


def shell(home, *arguments):
    command = [sys.executable, "-m", "agentkit.cli.main", *arguments]
    return subprocess.run(
        command, env={"AGENTKIT_HOME": str(home)}, capture_output=True, text=True, check=False
    )


def test_runs_are_listed_with_state_and_task(run):
    lines = run("runs", "list").stdout.splitlines()
    assert len(lines) == 3
    assert lines[0].split()[0] == "ff01"
    assert "finished" in lines[1]
    assert lines[1].endswith("parent: Weather?")
    assert lines[2].endswith("↳ child: q")
    assert len(run("runs", "list", "-n", "1").stdout.splitlines()) == 1
    listed = [json.loads(line) for line in run("runs", "list", "--json").stdout.splitlines()]
    assert listed[1]["task"] == "Weather?"


def test_a_run_is_shown_a_line_for_each_event_of_every_kind(run):
    lines = run("runs", "show", "ff").stdout.splitlines()
    assert [int(line.split()[0]) for line in lines] == list(range(len(lines)))
    text = "\n".join(lines)
    for words in ("replied", "cached", "denied", "LimitExceeded: turns", 'f {"a":[1,{"b":null}]}'):
        assert words in text
    printed = run("runs", "show", "ff01", "--json").stdout
    assert [load_line(line).seq for line in printed.splitlines()] == list(range(len(lines)))


def test_the_tail_is_the_latest_runs_and_ends_with_the_run(run):
    assert len(run("runs", "tail", "-n", "2").stdout.splitlines()) == 2
    assert "run_finished" in run("runs", "tail", "-f", "-n", "1").stdout


def test_a_run_that_goes_on_is_followed_to_its_end(tmp_path):
    async def append(start, *bodies):
        store = SQLiteStore(tmp_path)
        await store.append("run", events("run", *bodies, start=start), start)
        await store.close()

    asyncio.run(append(0, EXAMPLES[0], EXAMPLES[2]))
    command = [sys.executable, "-m", "agentkit.cli.main", "runs", "tail", "-f", "ru", "--json"]
    with subprocess.Popen(
        command, env={"AGENTKIT_HOME": str(tmp_path)}, stdout=subprocess.PIPE, text=True
    ) as process:
        alarm = threading.Timer(60, process.kill)
        alarm.start()
        seen = [process.stdout.readline() for _ in range(2)]
        asyncio.run(append(2, EXAMPLES[4]))
        seen.append(process.stdout.readline())
        asyncio.run(append(3, ENDED))
        seen += process.stdout.readlines()
        alarm.cancel()
    assert process.returncode == 0
    assert [json.loads(line)["seq"] for line in seen] == [0, 1, 2, 3]


def test_an_unknown_and_an_ambiguous_run_and_an_empty_store_are_told(home, tmp_path):
    unknown = shell(home, "runs", "show", "zz")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "No run begins with 'zz'" in unknown.stderr
    assert "Several runs begin with '0'" in shell(home, "runs", "show", "0").stderr
    empty = shell(tmp_path, "runs", "tail")
    assert (empty.returncode, "no runs yet" in empty.stderr) == (1, True)
    assert shell(tmp_path, "runs", "list").stdout == ""


def test_the_context_of_a_run_is_looked_for_in_the_configured_store(home, monkeypatch, tmp_path):
    monkeypatch.setenv("AGENTKIT_HOME", str(tmp_path))
    monkeypatch.setenv("AGENTKIT_STORE", f"sqlite:///{home}")
    run_id = CliRunner().invoke(cli, ["runs", "list"]).stdout.splitlines()[1].split()[0]
    told = CliRunner().invoke(cli, ["context", run_id], catch_exceptions=False)
    assert "tokens on average" in told.stdout


@pytest.mark.parametrize(
    "words", [("trace", "-o"), ("context", "--plot"), ("export", "-o")], ids=lambda words: words[0]
)
def test_a_file_that_cannot_be_written_is_told(home, words):
    listed = shell(home, "runs", "list").stdout.splitlines()
    done = shell(home, words[0], listed[1].split()[0], words[1], "/nowhere/x.svg")
    assert done.returncode == 2
    assert "/nowhere/x.svg cannot be written" in done.stderr


@pytest.mark.parametrize("name", ["openai", "sharegpt", "atif"])
def test_runs_are_exported_a_line_each(run, tmp_path, name):
    one = json.loads(run("export", "ff", "--format", name, "--reward", "0.7").stdout)
    assert 0.7 in (one.get("reward"), one.get("extra", {}).get("reward"))
    path = tmp_path / "out.jsonl"
    run("export", "--all", "--format", name, "-o", str(path))
    # The sub-agent's run stands inside its parent in ATIF.
    assert len(path.read_text().splitlines()) == (2 if name == "atif" else 3)


def test_event_lines_are_exported_as_they_are_shown(run):
    shown = run("runs", "show", "ff01", "--json").stdout
    assert run("export", "ff01", "--format", "jsonl").stdout == shown


def test_spans_are_sent_to_an_endpoint(run):
    with receiver() as (url, spans):
        sent = run("export", "--all", "--format", "otlp", "--endpoint", url).stderr
    assert sent == f"{len(spans)} spans sent\n"
    # The sub-agent's run is part of its parent's trace and not sent twice.
    assert [span.name for span in spans].count("invoke_agent child") == 1


def test_what_a_tool_wrote_cannot_move_the_terminals_cursor(tmp_path, monkeypatch):
    monkeypatch.setenv("AGENTKIT_STORE", f"sqlite:///{tmp_path}")
    hostile = UserMessage(content="\x1b]0;gotcha\x07\x1b[2J \u202e\rdone")

    async def main():
        store = open_store()
        await store.append("run", events("run", hostile), 0)
        await store.close()

    asyncio.run(main())
    for arguments in (["runs", "show", "run"], ["runs", "list"], ["runs", "prune", "--keep", "0"]):
        printed = CliRunner().invoke(cli, arguments, color=True).stdout
        assert "gotcha" in printed
        assert not set(printed) & set("\x1b\x07\r\u202e")


def test_a_run_that_cannot_be_read_is_named_and_the_others_are_exported(tmp_path):
    async def main():
        store = SQLiteStore(tmp_path)
        await record(store)
        await store.append("ff", notes("ff", 1), 0)
        await store.close()

    asyncio.run(main())
    done = shell(tmp_path, "export", "--all")
    assert done.returncode == 1
    assert done.stderr.startswith("Left out ff: ")
    assert len(done.stdout.splitlines()) == 2


def test_wrong_usage_is_told(run):
    assert "pass --all" in run("export", code=2).output
    assert "pass --all" in run("export", "ff", "--all", code=2).output
    assert (
        "no place for a reward"
        in run("export", "ff", "--format", "jsonl", "--reward", "1", code=2).output
    )
    assert "--older-than 30d" in run("runs", "prune", code=2).output
    assert "expected a number" in run("runs", "prune", "--older-than", "soon", code=2).output


def test_old_runs_are_pruned(tmp_path, monkeypatch):
    monkeypatch.setenv("AGENTKIT_STORE", f"sqlite:///{tmp_path}/log")

    async def main():
        store = open_store()
        for number in range(4):
            run_id = f"{number:024}"
            at = "2020-01-01T00:00:00.000000+00:00"
            await store.append(run_id, [Event(run_id, 0, at, EXAMPLES[0])], 0)
        await store.close()

    asyncio.run(main())
    invoke = CliRunner().invoke
    dry = invoke(cli, ["runs", "prune", "--older-than", "30d", "--keep", "3", "--dry-run"])
    assert "1 runs would be deleted" in dry.stderr
    assert "1 runs deleted" in invoke(cli, ["runs", "prune", "--keep", "3"]).stderr
    assert "0 runs deleted" in invoke(cli, ["runs", "prune", "--older-than", "999w"]).stderr
    assert "3 runs deleted" in invoke(cli, ["runs", "prune", "--older-than", "30d"]).stderr


def test_the_doctor_looks_at_the_store_that_the_environment_names(tmp_path, monkeypatch):
    for url, ok in ((f"sqlite:///{tmp_path}/log", True), ("postgresql://127.0.0.1:1/x", False)):
        monkeypatch.setenv("AGENTKIT_STORE", url)
        lines = CliRunner().invoke(cli, ["doctor", "--json"]).stdout.splitlines()
        found = next(json.loads(line) for line in lines if '"name":"log"' in line)
        assert found["ok"] is ok
        assert "AGENTKIT_STORE" in found["text"]
