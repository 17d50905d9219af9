"""Policies are data, clearing pays for itself, a run can be explained, a workspace is read."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from dataclasses import replace

import pytest
from contexts import EAGER, PRICE, SMALL, Worker, filler, fresh, kinds, notes

from agentkit import Agent, MemoryStore, SQLiteStore, ToolError
from agentkit.cli.context import explained, remarks
from agentkit.cli.plot import plot
from agentkit.context import (
    POLICIES,
    Clear,
    ClearResults,
    Compact,
    CompactBefore,
    ContextPolicy,
    Offload,
    View,
    Workspace,
    named,
)
from agentkit.context.clear import cleared, pays_after, propose_clear
from agentkit.context.explain import totals
from agentkit.errors import ConfigError
from agentkit.events import Replied, RunResumed, ToolFinished, ToolStarted, UserMessage
from agentkit.messages import Assistant, ToolCall, ToolOutput
from agentkit.testing import Say, ScriptedModel
from agentkit.usage import Usage


def read(context, *calls):
    """Let a context take one reply with these (id, tool, path, text) calls and their results."""
    made = tuple(ToolCall(call, name, "{}") for call, name, _, _ in calls)
    context.apply(
        Replied(
            message=Assistant("", "t", made),
            usage=Usage(),
            cost_usd=0.0,
            finish_reason="tool_calls",
            model="glm-5",
            request_digest="",
            seconds=0.0,
        )
    )
    for call, name, path, text in calls:
        context.apply(ToolStarted(call_id=call, name=name, arguments={"path": path}))
        context.apply(ToolFinished(call_id=call, name=name, status="ok", content=text))


def grown(count, size=8_000, policy=None):
    context = fresh(policy)
    context.apply(UserMessage(content="go"))
    for at in range(count):
        read(context, (f"c{at}", "read_file", f"{at}.py", filler(size, at)))
    return context


def view(context):
    return View(context, list)


def test_an_edit_pays_after_four_times_what_it_rewrites_over_what_it_removes():
    assert pays_after(1_000, 1_500, PRICE) == pytest.approx(6.0)
    assert pays_after(1_000, 1_500, None) == pytest.approx(6.0)
    assert pays_after(0, 10, PRICE) == float("inf")


def test_clearing_waits_until_a_deep_batch_pays_and_keeps_the_newest_eight():
    assert propose_clear(view(grown(11)), Clear()) is None  # three old results are no batch
    context = grown(30)
    edit = propose_clear(view(context), Clear())
    assert edit.reason == "break_even"
    assert set(edit.call_ids) == {f"c{at}" for at in range(22)}
    event = cleared(context, edit)
    assert event.removed >= 12_000
    assert event.pays_after <= Clear().pays_within
    before = context.tokens
    ids = [one.call_id for one in context.messages if isinstance(one, ToolOutput)]
    context.apply(event)
    assert context.tokens == pytest.approx(before - event.removed, rel=0.02)
    assert [one.call_id for one in context.messages if isinstance(one, ToolOutput)] == ids
    outputs = [one.content for one in context.messages if isinstance(one, ToolOutput)]
    assert all(text.startswith("[cleared: read_result(") for text in outputs[:22])
    assert not any("cleared" in text for text in outputs[22:])
    assert propose_clear(view(context), Clear()) is None


def test_a_cold_cache_makes_clearing_free():
    context = grown(11)
    context.apply(
        RunResumed(model="m", provider="p", instructions="", tools="", changed=("tools",))
    )
    edit = propose_clear(view(context), Clear())
    assert (edit.reason, edit.call_ids) == ("cold_cache", ("c0", "c1", "c2"))


def test_a_superseded_view_of_a_file_goes_although_it_is_recent():
    context = fresh()
    context.apply(UserMessage(content="go"))
    for at in range(6):
        read(context, (f"r{at}", "read_file", "main.py", filler(20_000, at)))
    read(context, ("w", "edit_file", "main.py", "done"))
    read(context, ("last", "read_file", "main.py", filler(400, 9)))
    results = {one.call_id: one for one in context.results()}
    assert results["r5"].superseded
    assert not results["last"].superseded
    edit = propose_clear(view(context), Clear())
    assert set(edit.call_ids) == {f"r{at}" for at in range(6)}


def test_search_mode_keeps_the_last_rounds():
    context = fresh()
    context.apply(UserMessage(content="go"))
    for at in range(12):
        read(context, *[(f"c{at}.{n}", "search", "", filler(4_000, at * 3 + n)) for n in range(3)])
    edit = propose_clear(view(context), POLICIES["research"].clear)
    assert set(edit.call_ids) == {f"c{at}.{n}" for at in range(7) for n in range(3)}


def test_an_idle_run_is_taken_for_cold():
    policy = ContextPolicy(clear=Clear(keep=1, cold_least=100), compact=None, cold_after=0.0)
    worker = Worker(4, size=1_500)

    async def main():
        async with worker.agent(policy=policy).open() as run:
            await run.send("go")
            return run.events

    assert {edit.reason for edit in kinds(asyncio.run(main()), "cleared")} == {"cold_cache"}


def test_policies_have_names_and_wrong_ones_are_told():
    assert {"default", "coding", "research", "unmanaged"} == set(POLICIES)
    assert Agent(ScriptedModel([]), context="coding").context == POLICIES["coding"]
    with pytest.raises(ConfigError, match="research"):
        named("thrifty")
    for wrong in (
        lambda: Offload(limit=0),
        lambda: Clear(keep=0),
        lambda: Compact(hard_stop=1.5),
        lambda: Compact(damage_usd=-1),
    ):
        with pytest.raises(ConfigError):
            wrong()


def test_a_policy_of_ones_own_sees_the_log_proposes_edits_and_cannot_change_anything():
    seen = []

    def propose(view):
        seen.append((view.turn, len(view.log), len(view.messages), view.tokens))
        assert isinstance(view.log, tuple)
        assert isinstance(view.messages, tuple)
        with pytest.raises(dataclasses.FrozenInstanceError):
            view.messages[0].content = "forged"
        if view.turn == 6:
            old = [one.call_id for one in view.results[:3]]
            return [ClearResults((*old, "unknown"), "mine")]
        if view.turn == 9:
            return [CompactBefore(len(view.messages) - 3, "drop", "mine")]
        return ()

    worker = Worker(12)

    async def main():
        policy = ContextPolicy(propose=propose)
        async with worker.agent(policy=policy).open() as run:
            await run.send("keep me")
            return run.events

    log = asyncio.run(main())
    assert [turn for turn, *_ in seen] == list(range(13))
    assert [len(body.results) for body in kinds(log, "cleared")] == [3]
    assert [body.mode for body in kinds(log, "compacted")] == ["drop"]
    assert worker.seen[9]["messages"][1]["content"] == "keep me"
    assert not notes(log, "prefix_break")
    assert log[-1].kind == "run_finished"


def test_a_fresh_prompt_summary_can_be_had_for_comparison():
    def propose(view):
        return [CompactBefore(len(view.messages) - 2, "fresh")] if view.turn == 5 else ()

    worker = Worker(8)

    def brain(request):
        if "You summarise" in request["messages"][0]["content"]:
            return Say("all went well so far")
        return worker(request)

    async def main():
        agent = worker.agent(policy=ContextPolicy(propose=propose), model=ScriptedModel(brain))
        async with agent.open() as run:
            await run.send("go")
            return run.events

    log = asyncio.run(main())
    assert "all went well so far" in kinds(log, "compacted")[0].content
    assert notes(log, "summary")[0].data["cached"] == 0


def test_a_run_is_explained_turn_by_turn_as_data_and_as_a_plot(tmp_path):
    worker = Worker(40)

    async def main():
        store = SQLiteStore(tmp_path)
        policy = replace(EAGER, compact=SMALL.compact, offload=None)
        result = await worker.agent(store=store, policy=policy).run("go")
        found = await explained(store, result.run_id)
        await store.close()
        return result, *found

    result, events, turns = asyncio.run(main())
    sums = totals(turns)
    assert sums["turns"] == result.turns == len(turns)
    assert sums["cost_usd"] == pytest.approx(result.cost_usd, rel=1e-4)
    edits = kinds(events, "cleared", "compacted")
    assert sums["edits"] == len(edits) > 1
    for row in turns:
        assert sum(dataclasses.asdict(row.kinds).values()) == pytest.approx(row.usage.input, abs=4)
        for edit in row.edits:
            assert edit.realised is not None
    said = [line for row in turns for line in remarks(row)]
    assert any("as predicted" in line for line in said)
    drawn = plot(result.run_id, turns)
    assert drawn.startswith("<svg")
    assert drawn.count("<polygon") >= 4
    assert result.run_id in drawn
    assert plot("none", []).endswith("</svg>\n")


def test_the_command_prints_a_table_json_and_writes_a_plot(tmp_path, monkeypatch):
    from click.testing import CliRunner

    from agentkit.cli.context import context as command

    async def main():
        store = SQLiteStore(tmp_path)
        result = await Worker(12).agent(store=store, policy=SMALL).run("go")
        await store.close()
        return result

    result = asyncio.run(main())
    monkeypatch.setenv("AGENTKIT_HOME", str(tmp_path))
    run = CliRunner()
    table = run.invoke(command, [result.run_id[:14]])
    assert table.exit_code == 0
    assert f"{result.turns} turns, $" in table.output
    file = tmp_path / "context.svg"
    found = run.invoke(command, [result.run_id, "--json", "--plot", str(file)])
    data = json.loads(found.output.splitlines()[-1])
    assert data["totals"]["turns"] == len(data["turns"]) == result.turns
    assert file.read_text("utf-8").startswith("<svg")
    wrong = run.invoke(command, [result.run_id, "--plot", "x.png"])
    assert isinstance(wrong.exception, ConfigError)


def test_agents_md_joins_the_instructions_and_notes_are_read_on_demand(tmp_path):
    (tmp_path / "AGENTS.md").write_text("Use tabs, never spaces.", "utf-8")
    notes_folder = tmp_path / "notes"
    notes_folder.mkdir()
    (notes_folder / "build.md").write_text("# How to build\n\nmake all", "utf-8")
    (tmp_path / "secret.md").write_text("secret", "utf-8")
    (notes_folder / "link.md").symlink_to(tmp_path / "secret.md")
    worker = Worker(0)
    agent = worker.agent(policy=ContextPolicy(workspace=tmp_path), store=MemoryStore())
    asyncio.run(agent.run("go"))
    system = worker.seen[0]["messages"][0]["content"]
    assert "Use tabs, never spaces." in system
    assert "- build.md: How to build" in system
    assert "make all" not in system
    assert "link.md" not in system
    assert "read_note" in json.dumps(worker.seen[0]["tools"])
    workspace = Workspace(tmp_path)
    assert workspace.read_note("build.md").endswith("make all")
    for outside in ("../secret.md", "link.md", "nowhere.md", "/etc/passwd"):
        with pytest.raises(ToolError, match=r"build\.md"):
            workspace.read_note(outside)


def test_a_workspace_that_is_none_and_an_agents_md_too_large_are_told(tmp_path):
    with pytest.raises(ConfigError, match="no folder"):
        Workspace(tmp_path / "nowhere").instructions("x")
    (tmp_path / "AGENTS.md").write_text("x" * 40_000, "utf-8")
    with pytest.raises(ConfigError, match="notes/"):
        Workspace(tmp_path).instructions("x")
    assert Workspace(None).instructions("x") == "x"
