"""One message or one result that no window holds: shown in part, or refused with the way out."""

from __future__ import annotations

import asyncio
import json

import pytest
from contexts import HANDLE, filler, kinds, notes

from agentkit import GLM, Agent, MemoryStore, tool
from agentkit.context import Clear, ContextPolicy
from agentkit.errors import PromptTooLong, RequestRejected
from agentkit.testing import Call, GLMServer, Refuse, Say
from agentkit.testing.checks import request_fault

WINDOW = 30_000
"""Characters of messages that the server takes."""
KNOWN, UNKNOWN = "glm-5", "somebody/some-model"
CARE = "Whatever you do, never touch main.py."
PASTE = f"Read this.\n{filler(60_000)}\n{CARE}"


@tool
def fetch(size: int) -> str:
    """Fetch."""
    return filler(size)


class Small:
    """A server whose model takes little; it opens what it is shown in part, then answers."""

    def __init__(self, *calls, **how):
        self.calls = list(calls)
        self.how = how
        self.opened = ""
        self.refused = 0
        self.seen = []

    def __call__(self, request):
        assert request_fault(request) is None
        messages = request["messages"]
        if len(json.dumps(messages)) > WINDOW:
            self.refused += 1
            return Refuse(400, "1261", "Prompt exceeds max length")
        self.seen.append(messages)
        if messages[-1]["role"] == "system":
            return Say("+ state | all is well")
        if self.calls:
            return Say("", "t", [self.calls.pop(0)])
        parts = [HANDLE.search(one["content"] or "") for one in messages]
        if not self.opened and (found := next(filter(None, parts), None)):
            self.opened = found[1]
            return Say(calls=[Call("read_result", {"handle": found[1], **self.how})])
        return Say("done")


def run(brain, *, said="go", model=UNKNOWN, policy="default", tools=(fetch,), store=None):
    """Return the log of a run, and what it raised."""

    async def main():
        kept = store or MemoryStore()
        async with GLMServer(brain) as server:
            glm = GLM(model, base_url=server.base_url)
            agent = Agent(glm, tools=tools, store=kept, context=policy, strict=True)
            error = None
            try:
                assert (await agent.run(said)).output == "done"
            except PromptTooLong as found:
                error = found
            return await kept.load((await kept.runs())[0].run_id), error

    return asyncio.run(main())


@pytest.mark.parametrize("model", [KNOWN, UNKNOWN])
@pytest.mark.parametrize("policy", ["default", "coding", "research", ContextPolicy(offload=None)])
def test_a_user_message_larger_than_the_window_is_shown_in_part_and_can_be_read(model, policy):
    brain = Small(pattern="never touch")
    log, error = run(brain, said=PASTE, model=model, policy=policy)
    assert error is None
    assert brain.refused == 1
    assert [note.data["count"] for note in notes(log, "overflow")] == [1]
    assert kinds(log, "user_message")[0].content == PASTE
    first, last = brain.seen[0][1]["content"], brain.seen[-1][-1]["content"]
    assert brain.seen[0][1]["role"] == "user"
    assert first.startswith("[large message of the user")
    assert first.endswith(CARE)
    assert CARE in last
    assert len(brain.seen[0]) == 2  # nothing was left out, so nothing says so


def test_a_large_message_after_others_leaves_them_in_the_ledger():
    brain = Small()

    async def main():
        async with GLMServer(brain) as server:
            model = GLM(UNKNOWN, base_url=server.base_url)
            async with Agent(model, tools=[fetch], store=MemoryStore()).open() as run:
                await run.send("Use tabs.")
                await run.send(PASTE)
                return run.events

    log = asyncio.run(main())
    assert kinds(log, "compacted")[0].mode == "ledger"
    shown = brain.seen[-1]
    assert "Use tabs." in shown[1]["content"]
    assert shown[2]["content"].endswith(CARE)


def test_a_large_message_that_another_one_follows_at_once_is_named_in_the_ledger():
    brain = Small(pattern="never touch")
    refusals = [Refuse(400, "1214", "not now")]

    async def main():
        script = lambda request: refusals.pop() if refusals else brain(request)  # noqa: E731
        async with GLMServer(script) as server:
            model = GLM(UNKNOWN, base_url=server.base_url)
            async with Agent(model, tools=[fetch], store=MemoryStore()).open() as run:
                with pytest.raises(RequestRejected):
                    await run.send(PASTE)
                await run.send("Well?")
                return run.events

    log = asyncio.run(main())
    assert [body.content for body in kinds(log, "user_message")] == [PASTE, "Well?"]
    assert [one["content"] for one in brain.seen[0] if one["role"] == "user"] == ["Well?"]
    assert CARE in brain.seen[0][1]["content"]  # a constraint, so it is kept whole
    assert CARE in brain.seen[-1][-1]["content"]


def test_without_a_tool_to_read_it_a_large_message_is_refused_with_the_way_out():
    log, error = run(Small(), said=PASTE, tools=())
    assert "a single message of the user has about" in str(error).lower()
    assert "longtext" in str(error)
    assert error.fault.code == "1261"
    assert kinds(log, "user_message")[0].content == PASTE
    assert kinds(log, "run_failed")[0].error == "PromptTooLong"


RESULTS = [
    "default",
    "coding",
    "research",
    ContextPolicy(offload=None),
    ContextPolicy(offload=None, clear=None),
]


@pytest.mark.parametrize("model", [KNOWN, UNKNOWN])
@pytest.mark.parametrize("policy", RESULTS)
def test_a_result_larger_than_the_window_is_shown_in_part_and_can_be_opened(model, policy):
    brain = Small(Call("fetch", {"size": 60_000}), lines="2-3")
    log, error = run(brain, model=model, policy=policy)
    assert error is None
    assert brain.opened
    results = kinds(log, "tool_finished")
    assert results[-1].name == "read_result"
    assert results[-1].content.splitlines()[1:] == filler(60_000).splitlines()[1:3]


@pytest.mark.parametrize("model", [KNOWN, UNKNOWN])
@pytest.mark.parametrize("large", ["message", "result"])
def test_an_unmanaged_run_is_told_the_way_out_and_the_way_leads_out(model, large):
    brain = Small(*([Call("fetch", {"size": 60_000})] if large == "result" else []))
    store = MemoryStore()
    said = PASTE if large == "message" else CARE
    log, error = run(brain, said=said, model=model, policy="unmanaged", store=store)
    assert 'context="default"' in str(error)
    assert "accept_changes=True" in str(error)
    assert kinds(log, "run_failed")[0].message == str(error)

    async def out():
        async with GLMServer(brain) as server:
            agent = Agent(GLM(model, base_url=server.base_url), tools=[fetch], store=store)
            result = await agent.resume(log[0].run_id, accept_changes=True)
            return result, await store.load(log[0].run_id)

    result, after = asyncio.run(out())
    assert result.output == "done"
    assert after[: len(log)] == log
    assert CARE in "".join(one["content"] for one in brain.seen[-1] if one["role"] == "user")


def test_instructions_that_alone_fill_the_window_are_named():
    async def main():
        async with GLMServer(Small()) as server:
            model = GLM(UNKNOWN, base_url=server.base_url)
            agent = Agent(model, instructions=filler(40_000), tools=[fetch], store=MemoryStore())
            await agent.run("go")

    with pytest.raises(PromptTooLong, match="of them instructions and tools"):
        asyncio.run(main())


def test_results_that_a_policy_without_offload_clears_can_be_opened_again():
    policy = ContextPolicy(offload=None, clear=Clear(keep=1, least=500, pays_within=99))
    brain = Small(*[Call("fetch", {"size": 4_000 + at}) for at in range(5)], lines="1-2")
    log, error = run(brain, model=KNOWN, policy=policy)
    assert error is None
    assert kinds(log, "cleared")
    results = kinds(log, "tool_finished")
    assert results[-1].name == "read_result"
    assert results[-1].content.splitlines()[1:] == filler(4_000).splitlines()[:2]
