"""Another model is asked than answered last: its cache is cold, and an edit costs nothing."""

from __future__ import annotations

import asyncio
import json

from click.testing import CliRunner
from contexts import filler, kinds, notes

from agentkit import GLM, Agent, Limits, SQLiteStore, tool
from agentkit.agent.replay import replay
from agentkit.cli.context import context as command
from agentkit.context import Clear, ContextPolicy
from agentkit.model.retry import RetryPolicy
from agentkit.testing import Call, GLMServer, Refuse, Say

ONCE = RetryPolicy(attempts=1, rest=0.0)
DOWN = (6,)
"""Turns that the first server does not answer."""
POLICY = ContextPolicy(offload=None, compact=None, clear=Clear(keep=2, least=10**6, cold_least=100))
"""Clears nothing unless the cache is cold."""


@tool
def work(step: int) -> str:
    """Do one step."""
    return filler(4_000, step)


class Endpoint:
    """One of two servers of the same work: eight steps, then the answer."""

    def __init__(self, down=()):
        self.down = down
        self.seen = {}

    def __call__(self, request):
        turn = 1 + sum(m["role"] == "assistant" for m in request["messages"])
        if turn in self.down:
            return Refuse(500, "1234", "broken")
        self.seen[turn] = request["messages"]
        return Say("done") if turn > 8 else Say("", "t", [Call("work", {"step": turn})])


def placeholders(messages):
    return sum(m["role"] == "tool" and m["content"].startswith("[cleared") for m in messages)


def agent(primary, second, store):
    model = GLM(
        base_url=primary.base_url,
        retry=ONCE,
        fallback=[GLM("glm-4.7", base_url=second.base_url, retry=ONCE)],
    )
    return Agent(
        model, tools=[work], store=store, context=POLICY, limits=Limits(turns=None), strict=True
    )


def failing_over(folder, down=DOWN):
    first, second = Endpoint(down), Endpoint()

    async def main():
        store = SQLiteStore(folder)
        async with GLMServer(first) as primary, GLMServer(second) as other:
            described = agent(primary, other, store)
            result = await described.run("go")
            log = await store.load(result.run_id)
            again = await replay(described, log, blobs=store)
        await store.close()
        return log, again

    return first, second, *asyncio.run(main())


def test_the_first_request_to_a_fallback_and_the_first_back_are_shortened_for_nothing(tmp_path):
    first, second, log, again = failing_over(tmp_path)
    assert sorted(second.seen) == list(DOWN)
    assert placeholders(first.seen[5]) == 0
    assert placeholders(second.seen[6]) == 3  # of five results two stay
    assert placeholders(first.seen[7]) == 4
    assert placeholders(first.seen[8]) == placeholders(first.seen[9]) == 4  # warm again
    assert [body.reason for body in kinds(log, "cleared")] == ["failover"] * 2
    told = [(note.data["place"], note.data["model"]) for note in notes(log, "failover")]
    assert told == [(1, "glm-4.7"), (0, "glm-5")]
    assert {note.data["cost_usd"] for note in notes(log, "edit_cost")} == {0.0}
    assert not notes(log, "cold_cache")  # its cause is known
    assert again.output == "done"  # each logged digest is that of what was sent in the end


def test_a_way_back_that_fails_costs_what_it_costs(tmp_path):
    """The first server is asked at each turn, and is back at the eighth."""
    first, second, log, again = failing_over(tmp_path, down=(4, 5, 6, 7))
    assert sorted(second.seen) == [4, 5, 6, 7]
    found = [placeholders(second.seen[turn]) for turn in (4, 5, 6, 7)]
    assert found == [1, 2, 3, 4]
    assert placeholders(first.seen[8]) == 5
    places = [(note.data["place"], note.data["cold"]) for note in notes(log, "failover")]
    assert places == [(1, True), *[(0, True), (1, False)] * 3, (0, True)]
    costs = [note.data["cost_usd"] for note in notes(log, "edit_cost")]
    assert [cost > 0 for cost in costs] == [False, True, True, True, False]
    assert not notes(log, "cold_cache")
    assert again.output == "done"


def test_another_process_that_goes_on_after_a_fallback_knows_that_its_model_is_cold(tmp_path):
    first, second = Endpoint(down=(9,)), Endpoint()

    async def main():
        store = SQLiteStore(tmp_path)
        async with GLMServer(first) as primary, GLMServer(second) as other:
            result = await agent(primary, other, store).run("go")
            async with agent(primary, other, store).open(run_id=result.run_id) as run:
                await run.send("and now?")
                log = run.events
        await store.close()
        return log

    log = asyncio.run(main())
    assert placeholders(first.seen[8]) == 0
    assert placeholders(second.seen[9]) == placeholders(first.seen[10]) == 6
    assert [note.data["place"] for note in notes(log, "failover")] == [1, 0]
    assert all(note.data["cold"] for note in notes(log, "failover"))


def test_the_command_names_the_failover(tmp_path, monkeypatch):
    _, _, log, _ = failing_over(tmp_path)
    monkeypatch.setenv("AGENTKIT_HOME", str(tmp_path))
    table = CliRunner().invoke(command, [log[0].run_id])
    assert table.output.count("cold call: failover: ") == 2
    assert "2 cold calls" in table.output
    assert "cleared (failover)" in table.output
    found = CliRunner().invoke(command, [log[0].run_id, "--json"])
    turns = json.loads(found.output)["turns"]
    assert [turn["turn"] for turn in turns if turn["cold"].startswith("failover")] == [6, 7]


def test_a_fallback_that_does_not_answer_either_leaves_the_first_cache_warm(tmp_path):
    """The run fails, and goes on at the model that answered last: nothing is free there."""
    first, second = Endpoint(DOWN), Endpoint(range(99))

    async def main():
        store = SQLiteStore(tmp_path)
        async with GLMServer(first) as primary, GLMServer(second) as other:
            described = agent(primary, other, store)
            async with described.open() as run:
                try:
                    await run.send("go")
                except Exception as error:  # noqa: BLE001 - whatever it is
                    said = repr(error)
                run_id = run.id
            failed = await store.load(run_id)
            first.down = ()
            result = await described.resume(run_id)
            log = await store.load(run_id)
        await store.close()
        return said, failed, result, log

    said, failed, result, log = asyncio.run(main())
    assert "ServerFault" in said
    assert result.output == "done"
    assert [note.data["cold"] for note in notes(log, "failover")] == [True, False]
    assert kinds(log, "cleared") == kinds(failed, "cleared")
