"""Calls that are offered while the model still writes."""

import asyncio

import pytest

from agentkit import GLM, RetryPolicy
from agentkit.errors import ModelError, StreamBroken
from agentkit.messages import User
from agentkit.model import Request
from agentkit.testing import FAILURES, Call, GLMServer, Pace, Refuse, Say, ScriptedModel

TOOLS = (
    b'[{"type":"function","function":{"name":"look","description":"","parameters":'
    b'{"type":"object","properties":{"at":{"type":"string"}}}}}]'
)
THREE = Say("See.", "Hm.", calls=[Call("look", {"at": where * 30}) for where in "abc"])
QUICK = RetryPolicy(base=0.001, cap=0.01)


class Sink:
    """Notes what it is told, and how far the reply was at that moment."""

    def __init__(self):
        self.live, self.seen, self.discarded, self.deltas = [], [], 0, []
        self.offered = asyncio.Event()

    def offer(self, call):
        self.live.append(call)
        self.offered.set()
        self.seen.append(len(self.deltas))

    def discard(self):
        self.discarded += 1
        self.live = []


def ask(script, sink, **options):
    async def main():
        async with GLMServer(script, pace=Pace(chunk_seconds=0.0001)) as server:
            model = GLM(base_url=server.base_url, retry=QUICK, **options)
            request = Request([model.encode(User("x"))], TOOLS, originals=[User("x")])
            return await model.ask(request, sink.deltas.append, sink)

    return asyncio.run(main())


def test_each_call_is_offered_once_as_soon_as_the_next_one_begins():
    sink = Sink()
    reply = ask([THREE], sink)
    assert tuple(sink.live) == reply.message.tool_calls
    assert sink.discarded == 0
    assert sink.seen[0] < sink.seen[1] < sink.seen[2] <= len(sink.deltas)


def test_a_scripted_model_offers_its_calls_too():
    sink = Sink()

    async def main():
        model = ScriptedModel([THREE])
        return await model.ask(Request([model.encode(User("x"))], TOOLS), sink.deltas.append, sink)

    reply = asyncio.run(main())
    assert tuple(sink.live) == reply.message.tool_calls
    assert sink.seen[0] < sink.seen[2]


def test_a_call_that_is_broken_is_not_offered():
    sink = Sink()
    ask([Say(calls=[Call("look", '{"at": '), Call("look", "{}"), Call("look", "[1]")])], sink)
    assert [call.arguments for call in sink.live] == ["{}"]


def test_a_last_call_that_was_cut_is_not_offered():
    sink = Sink()
    ask(
        [Say(calls=[Call("look", "{}"), Call("look", '{"at": "a"}')], finish_reason="length")], sink
    )
    assert [call.arguments for call in sink.live] == ["{}"]


def test_what_broke_off_is_discarded_and_the_next_answer_offers_anew():
    sink = Sink()
    reply = ask([Say(calls=THREE.calls, cut=3), THREE], sink)
    assert sink.discarded == 1
    assert tuple(sink.live) == reply.message.tool_calls


def test_an_answer_begun_anew_in_the_middle_discards_what_came_before():
    sink = Sink()
    reply = ask([Say(calls=THREE.calls, failures=["glued_restart"])], sink)
    assert sink.discarded == 1
    assert tuple(sink.live) == reply.message.tool_calls


def test_a_failure_for_good_leaves_nothing_offered():
    sink = Sink()
    with pytest.raises(StreamBroken):
        ask(lambda _: Say(calls=THREE.calls, cut=3), sink)
    assert sink.live == []
    assert sink.discarded == QUICK.attempts


def test_a_cancelled_request_leaves_nothing_offered():
    sink = Sink()

    async def main():
        async with GLMServer([THREE], pace=Pace(chunk_seconds=0.01)) as server:
            model = GLM(base_url=server.base_url)
            request = Request([model.encode(User("x"))], TOOLS)
            task = asyncio.create_task(model.ask(request, None, sink))
            await sink.offered.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert sink.live == []
    assert sink.discarded == 1


def test_a_fallback_offers_its_own_calls():
    sink = Sink()

    async def main():
        async with GLMServer(lambda _: Refuse(500, "1230")) as broken, GLMServer([THREE]) as whole:
            model = GLM(
                base_url=broken.base_url,
                retry=RetryPolicy(attempts=1),
                fallback=[GLM(base_url=whole.base_url)],
            )
            return await model.ask(Request([model.encode(User("x"))], TOOLS), None, sink)

    reply = asyncio.run(main())
    assert tuple(sink.live) == reply.message.tool_calls


@pytest.mark.parametrize("failure", sorted(FAILURES))
def test_no_damage_offers_a_call_that_no_server_sent(failure):
    """What is offered is sound: an id, a name and an object; at most once each."""
    sink = Sink()
    try:
        ask(lambda _: Say("t", "t", calls=THREE.calls, failures=[failure]), sink)
    except ModelError:
        assert sink.live == []
    for call in sink.live:
        assert call.id
        assert call.name
        assert call.arguments.startswith("{")
    assert len({call.id for call in sink.live}) == len(sink.live)
