"""The prompt is a fold over the log, grows only at its end, and is always valid."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.context import Context, fold
from agentkit.context.budget import TokenEstimate
from agentkit.context.cache import PrefixCheck
from agentkit.context.transcript import Transcript
from agentkit.events import Noted, Reminder, Replied, ToolFinished, ToolStarted, UserMessage
from agentkit.messages import Assistant, ToolCall
from agentkit.model import wire
from agentkit.model.providers import ZAI
from agentkit.testing.server import request_fault
from agentkit.usage import Usage


def encode(message):
    return wire.encode(message, ZAI)


def replied(text="", calls=(), thinking="", usage=Usage()):
    return Replied(
        message=Assistant(text, thinking, tuple(ToolCall(c, "f", "{}") for c in calls)),
        usage=usage,
        cost_usd=0.0,
        finish_reason="stop",
        model="glm-5",
        request_digest="",
        seconds=0.0,
    )


def finished(call, content="r"):
    return ToolFinished(call_id=call, name="f", status="ok", content=content)


@st.composite
def logs(draw):
    """Any log that a run can leave: whole batches in any order, and cut ones before a user."""
    log = [UserMessage(content=draw(st.text()))]
    ids = iter(range(10_000))
    for _ in range(draw(st.integers(0, 6))):
        calls = [f"c{next(ids)}" for _ in range(draw(st.integers(0, 4)))]
        log.append(replied(draw(st.text()), calls, draw(st.text())))
        done = draw(st.permutations(calls))
        if draw(st.booleans()):
            done = done[: draw(st.integers(0, len(done)))]
        for call in done:
            log += [
                ToolStarted(call_id=call, name="f", arguments={}),
                finished(call, draw(st.text())),
            ]
        if len(done) < len(calls) or not calls:
            log.append(UserMessage(content=draw(st.text())))
        elif draw(st.booleans()):
            log.append(Noted(topic="t", text="n"))
    return log


@settings(deadline=None)
@given(logs())
def test_folding_at_once_and_event_by_event_gives_the_same_bytes(log):
    whole = fold(log, "system", encode)
    grown = Transcript("system", encode)
    for body in log:
        before = list(grown.encoded)
        grown.apply(body)
        assert grown.encoded[: len(before)] == before
    assert grown.encoded == whole.encoded
    assert grown.digest() == whole.digest()


@settings(deadline=None)
@given(logs())
def test_every_prompt_is_a_request_that_the_server_takes(log):
    transcript = fold(log, "system", encode)
    if not transcript.open_calls:
        messages = [json.loads(message) for message in transcript.encoded]
        assert request_fault({"model": "glm-5", "messages": messages}) is None


def test_results_stand_in_call_order_whatever_order_they_finished_in():
    log = [UserMessage(content="u"), replied("", ("a", "b", "c"))]
    log += [finished("c", "3"), finished("a", "1")]
    transcript = fold(log, "s", encode)
    assert transcript.open_calls == ("b",)
    assert len(transcript.messages) == 3
    transcript.apply(finished("b", "2"))
    assert [m.content for m in transcript.messages[3:]] == ["1", "2", "3"]


def test_a_second_result_of_the_same_call_changes_nothing():
    log = [UserMessage(content="u"), replied("", ("a",)), finished("a", "1"), finished("a", "2")]
    assert [m.content for m in fold(log, "s", encode).messages[3:]] == ["1"]


def test_the_prefix_check_names_the_first_message_that_differs():
    check = PrefixCheck()
    messages = [b'{"role":"system"}', b'{"role":"user"}', b'{"role":"tool"}']
    assert check.check(b"[]", messages[:2]) is None
    assert check.check(b"[]", messages) is None
    found = check.check(b"[]", [messages[0], b'{"role":"user","x":1}', messages[2]])
    assert (found.index, found.role) == (1, "user")
    assert found.lost_bytes == len(messages[1]) + len(messages[2])
    assert check.check(b"[1]", []).index == -1
    check = PrefixCheck()
    check.check(b"[]", messages)
    assert check.check(b"[]", messages[:1]).index == 1


def test_a_context_never_breaks_its_own_prefix_and_its_digest_follows_the_prompt():
    context = Context("system", b"[]", encode)
    context.apply(UserMessage(content="u"))
    first, moved = context.request()
    assert moved is None
    same, _ = context.request()
    assert same.digest == first.digest
    for body in (replied("", ("a",)), finished("a")):
        context.apply(body)
    second, moved = context.request()
    assert moved is None
    assert second.digest != first.digest


def test_the_token_estimate_is_exact_at_the_last_usage_and_grows_with_what_follows():
    context = Context("s" * 1000, b"", encode)
    assert 200 < context.tokens < 400
    size = len(context.encoded[0])
    context.apply(replied("", ("a",), usage=Usage(input=size // 2, output=70)))
    assert context.tokens == size // 2 + 70
    context.apply(finished("a", "r" * 1000))
    assert abs(context.tokens - size // 2 - 70 - 530) < 30
    known = context.tokens
    context.apply(replied("x", usage=Usage()))  # without a usage there is nothing to learn
    assert known < context.tokens < known + 60


def test_a_paste_is_bounded_from_above():
    estimate = TokenEstimate()
    estimate.anchor(4_000, Usage(input=1_000), [4_000, 0])
    assert estimate.of(40_000) == 10_000
    assert estimate.of(100_000) == 40_000


def test_a_reminder_rides_at_the_end_of_the_last_result_and_is_never_the_users():
    log = [
        UserMessage(content="go"),
        replied(calls=["a", "b"]),
        finished("b", "two"),
        Reminder(topic="plan", content="P1"),
        finished("a", "one"),
        Reminder(topic="loop", content="P2"),
        replied("done"),
        Reminder(topic="output", content="not JSON"),
    ]
    messages = [json.loads(each) for each in fold(log, "s", encode).encoded]
    assert [m["role"] for m in messages] == (
        ["system", "user", "assistant", "tool", "tool", "assistant", "system"]
    )
    assert messages[3]["content"] == "one"
    assert messages[4]["content"] == "two\n\nP1\n\nP2"
    assert messages[6]["content"] == "not JSON"


def test_a_reminder_changes_the_digest_and_the_size_but_moves_no_prefix():
    log = [UserMessage(content="go"), replied(calls=["a"]), finished("a", "one")]
    context = Context("s", b"", encode)
    for body in log:
        context.apply(body)
    before, size = context.request()[0].digest, context.tokens
    context.apply(Reminder(topic="plan", content="x" * 4000))
    request, moved = context.request()
    assert request.digest != before
    assert context.tokens > size + 500
    assert moved is not None  # the reminder came after the request: a bug of its caller, and seen
