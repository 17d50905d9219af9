"""A blob that is missing on disk costs what it held, and nothing else."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from click.testing import CliRunner
from contexts import HANDLE, Worker, filler, kinds

from agentkit import SQLiteStore, ToolResult, tool
from agentkit.agent.fork import fork
from agentkit.cli.context import context as context_command
from agentkit.cli.export import export
from agentkit.errors import RunChanged
from agentkit.testing import Call, Say, ScriptedModel
from agentkit.tool import Artifact
from agentkit.trace import render_page
from logs import read_log

TEXT = filler(20_000)


@tool
def fetch() -> ToolResult:
    """Fetch."""
    return ToolResult(TEXT, (Artifact("lost.png", "image/png", b"lost"),))


@tool
def draw() -> ToolResult:
    """Draw."""
    return ToolResult("drawn", (Artifact("kept.png", "image/png", b"kept"),))


class Story:
    """Fetches, opens what it fetched, draws, answers."""

    def __init__(self):
        self.requests = []

    def __call__(self, request):
        self.requests.append(request)
        messages = request["messages"]
        turn = sum(m["role"] == "assistant" for m in messages)
        if turn == 1:
            handle = HANDLE.search(messages[-1]["content"])[1]
            return Say(calls=[Call("read_result", {"handle": handle})])
        return [Say(calls=[Call("fetch")]), None, Say(calls=[Call("draw")]), Say("done")][turn]


def agent(store, brain, **more):
    made = Worker(0).agent(
        store=store, policy="default", tools=[fetch, draw], model=ScriptedModel(brain)
    )
    return replace(made, **more)


def lose(folder):
    """Delete all blobs."""
    paths = [path for path in (folder / "blobs").rglob("*") if path.is_file()]
    assert paths
    for path in paths:
        path.unlink()


def told(folder):
    """Return a run that is done, and how the model was told of it."""

    async def main():
        store, brain = SQLiteStore(folder), Story()
        result = await agent(store, brain).run("go")
        await store.close()
        return result

    return asyncio.run(main())


def test_a_run_that_goes_on_without_its_blobs_tells_the_model_and_keeps_the_rest(tmp_path):
    first, second = Story(), Story()

    def broken(request):
        if len(first.requests) == 1:
            raise RuntimeError("the process ends here")
        return first(request)

    async def main():
        store = SQLiteStore(tmp_path)
        async with agent(store, broken).open() as run:
            with pytest.raises(RuntimeError):
                await run.send("go")
        lose(tmp_path)
        forked = await fork(store, run.id)
        result = await agent(store, second).resume(run.id)
        other = await agent(store, Story()).resume(forked)
        await store.close()
        return result, other

    result, other = asyncio.run(main())
    assert result.output == other.output == "done"
    before, after = first.requests[0]["messages"], second.requests[0]["messages"]
    assert after[: len(before)] == before
    lost = second.requests[1]["messages"][-1]["content"]
    assert "cannot be read any more" in lost
    assert "Call the tool that made it again" in lost
    assert [artifact.name for artifact in result.artifacts] == ["kept.png"]
    log = read_log(tmp_path, result.run_id)
    names = {ref.name for body in kinds(log, "tool_finished") for ref in body.artifacts}
    assert names == {"lost.png", "kept.png"}  # the log still says what there was


def test_a_run_that_is_done_gives_its_answer_and_names_the_artifacts_that_are_gone(
    tmp_path, capsys
):
    done = told(tmp_path)
    assert len(done.artifacts) == 2
    lose(tmp_path)

    async def main():
        store = SQLiteStore(tmp_path)
        result = await agent(store, Story()).resume(done.run_id)
        await store.close()
        return result

    result = asyncio.run(main())
    assert (result.output, result.artifacts) == ("done", ())
    said = capsys.readouterr().err
    assert said.count("artifact.lost") == 2
    assert "lost.png" in said


def test_a_change_is_told_although_what_it_changed_is_lost(tmp_path):
    done = told(tmp_path)
    lose(tmp_path)

    async def main():
        store = SQLiteStore(tmp_path)
        other = agent(store, Story(), instructions="Other words.", tools=(fetch,))
        with pytest.raises(RunChanged, match="cannot be read any more") as caught:
            await other.resume(done.run_id)
        async with other.open(run_id=done.run_id, accept_changes=True) as run:
            assert run.events[-1].body.changed == ("instructions", "tools")
        await store.close()
        return caught.value

    assert asyncio.run(main()).changed == ("instructions", "tools")


def test_the_commands_show_what_there_is_and_say_what_is_lost(tmp_path, monkeypatch):
    done = told(tmp_path)
    monkeypatch.setenv("AGENTKIT_HOME", str(tmp_path))
    run = CliRunner()
    whole = json.loads(run.invoke(context_command, [done.run_id, "--json"]).stdout)
    lose(tmp_path)

    table = run.invoke(context_command, [done.run_id])
    assert table.exit_code == 0
    assert "4 turns" in table.stdout
    assert "instructions" in table.stderr
    assert "missing" in table.stderr
    left = json.loads(run.invoke(context_command, [done.run_id, "--json"]).stdout)
    assert left["totals"] == whole["totals"]
    assert left["turns"][-1]["kinds"]["prefix"] < whole["turns"][-1]["kinds"]["prefix"]

    async def page():
        store = SQLiteStore(tmp_path)
        data = await render_page(store, done.run_id)
        await store.close()
        return data

    assert b"its bytes are not in the store" in asyncio.run(page())

    events = run.invoke(export, [done.run_id, "--format", "jsonl"])
    assert events.exit_code == 0
    assert len(events.stdout.splitlines()) == len(read_log(tmp_path, done.run_id))
    training = run.invoke(export, [done.run_id, "--format", "openai"])
    assert training.exit_code == 1  # a conversation without its instructions teaches something else
    assert f"Left out {done.run_id}" in training.stderr
    assert "missing" in training.stderr
