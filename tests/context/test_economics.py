"""What an edit costs and saves decides: previews, free edits, summaries, a ledger that is small."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from contexts import SMALL, Worker, filler, folded, fresh, kinds, notes, work

from agentkit import MemoryStore
from agentkit.context import Clear, Compact, ContextPolicy, Offload, ResultReader
from agentkit.context.compact import compose
from agentkit.context.offload import ingest
from agentkit.events import Replied, ToolFinished, ToolStarted, UserMessage
from agentkit.messages import Assistant, ToolCall
from agentkit.usage import Usage


def take(context, *bodies):
    """Let a context take events as a run does; return what would be logged."""
    done = asyncio.run(ingest(context, bodies, MemoryStore().put_blob))
    for body in done:
        context.apply(body)
    return done


def reply(context, at, usage, *, thinking="", name="look"):
    """Add a reply with one call."""
    asked = Assistant("", thinking, (ToolCall(f"c{at}", name, "{}"),))
    context.apply(
        Replied(
            message=asked,
            usage=usage,
            finish_reason="tool_calls",
            model="m",
            cost_usd=0.0,
            request_digest="",
            seconds=0.0,
        )
    )


def call(context, at, result, *, name="look", **arguments):
    """Add a reply with one call and its result; return what of it is logged."""
    used = sum(map(len, context.encoded)) // 4
    reply(context, at, Usage(input=used + len(context.tools) // 4, output=20), name=name)
    start = ToolStarted(call_id=f"c{at}", name=name, arguments=arguments)
    done = ToolFinished(call_id=f"c{at}", name=name, status="ok", content=result)
    return take(context, start, done)


def offloaded(bodies):
    return any(body.kind == "offloaded" for body in bodies)


def test_a_preview_is_made_where_it_is_expected_to_cost_less():
    """A result of 2,500 tokens is worth a preview in a small prompt, not in one of 60,000."""
    middling, huge = filler(10_000), filler(80_000)
    small, large = fresh(), fresh()
    take(small, UserMessage(content="go"))
    take(large, UserMessage(content=filler(240_000, 3)))
    assert offloaded(call(small, 0, middling))
    assert not offloaded(call(large, 0, middling))
    assert offloaded(call(large, 1, huge))


def test_previews_that_are_always_opened_become_rarer_and_unopened_ones_more_frequent():

    def made(opens):
        context = fresh()
        take(context, UserMessage(content=filler(160_000, 3)))
        call(context, 100, filler(300_000, 5))  # from here on `read_result` is there
        count = 0
        for at in range(0, 60, 2):
            bodies = call(context, at, filler(24_000, at))
            count += offloaded(bodies)
            if offloaded(bodies) and opens:
                handle = next(body.handle for body in bodies if body.kind == "offloaded")
                call(context, at + 1, "text", name="read_result", handle=handle[:12])
        return count

    assert made(opens=True) < made(opens=False)


def test_old_results_in_the_tail_go_with_a_compaction_since_that_is_free():
    policy = replace(
        SMALL,
        offload=Offload(limit=50_000),
        clear=Clear(keep=1, least=10**6),
        compact=replace(SMALL.compact, tail=3_000),
    )
    worker = Worker(60)
    log = asyncio.run(run_once(worker, policy))
    compacted = kinds(log, "compacted")
    free = [body for body in kinds(log, "cleared") if body.reason == "compaction"]
    assert len(free) == len(compacted) > 1
    assert all((body.rewritten, body.pays_after) == (0, 0.0) for body in free)
    # What the model got last stays.
    context = folded(log, "s", b"[]", policy)
    assert not context.results()[-1].cleared


async def run_once(worker, policy):
    async with worker.agent(policy=policy).open() as run:
        await run.send("go")
        return run.events


def test_a_summary_that_is_ready_at_the_end_of_a_turn_is_used_in_the_next():
    """The user answers while it is prepared; it is paid for once."""
    worker = Worker(0, size=2_000)
    policy = replace(SMALL, compact=replace(SMALL.compact, at=9_000, lead=8.0))

    async def main():
        async with worker.agent(policy=policy).open() as run:
            for at in range(40):
                worker.turns = worker.count + 1
                await run.send(f"go on with {Worker.word(at)}")
            return run.events

    log = asyncio.run(main())
    compacted = kinds(log, "compacted")
    assert compacted
    assert not any(note.data["problems"] for note in notes(log, "summary"))
    assert len(notes(log, "summary")) <= len(compacted) + 1


def test_a_second_summary_that_fails_leaves_the_ledger_alone():
    class Writer(Worker):
        """Its own words fill the prompt, so that clearing results is of no help."""

        def __call__(self, request):
            said = super().__call__(request)
            return replace(said, text=filler(2_000, self.count)) if said.calls else said

    worker = Writer(60, size=10, summaries=["no patch at all"] * 40)
    log = asyncio.run(run_once(worker, SMALL))
    assert {body.mode for body in kinds(log, "compacted")} == {"ledger"}
    assert len(notes(log, "summary")) >= 4
    assert (
        max(body.usage.input for body in kinds(log, "replied")) < 20_000
    )  # of more than 30,000 that were written
    assert log[-1].kind == "run_finished"


def talk(messages):
    """Return a context in which the user said so many things, and what it said."""
    context = fresh()
    said = [f"Message {at}: never touch file-{at}.py. {filler(160, at)}" for at in range(messages)]
    take(context, UserMessage(content="The goal. " + filler(3_000, 7)))
    for at, text in enumerate(said):
        call(context, at, "ok")
        take(context, UserMessage(content=text))
    return context, said


def test_the_ledger_stays_small_after_hundreds_of_messages_and_loses_none():
    context, said = talk(600)
    composed = compose(context, len(context.messages) - 4, {})
    few = compose(talk(200)[0], len(talk(200)[0].messages) - 4, {})
    # What still grows is the constraints, which stand verbatim.
    constraints = sum(len(f"- (turn 100) never touch file-{at}.py.\n") for at in range(600))
    assert len(composed.content) < len(few.content) + constraints
    assert "The goal. " + filler(3_000, 7) in composed.content
    for at in range(598):
        assert f"never touch file-{at}.py" in composed.content
    assert 'read_result("user_messages")' in composed.content
    reader = ResultReader(MemoryStore(), Offload(page=1_000_000))
    reader.attach(context.ledger, ())
    text = asyncio.run(reader.read_result("user_messages"))
    assert all(each in text for each in said)


def test_sizes_follow_what_the_provider_counted_and_edits_keep_the_sum_right():
    """The estimate of the next prompt after an edit is as good as the sizes of what went."""
    worker = Worker(40)
    policy = ContextPolicy(
        offload=None, clear=None, compact=Compact(at=9_000, tail=1_000, summary=900, floor=1_000)
    )
    log, _, store = work(worker, policy=policy)
    system = asyncio.run(store.get_blob(log[0].body.instructions)).decode()
    tools = asyncio.run(store.get_blob(log[0].body.tools))
    context = folded(log[:1], system, tools, policy)
    errors = []
    for event in log[1:]:
        if event.kind == "replied":
            errors.append(abs(context.tokens - event.body.usage.input) / event.body.usage.input)
        context.apply(event.body)
    assert kinds(log, "compacted")
    assert max(errors[3:]) < 0.04  # the first prompts are tiny


@pytest.mark.parametrize("thinks", [0, 400])
def test_thinking_that_a_provider_leaves_out_does_not_spoil_the_sizes(thinks):
    """Each reply has thinking that the next prompt no longer counts."""
    context = fresh()
    take(context, UserMessage(content=filler(2_000)))
    count = 500
    for at in range(30):
        usage = Usage(input=count, output=50 + thinks, thinking=thinks)
        reply(context, at, usage, thinking="x " * thinks)
        take(context, ToolFinished(call_id=f"c{at}", name="look", status="ok", content="y" * 400))
        count += 50 + 100
    assert abs(context.tokens - count) < 0.15 * count + thinks
