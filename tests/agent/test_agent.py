"""Agents end to end, against the GLM server or a scripted model."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit import (
    GLM,
    Agent,
    Artifact,
    Limits,
    MemoryStore,
    RetryPolicy,
    SQLiteStore,
    Step,
    ToolError,
    ToolResult,
    tool,
    update_plan,
)
from agentkit.agent import plan_of
from agentkit.agent.agent import INSTRUCTIONS
from agentkit.agent.opening import UNTRUSTED
from agentkit.context import fold
from agentkit.errors import (
    BalanceExhausted,
    ConfigError,
    LimitExceeded,
    PrefixMoved,
    StoreError,
    StreamBroken,
)
from agentkit.events import Replied, TextDelta, ThinkingDelta, ToolFinished
from agentkit.messages import Assistant, Image, System, Text, ToolOutput, User
from agentkit.model import wire
from agentkit.model.providers import ZAI
from agentkit.testing import Call, GLMServer, Refuse, Say, ScriptedModel


@tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
def fail(reason: str) -> str:
    """Fail."""
    raise ToolError(f"failed: {reason}")


@tool
def unserialisable() -> object:
    """Return what no text can hold."""
    return object()


@tool
async def draw() -> ToolResult:
    """Draw."""
    return ToolResult("drawn", (Artifact("a.png", "image/png", b"png"),))


SYSTEM = f"{INSTRUCTIONS}\n\n{UNTRUSTED}"

TOOLS = [add, fail, unserialisable, draw, update_plan]


def run(script, *, content="go", events=None, **options):
    """Run an agent on a script; return the result, the model and the store."""
    model = ScriptedModel(script)
    store = options.pop("store", MemoryStore())
    agent = Agent(model, tools=TOOLS, store=store, strict=True, **options)
    result = asyncio.run(agent.run(content, events.append if events is not None else None))
    return result, model, store


def last_log(store):
    async def main():
        (summary,) = await store.runs()
        return await store.load(summary.run_id)

    return asyncio.run(main())


def test_an_answer_without_tools_is_the_output():
    result, model, store = run(["hello"])
    assert result.output == "hello"
    assert result.messages == (
        System(SYSTEM),
        User("go"),
        Assistant("hello"),
    )
    assert (result.turns, len(model.requests)) == (1, 1)
    assert [event.kind for event in last_log(store)] == [
        "run_started",
        "user_message",
        "replied",
        "run_finished",
    ]


def test_parallel_calls_come_back_in_call_order_with_all_their_faults_told():
    calls = [
        Call("add", {"a": 1, "b": 2}),
        Call("ad", {"a": 1}),
        Call("add", '{"a": 1, "b":'),
        Call("add", {"a": "one", "b": 2}),
        Call("add", {"a": 1}),
        Call("add", {"a": 1, "b": 2, "c": 3}),
        Call("fail", {"reason": "tired"}),
        Call("unserialisable", {}),
        Call("draw", ""),
    ]
    result, model, _ = run([Say(calls=calls), "done"])
    outputs = [m.content for m in result.messages if isinstance(m, ToolOutput)]
    assert len(outputs) == len(calls)
    assert outputs[0] == "3"
    assert "add" in outputs[1]
    assert "stop" in outputs[2]
    assert "a" in outputs[3]
    assert "b" in outputs[4]
    assert "c" in outputs[5]
    assert "tired" in outputs[6]
    assert outputs[8] == "drawn"
    assert [artifact.data for artifact in result.artifacts] == [b"png"]
    ids = [call["id"] for call in model.requests[1][2]["tool_calls"]]
    assert [m["tool_call_id"] for m in model.requests[1][3:]] == ids


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.lists(
            st.tuples(
                st.sampled_from(["add", "fail", "draw", "unserialisable", "nobody", "a b", ""]),
                st.one_of(
                    st.text(max_size=20),
                    st.sampled_from(['{"a":1,"b":2}', '{"a":1', "[]", "null", '{"reason":""}']),
                ),
            ),
            min_size=1,
            max_size=5,
        ),
        max_size=4,
    )
)
def test_no_fault_of_the_model_ends_a_run_or_makes_an_invalid_request(turns):
    script = [Say(calls=[Call(*call) for call in calls]) for calls in turns]

    async def main():
        async with GLMServer([*script, "end"]) as server:
            agent = Agent(GLM(base_url=server.base_url), tools=TOOLS, store=MemoryStore())
            return await agent.run("go")

    result = asyncio.run(main())
    assert result.output == "end"
    assert result.turns == len(turns) + 1


def test_the_plan_is_a_fold_over_the_log():
    steps = [{"title": "look", "status": "done"}, {"title": "tell", "status": "in_progress"}]
    script = [
        Say(calls=[Call("update_plan", {"steps": [{"title": "look"}]})]),
        Say(calls=[Call("update_plan", {"steps": steps})]),
        "done",
    ]
    result, model, store = run(script)
    assert result.plan == (Step("look", "done"), Step("tell", "in_progress"))
    log = last_log(store)
    assert plan_of(event.body for event in log) == result.plan
    assert plan_of(event.body for event in log[:5]) == (Step("look"),)
    assert "1 of 2 steps done" in model.requests[2][-1]["content"]


def test_a_conversation_keeps_one_log_and_one_growing_prefix():
    model = ScriptedModel(["one", Say(calls=[Call("add", {"a": 1, "b": 1})]), "two"])

    async def main():
        store = MemoryStore()
        async with Agent(model, tools=TOOLS, store=store, strict=True).open() as talk:
            first = await talk.send("first")
            second = await talk.send("second")
        return first, second, await store.load(talk.id)

    first, second, log = asyncio.run(main())
    assert (first.output, second.output) == ("one", "two")
    assert (first.turns, second.turns) == (1, 3)
    assert [event.kind for event in log].count("run_finished") == 2
    for before, after in zip(model.requests, model.requests[1:], strict=False):
        assert after[: len(before)] == before


def test_a_log_read_from_disk_folds_to_the_bytes_that_were_sent(tmp_path):
    sent = []

    def brain(request):
        sent.append(request["messages"])
        if len(sent) < 4:
            return Say("so", "hm", [Call("add", {"a": len(sent), "b": 1}), Call("nobody", "{")])
        return Say("done")

    store = SQLiteStore(tmp_path)
    run(brain, store=store)
    bodies = [event.body for event in last_log(store)]
    asyncio.run(store.close())
    for count in range(1, 5):
        replies = [at for at, body in enumerate(bodies) if isinstance(body, Replied)]
        transcript = fold(
            bodies[: replies[count - 1]],
            SYSTEM,
            lambda message: wire.encode(message, ZAI),
        )
        assert [json.loads(message) for message in transcript.encoded] == sent[count - 1]


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        (Limits(turns=3), "turns"),
        (Limits(cost_usd=0.000001), "cost_usd"),
        (Limits(seconds=0.0001), "seconds"),
    ],
)
def test_a_limit_ends_the_run_with_a_typed_error_in_the_log(limits, name):
    store = MemoryStore()
    forever = Say(calls=[Call("add", {"a": 1, "b": 1})])
    with pytest.raises(LimitExceeded, match="Limits") as caught:
        run(lambda _: forever, limits=limits, store=store)
    assert caught.value.limit == name
    last = last_log(store)[-1]
    assert (last.kind, last.body.error) == ("run_failed", "LimitExceeded")


@pytest.mark.parametrize("wrong", [{"turns": 0}, {"cost_usd": -1}, {"seconds": 0}])
def test_a_limit_that_allows_nothing_is_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Limits(**wrong)


def test_a_failing_model_fails_the_run_with_its_error_in_the_log():
    async def main():
        store = MemoryStore()
        async with GLMServer(lambda _: Refuse(429, "1113", "no balance")) as server:
            agent = Agent(GLM(base_url=server.base_url), store=store)
            with pytest.raises(BalanceExhausted):
                await agent.run("go")
        return store

    assert last_log(asyncio.run(main()))[-1].body.error == "BalanceExhausted"


def test_a_stream_that_is_always_cut_fails_the_run_and_the_log_has_no_half_reply():
    async def main():
        store = MemoryStore()
        async with GLMServer(lambda _: Say("a long answer " * 20, cut=4)) as server:
            model = GLM(base_url=server.base_url, retry=RetryPolicy(base=0.001))
            with pytest.raises(StreamBroken):
                await Agent(model, store=store).run("go")
        return store

    kinds = [event.kind for event in last_log(asyncio.run(main()))]
    assert kinds == ["run_started", "user_message", "run_failed"]


def test_cancelling_a_run_pairs_every_call_and_marks_the_run_interrupted():
    @tool
    async def hang() -> str:
        """Hang."""
        await asyncio.sleep(60)
        return "never"

    async def main():
        store = MemoryStore()
        model = ScriptedModel([Say(calls=[Call("hang", ""), Call("add", {"a": 1, "b": 1})])])
        started = asyncio.Event()

        def watch(event):
            if isinstance(getattr(event, "body", None), ToolFinished):
                started.set()

        agent = Agent(model, tools=[hang, add], store=store)
        task = asyncio.create_task(agent.run("go", watch))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return store

    log = last_log(asyncio.run(main()))
    finished = {
        event.body.name: event.body.status for event in log if event.kind == "tool_finished"
    }
    assert finished == {"add": "ok", "hang": "cancelled"}
    assert log[-1].kind == "run_interrupted"


def test_streaming_yields_deltas_and_durable_events_in_order():
    async def main():
        model = ScriptedModel([Say("the answer", "the thought")])
        return [event async for event in Agent(model, store=MemoryStore()).stream("go")]

    events = asyncio.run(main())
    assert "".join(e.text for e in events if isinstance(e, ThinkingDelta)) == "the thought"
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "the answer"
    assert events[-1].kind == "run_finished"


def test_leaving_a_stream_early_cancels_its_run():
    async def main():
        store = MemoryStore()
        stream = Agent(ScriptedModel(["a" * 100]), store=store).stream("go")
        async for event in stream:
            if isinstance(event, TextDelta):
                break
        await stream.aclose()
        return store, asyncio.all_tasks()

    store, tasks = asyncio.run(main())
    assert len(tasks) == 1
    assert last_log(store)[-1].kind in {"run_interrupted", "run_finished"}


def test_a_stream_raises_the_error_of_its_run_at_its_end():
    async def main():
        agent = Agent(ScriptedModel([]), store=MemoryStore())
        async for _ in agent.stream("go"):
            pass

    with pytest.raises(AssertionError, match="scripted answers"):
        asyncio.run(main())


def test_run_sync_works_outside_a_loop_and_says_what_to_do_inside_one():
    agent = Agent(ScriptedModel(["a", "b"]), store=MemoryStore())
    assert agent.run_sync("go").output == "a"

    async def inside():
        agent.run_sync("go")

    with pytest.raises(ConfigError, match="await"):
        asyncio.run(inside())


def test_two_tools_of_one_name_are_refused_by_name():
    @tool(name="add")
    def other() -> str:
        """Do something else."""
        return ""

    with pytest.raises(ConfigError, match="add"):
        Agent(ScriptedModel([]), tools=[add, other], store=MemoryStore()).run_sync("go")


def test_a_moved_prefix_is_noted_and_in_strict_mode_raised():
    class Forgetful(ScriptedModel):
        def encode(self, message):
            return super().encode(message)

    def script():
        return [Say(calls=[Call("add", {"a": 1, "b": 1})]), "done"]

    async def main(*, strict):
        store = MemoryStore()
        agent = Agent(Forgetful(script()), tools=[add], store=store, strict=strict)
        async with agent.open() as talk:

            def meddle(_):
                talk.context._transcript.encoded[0] = b'{"role":"system","content":"moved"}'

            talk._subscriber = lambda event: (
                meddle(event) if getattr(event, "kind", "") == "tool_finished" else None
            )
            try:
                await talk.send("go")
            finally:
                log = await store.load(talk.id)
                (note,) = [event.body for event in log if event.kind == "noted"]
                assert (note.topic, note.data["index"]) == ("prefix_break", 0)

    asyncio.run(main(strict=False))
    with pytest.raises(PrefixMoved, match="message 0"):
        asyncio.run(main(strict=True))


def test_a_log_that_cannot_be_written_stops_the_run_before_its_next_effect():
    ran = []

    @tool
    async def effect() -> str:
        """Have an effect."""
        ran.append(1)
        return ""

    class Full(MemoryStore):
        async def append(self, run_id, events, expect, claim=None):
            if any(event.kind == "tool_started" for event in events):
                raise StoreError("disk full")
            await super().append(run_id, events, expect, claim)

    with pytest.raises(StoreError, match="disk full"):
        Agent(
            ScriptedModel([Say(calls=[Call("effect", "")])]), tools=[effect], store=Full()
        ).run_sync("go")
    assert not ran


def test_saved_artifacts_overwrite_nothing_and_stay_in_their_folder(tmp_path):
    result, _, _ = run([Say(calls=[Call("draw", "")]), "done"])
    first, second = result.save_artifacts(tmp_path), result.save_artifacts(tmp_path)
    assert [path.name for path in (*first, *second)] == ["a.png", "a-2.png"]
    assert first[0].read_bytes() == b"png"


def test_the_usage_of_a_run_is_the_sum_of_its_replies():
    result, _, store = run([Say(calls=[Call("add", {"a": 1, "b": 1})]), "done"])
    replies = [event.body for event in last_log(store) if event.kind == "replied"]
    for name, value in asdict(result.usage).items():
        assert value == sum(getattr(reply.usage, name) for reply in replies)
    assert result.cost_usd == pytest.approx(sum(reply.cost_usd for reply in replies))


def test_a_user_message_that_is_no_text_is_refused_before_it_reaches_the_log():
    store = MemoryStore()
    with pytest.raises(ConfigError, match="UTF-8"):
        run(["never"], content="caf\udce9", store=store)
    assert [event.kind for event in last_log(store)] == ["run_started"]


def test_an_image_for_a_text_model_is_refused_before_it_reaches_the_log():
    async def main():
        async with GLMServer(["still here"]) as server:
            store = MemoryStore()
            async with Agent(GLM(base_url=server.base_url), store=store).open() as talk:
                with pytest.raises(ConfigError, match="glm-5v-turbo"):
                    await talk.send((Text("see"), Image("https://example.org/a.png")))
                assert (await talk.send("no picture")).output == "still here"
            return await store.load(talk.id)

    kinds = [event.kind for event in asyncio.run(main())]
    assert kinds == ["run_started", "user_message", "replied", "run_finished"]
