"""The page of runs that real agents made, from SQLite."""

from __future__ import annotations

import asyncio
import json

from agentkit import Agent, ApprovalPolicy, Rule, SQLiteStore, tool, workflow
from agentkit.testing import Call, Say, ScriptedModel
from agentkit.trace import render_page


@tool
def roll(sides: int) -> int:
    """Roll a die.

    Args:
        sides: how many it has.
    """
    if sides < 1:
        raise ValueError("a die has sides")
    return 4


def data_of(page):
    return json.loads(page.split(b'type="application/json">')[1].split(b"</script>")[0])


def test_sub_agents_of_a_real_run_stand_inside_their_calls(tmp_path):
    sub = Agent(
        ScriptedModel(
            [Say(calls=[Call("roll", {"sides": 6}), Call("roll", {"sides": 0})]), "four"]
        ),
        name="dicer",
        tools=[roll],
    )
    script = [Say(calls=[Call("dicer", {"task": "roll"})]), "It was a four."]

    async def main():
        store = SQLiteStore(tmp_path)
        agent = Agent(ScriptedModel(script), name="boss", tools=[sub.as_tool()], store=store)
        result = await agent.run("Have a die rolled.")
        page = await render_page(store, result.run_id)
        await store.close()
        return page

    page = asyncio.run(main())
    data = data_of(page)
    boss, dicer = data["runs"]
    assert (boss["agent"], dicer["agent"]) == ("boss", "dicer")
    (turn,) = [row for row in boss["rows"] if row["k"] == "turn" and row["n"] == 1]
    assert turn["calls"][0]["sub"]["run"] == 1
    (turn,) = [row for row in dicer["rows"] if row["k"] == "turn" and row["n"] == 1]
    assert [call["status"] for call in turn["calls"]] == ["ok", "error"]
    assert turn["flags"][0] == ["bad", "1 failed"]
    head = page.partition(b"<h2>Timeline")[0].decode()
    assert "Have a die rolled." in head
    assert "It was a four." in head


def test_a_sub_agent_that_waits_stands_inside_the_call_that_waits_for_it(tmp_path):
    calls = [Call("roll", {"sides": 6}, id="r1")]
    asking = ApprovalPolicy((Rule("ask", "roll"),))
    brain = ScriptedModel([Say(calls=calls), "four"])
    sub = Agent(brain, name="dicer", tools=[roll], approval=asking)
    script = [Say(calls=[Call("dicer", {"task": "roll"}, id="d1")]), "It was a four."]

    async def main():
        store = SQLiteStore(tmp_path)
        agent = Agent(ScriptedModel(script), name="boss", tools=[sub.as_tool()], store=store)
        paused = await agent.run("Have a die rolled.")
        pages = [await render_page(store, paused.run_id)]
        result = await agent.resume(paused.run_id, answers={"r1": True})
        pages.append(await render_page(store, paused.run_id))
        await store.close()
        return paused, result, pages

    paused, result, pages = asyncio.run(main())
    boss, dicer = data_of(pages[0])["runs"]
    assert (boss["state"], dicer["state"]) == ("paused", "paused")
    (turn,) = [row for row in boss["rows"] if row["k"] == "turn"]
    assert ["hold", "waits for approval"] in turn["flags"]
    (call,) = turn["calls"]
    assert (call["status"], call["sub"]["run"], call["sub"]["about"][:6]) == ("held", 1, "1 turn")
    pause = next(row for row in boss["rows"] if row.get("title") == "Paused")
    assert pause["fields"] == [["calls", f"{paused.pending[0].run_id}/r1"]]
    (turn,) = [row for row in dicer["rows"] if row["k"] == "turn"]
    assert turn["calls"][0]["status"] == "held"
    assert "approval · `dicer`" in pages[0].partition(b"<h2>Timeline")[0].decode()
    boss, dicer = data_of(pages[1])["runs"]
    assert (boss["state"], dicer["state"]) == ("finished", "finished")
    (call,) = boss["rows"][2]["calls"]
    assert (call["status"], call["tries"], call["sub"]["run"]) == ("ok", 2, 1)
    head = pages[1].partition(b"<h2>Timeline")[0].decode()
    assert f"${result.cost_usd:.4f}" in head


def test_steps_of_a_real_workflow_hold_the_runs_that_they_started(tmp_path):
    def double(number: int) -> int:
        return number * 2

    async def main():
        store = SQLiteStore(tmp_path)
        agent = Agent(ScriptedModel(["done"]), name="worker", store=store)
        async with workflow("flow", key="k", store=store) as flow:
            await flow.step("double", double, 4)
            await flow.step("ask", agent.run, "please")
        (run,) = [one for one in await store.runs() if one.agent != "worker"]
        page = await render_page(store, run.run_id)
        await store.close()
        return page

    rows = data_of(asyncio.run(main()))["runs"][0]["rows"]
    steps = [row for row in rows if row["k"] == "step"]
    assert [step["gist"] for step in steps] == ["double", "ask"]
    assert steps[1]["calls"][0]["sub"]["run"] == 1
