"""Compaction: cheap, verified, pinned, and never the end of a run."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from contexts import (
    EAGER,
    PRICE,
    SMALL,
    Watched,
    Worker,
    encode,
    filler,
    folded,
    kinds,
    notes,
    work,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit import GLM, MemoryStore, ToolResult, tool
from agentkit.agent.fork import fork
from agentkit.agent.replay import replay
from agentkit.context import POLICIES, Clear, Compact, ContextPolicy, fold
from agentkit.context.compact import border, find_cut, threshold
from agentkit.context.constraints import constraints
from agentkit.context.summary import parse, patched
from agentkit.context.verify import problems
from agentkit.errors import PromptTooLong, SequenceConflict, StoreError
from agentkit.events import Compacted, Event, UserMessage, now
from agentkit.messages import Assistant, System, ToolCall, ToolOutput, User
from agentkit.testing import Call, GLMServer, Refuse, Say
from agentkit.testing.checks import request_fault
from agentkit.tool import Artifact

GLM5 = Compact(tail=16_000, summary=3_500)


@pytest.mark.parametrize(
    ("damage", "expected"), [(0.0, 47_000), (0.10, 65_000), (0.30, 87_000), (0.50, 100_000)]
)
def test_the_threshold_is_where_a_compaction_is_cheapest(damage, expected):
    policy = replace(GLM5, damage_usd=damage)
    assert abs(threshold(29_000, 1_000, PRICE, policy, 202_752) - expected) < 500


def test_the_threshold_follows_growth_window_and_a_users_own_figure():
    slow, fast = (threshold(29_000, g, PRICE, GLM5, 202_752) for g in (300, 1_000))
    assert slow < fast
    assert threshold(29_000, 1_000, PRICE, GLM5, 64_000) == round(0.85 * 64_000)
    assert threshold(29_000, 1_000, None, GLM5, None) == fast  # GLM-5's prices stand in
    assert threshold(29_000, 1_000, PRICE, replace(GLM5, at=5_000), None) == 5_000


def test_a_run_goes_on_after_compaction_with_its_goal_and_a_verbatim_tail():
    worker = Worker(30)
    log, _, _ = work(worker, said="Build the parser. Never touch main.py!")
    edits = kinds(log, "compacted")
    assert len(edits) >= 2
    assert log[-1].kind == "run_finished"
    at = next(i for i, m in enumerate(worker.seen) if "[State of this work" in str(m["messages"]))
    before, after = worker.seen[at - 1]["messages"], worker.seen[at]["messages"]
    assert [m["role"] for m in after[:3]] == ["system", "system", "user"]
    assert after[2]["content"] == "Build the parser. Never touch main.py!"
    tail = after[3:-2]
    assert len(tail) >= 2
    assert before[-len(tail) :] == tail
    assert "is done" in after[1]["content"]


def test_the_summary_is_asked_for_on_the_cached_prefix_and_not_in_the_users_voice():
    worker = Worker(30)
    log, _, _ = work(worker)
    for asked in worker.asked:
        last = asked["messages"][-1]
        assert last["role"] == "system"
        prefix = asked["messages"][:-1]
        same = [seen for seen in worker.seen if seen["messages"][: len(prefix)] == prefix]
        assert any(seen["tools"] == asked["tools"] for seen in same)
        assert request_fault(asked) is None
    told = notes(log, "summary")
    assert told
    assert all(note.data["cached"] >= 0.95 * note.data["input"] for note in told)
    # What summaries cost is part of the run's dollars.
    replies = sum(body.cost_usd for body in kinds(log, "replied"))
    asides = sum(note.data["cost_usd"] for note in told)
    assert log[-1].body.cost_usd == pytest.approx(replies + asides)


def test_each_edit_logs_what_it_predicted_and_what_it_cost():
    log, _, _ = work(Worker(30))
    edits = [i for i, event in enumerate(log) if event.kind == "compacted"]
    told = notes(log, "edit_cost")
    assert len(told) in {len(edits), len(edits) - 1}
    for note in told:
        assert note.data["cost_usd"] > 0
        assert note.data["realised"] == pytest.approx(note.data["predicted"], rel=0.9)
    assert not notes(log, "prefix_break")
    assert not notes(log, "cold_cache")


@pytest.mark.parametrize("policy", [SMALL, EAGER, replace(EAGER, compact=None)])
def test_a_fold_of_the_log_at_any_point_gives_the_bytes_that_were_sent(policy):
    log, model, store = work(Worker(40), policy=policy, said=["go", "go on", "and on"])
    assert kinds(log, "compacted", "cleared")
    started = log[0].body
    system = asyncio.run(store.get_blob(started.instructions)).decode()
    tools = asyncio.run(store.get_blob(started.tools))
    digests = {sent[2]: sent for sent in model.sent if sent[2]}
    for at, event in enumerate(log):
        if event.kind == "replied":
            sent = digests[event.body.request_digest]
            transcript = fold([e.body for e in log[:at]], system, encode)
            assert tuple(transcript.encoded) == sent[0]
            request, _ = folded(log[:at], system, tools, policy).request()
            assert request.digest == event.body.request_digest


def test_a_compacted_run_forks_and_resumes_with_the_same_bytes():
    worker = Worker(40)
    log, model, store = work(worker)
    edit = next(e for e in log if e.kind == "compacted")
    reply = next(e for e in log if e.kind == "replied" and e.seq > edit.seq)

    async def main():
        forked = await fork(store, log[0].run_id, at=reply.seq - 1)
        again = Watched(Worker(worker.turns))
        agent = worker.agent(store=store, model=again)
        again._brain = lambda request: Say("the end")
        result = await agent.resume(forked)
        return again.sent[0], result

    sent, result = asyncio.run(main())
    first = next(s for s in model.sent if s[2] == reply.body.request_digest)
    assert sent == first
    assert result.output == "the end"


@pytest.mark.parametrize("policy", [SMALL, EAGER])
def test_a_compacted_run_replays_byte_by_byte_from_its_log(policy):
    worker = Worker(40)
    log, _, store = work(worker, policy=policy)
    assert kinds(log, "compacted", "cleared", "offloaded")
    agent = worker.agent(policy=policy, model=Watched(worker))
    result = asyncio.run(replay(agent, log, blobs=store))
    assert result.output == "finished"


def test_at_the_hard_stop_the_ledger_alone_stands_in_for_a_summary_that_fails():
    worker = Worker(60, summaries=["nothing"] * 99)
    policy = replace(
        SMALL,
        clear=Clear(keep=1_000, least=10**6),
        compact=replace(SMALL.compact, hard_stop=0.08),  # of GLM-5's window
    )
    log, _, _ = work(worker, policy=policy)
    edits = kinds(log, "compacted")
    assert edits
    assert {edit.mode for edit in edits} == {"ledger"}
    assert max(body.usage.input for body in kinds(log, "replied")) < 0.1 * 202_752


def test_a_summary_whose_request_fails_leaves_the_run_unharmed():
    def brain(request):
        if worker.asked is not None and request["messages"][-1]["role"] == "system":
            return Refuse(500, "1234", "broken")
        return worker(request)

    worker = Worker(20)
    log, _, _ = work(worker, model=Watched(brain))
    assert log[-1].kind == "run_finished"
    assert notes(log, "summary")[0].data["problems"] == ["ServerFault"]


def test_a_run_that_cannot_afford_a_summary_keeps_the_ledger():
    from agentkit import Limits

    worker = Worker(20)
    store = MemoryStore()
    agent = replace(worker.agent(store=store), limits=Limits(turns=None, cost_usd=0.05))

    async def main():
        async with agent.open() as run:
            settle = run.upkeep.settle

            async def poor(append, log, left=None):
                await settle(append, log, 0.0001)

            run.upkeep.settle = poor
            await run.send("go")
            return run.events

    log = asyncio.run(main())
    assert {body.mode for body in kinds(log, "compacted")} == {"ledger"}
    assert not worker.asked


@pytest.mark.parametrize(
    "signal",
    [
        Refuse(400, "1261", "Prompt exceeds max length"),
        Refuse(400, "1210", "tokens in request more than max tokens allowed"),
        Say("", finish_reason="model_context_window_exceeded"),
    ],
    ids=["1261", "1210", "finish_reason"],
)
def test_an_overflow_is_clipped_compacted_and_sent_once_more(signal):
    def brain(request):
        if len(json.dumps(request["messages"])) > 60_000:
            return signal
        return worker(request)

    worker = Worker(8, size=12_000)
    policy = ContextPolicy(offload=None, clear=None, compact=Compact(tail=2_000))

    async def main():
        async with GLMServer(brain) as server:
            store = MemoryStore()
            agent = worker.agent(policy=policy, store=store, model=GLM(base_url=server.base_url))
            async with agent.open() as run:
                await run.send("Never touch main.py")
                return run.events

    log = asyncio.run(main())
    assert log[-1].kind == "run_finished"
    assert [note.data["count"] for note in notes(log, "overflow")] == [1]
    assert kinds(log, "cleared")[0].reason == "overflow"


def test_one_result_larger_than_the_window_is_clipped_to_a_preview():
    def brain(request):
        if len(json.dumps(request["messages"])) > 30_000:
            return Refuse(400, "1261", "Prompt exceeds max length")
        return worker(request)

    worker = Worker(1, size=39_000)

    async def main():
        async with GLMServer(brain) as server:
            policy = ContextPolicy(offload=None, clear=None)
            agent = worker.agent(policy=policy, model=GLM(base_url=server.base_url))
            async with agent.open() as run:
                await run.send("go")
                return run.events

    log = asyncio.run(main())
    assert log[-1].kind == "run_finished"
    shown = next(iter(kinds(log, "cleared")[0].results.values()))
    assert "shown in part" in shown
    assert len(kinds(log, "tool_finished")[0].content) == 39_000  # the log has it whole


def test_an_unmanaged_run_is_told_of_the_overflow_and_a_second_one_ends_any_run():
    brain = lambda request: Refuse(400, "1261", "Prompt exceeds max length")  # noqa: E731

    async def main(policy):
        async with GLMServer(brain) as server:
            store = MemoryStore()
            agent = Worker(3).agent(policy=policy, store=store, model=GLM(base_url=server.base_url))
            with pytest.raises(PromptTooLong):
                await agent.run("go " * 50)
            return await store.load((await store.runs())[0].run_id), len(server.requests)

    for policy in ("unmanaged", "default"):
        log, _ = asyncio.run(main(policy))
        assert len(notes(log, "overflow")) == 1
        assert kinds(log, "user_message")[0].content == "go " * 50
        assert log[-1].kind == "run_failed"


class Torn(MemoryStore):
    """A store that dies while a compaction is written."""

    healed = False

    async def append(self, run_id, events, expect, claim=None):
        if not self.healed and any(isinstance(event.body, Compacted) for event in events):
            raise StoreError("the disk is gone")
        await super().append(run_id, events, expect, claim)


def test_a_compaction_that_is_killed_changes_nothing_and_the_run_resumes():
    store, worker = Torn(), Worker(20)
    model = Watched(worker)
    with pytest.raises(StoreError):
        work(worker, store=store, model=model)
    run_id = asyncio.run(store.runs())[0].run_id
    log = asyncio.run(store.load(run_id))
    assert not kinds(log, "compacted")
    store.healed = True

    again = Watched(worker)

    async def main():
        result = await worker.agent(store=store, model=again).resume(run_id)
        return result, await store.load(run_id)

    result, log = asyncio.run(main())
    assert result.output == "finished"
    before = [sent[0] for sent in model.sent if sent[2]][-1]
    after = next(sent[0] for sent in again.sent if sent[2])
    assert after[: len(before)] == before
    assert kinds(log, "compacted")


def test_of_two_runs_on_one_log_one_is_told_and_the_log_stays_whole():
    worker, store = Worker(3), MemoryStore()

    async def main():
        agent = worker.agent(store=store, model=Watched(worker))
        async with agent.open() as run:
            await store.append(run.id, [Event(run.id, 1, now(), UserMessage(content="another"))], 1)
            with pytest.raises(SequenceConflict):
                await run.send("mine")
            return await store.load(run.id)

    log = asyncio.run(main())
    assert [body.content for body in kinds(log, "user_message")] == ["another"]


def test_a_summary_in_preparation_is_stopped_when_the_run_ends():
    hang = asyncio.Event

    class Slow(Watched):
        async def ask(self, request, emit=None, early=None):
            if not request.digest:  # asked beside the run
                await hang().wait()
            return await super().ask(request, emit, early)

    async def main():
        worker = Worker(8)
        policy = replace(SMALL, compact=replace(SMALL.compact, lead=4.0, at=9_000))
        async with worker.agent(model=Slow(worker), policy=policy).open() as run:
            result = await run.send("go")
            waiting = [task for task in asyncio.all_tasks() if task.get_name() == "summary"]
            return result, waiting, run.events

    result, waiting, log = asyncio.run(main())
    assert result.output == "finished"
    assert waiting == []
    assert log[-1].kind == "run_finished"


def test_thirty_constraints_and_thirty_artifacts_survive_ten_compactions():
    rules = [
        f"Rule {Worker.word(i)}: you must never use library {Worker.word(i)}." for i in range(30)
    ]
    long = "Background. " * 200  # such a message is shown by its first lines only

    @tool
    def draw(name: str) -> ToolResult:
        """Draw."""
        return ToolResult("drawn", (Artifact(f"{name}.png", "image/png", name.encode()),))

    class Drawing(Worker):
        def __call__(self, request):
            said = super().__call__(request)
            if said.calls and self.count <= 30 and said.calls[0].name == "work":
                return Say("", "t", [*said.calls, Call("draw", {"name": f"plot{self.count}"})])
            return said

    worker = Drawing(160)
    said = [f"{long}\n{rule}" if i % 2 else rule for i, rule in enumerate(rules)]

    class Many(Drawing):
        """Answers every fifth turn, so that all messages are said."""

        def __call__(self, request):
            last = request["messages"][-1]
            answered = last["role"] == "tool" and self.count % 5 == 0
            return Say("next") if answered else super().__call__(request)

    worker = Many(160)
    log, _, store = work(worker, tools=[draw], said=said)
    edits = kinds(log, "compacted")
    assert len(edits) >= 10
    shown = [one["messages"] for one in worker.seen]
    for rule, number in zip(rules, range(30), strict=True):
        first = next(
            at for at, seen in enumerate(shown) if any(rule in str(m["content"]) for m in seen)
        )
        assert all(any(rule in str(m["content"]) for m in seen) for seen in shown[first:]), number
    last = "\n".join(str(m["content"]) for m in shown[-1])
    artifacts = {ref.name: ref for body in kinds(log, "tool_finished") for ref in body.artifacts}
    assert len(artifacts) == 30
    for name, ref in artifacts.items():
        assert f"{name} (image/png" in last
        assert ref.sha256 in last
        assert asyncio.run(store.get_blob(ref.sha256)) == name.removesuffix(".png").encode()


@settings(deadline=None)
@given(st.lists(st.sampled_from("uarm"), max_size=40), st.integers(0, 40), st.integers(0, 2_000))
def test_a_cut_never_tears_a_call_from_its_result(shape, at, tail):
    messages = [System("s"), User("u")]
    for index, kind in enumerate(shape):
        if kind == "u":
            messages.append(User("more"))
        else:
            calls = {"a": 0, "r": 1, "m": 3}[kind]
            ids = [f"c{index}.{n}" for n in range(calls)]
            messages.append(Assistant("", "", tuple(ToolCall(i, "f", "{}") for i in ids)))
            messages += [ToolOutput(i, "r") for i in ids]
    for cut in (find_cut(messages, [100] * len(messages), tail), border(messages, at)):
        if cut is not None:
            assert cut > 1
            assert cut >= len(messages) or not isinstance(messages[cut], ToolOutput)


def test_a_patch_adds_changes_and_removes_and_keeps_ids():
    first = patched({}, parse("+ facts | one\n+ facts | two\n+ next | go\n\nnoise"))
    assert first == {"f1": "one", "f2": "two", "n1": "go"}
    second = patched(first, parse("- f1\n~ n1 | stop\n+ facts | three\n  goes on\n~ x9 | none"))
    assert second == {"f2": "two", "f3": "three goes on", "n1": "stop"}
    assert parse("just words").is_empty


@settings(deadline=None)
@given(st.text())
def test_no_text_breaks_the_parser_or_the_checks(text):
    items = patched({"f1": "old"}, parse(text))
    found = problems(
        items, archive="x", handles=set(), said=["go"], tokens=len, budget=50, replaced=99
    )
    assert isinstance(found, list)


def test_constraints_are_found_in_three_languages_verbatim():
    text = (
        "Here is the task. You must never push to main. Version 1.2 is fine!\n"
        "- Always run `make check` first\n必须使用中文注释。今天天气好。不要删除文件！\n"
        "Нельзя менять схему базы. Погода хорошая. Никогда не трогай main.py."
    )
    assert constraints(text) == (
        "You must never push to main.",
        "Always run `make check` first",
        "必须使用中文注释。",
        "不要删除文件！",
        "Нельзя менять схему базы.",
        "Никогда не трогай main.py.",
    )


@settings(max_examples=25, deadline=None)
@given(
    turns=st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 3_000), st.booleans()), min_size=8, max_size=25
    ),
    policy=st.sampled_from([SMALL, EAGER, POLICIES["default"]]),
)
def test_whatever_a_session_does_every_request_is_valid_and_no_user_message_is_lost(turns, policy):
    check_session(turns, policy)


def check_session(turns, policy):  # noqa: C901 - one story
    """Play a session of (calls, bytes, whether the run is cancelled there) on the strict server."""
    said, requests = [], []
    state = {"at": 0}

    def brain(request):
        fault = request_fault({k: v for k, v in request.items() if k != "tools"} | {"model": "m"})
        assert fault is None, fault
        requests.append(request["messages"])
        if request["messages"][-1]["content"].startswith("[Upkeep"):
            return Say("+ state | all is well")
        at, state["at"] = state["at"], state["at"] + 1
        calls, size, stop = turns[at % len(turns)]
        if at >= len(turns):
            return Say("the end")
        kind = "stop" if stop and calls else "work"
        return Say("", "t", [Call(kind, {"step": at, "size": size}) for _ in range(calls)])

    async def main():
        store = MemoryStore()

        @tool
        async def stop(step: int, size: int) -> str:
            """Hang until cancelled."""
            asyncio.get_running_loop().call_later(0.01, running[0].cancel)
            await asyncio.sleep(60)
            return ""

        @tool
        async def work(step: int, size: int) -> str:
            """Work."""
            if step % 5 == 4:
                raise ValueError(filler(size, step))
            return filler(size, step)

        agent = replace(
            Worker(0).agent(policy=policy, store=store), model=Watched(brain), tools=[stop, work]
        )
        running = []
        async with agent.open() as run:
            while state["at"] < len(turns):
                text = f"message {Worker.word(len(said))} " + "detail " * (50 * (len(said) % 4))
                said.append(text)
                running[:] = [asyncio.ensure_future(run.send(text))]
                await asyncio.wait(running)
                if not running[0].cancelled():
                    running[0].result()
            return run

    run = asyncio.run(main())
    last = "\n".join(str(m["content"]) for m in requests[-1])
    for text in said:
        known = text in last or any(
            run.context.ledger.said[int(place.removeprefix("user:"))].text == text
            and handle[:12] in last
            for handle, place in run.context.ledger.handles.items()
            if place.startswith("user:")
        )
        assert known, text[:40]
