"""Damage of every kind, drawn at random: no answer makes the client fail oddly or send nonsense."""

import contextlib
import json
import re

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from survival import TOOLS, ask

from agentkit.errors import EmptyReply, ModelError
from agentkit.messages import Assistant, ToolCall
from agentkit.model.collect import Collector
from agentkit.model.declared import Declared
from agentkit.model.leaked import Held, find, without
from agentkit.model.providers import ZAI
from agentkit.model.repair import mend
from agentkit.model.repetition import NEVER_CUT, RepetitionPolicy, repeated
from agentkit.model.sse import EventReader
from agentkit.model.wire import encode
from agentkit.testing import FAILURES, Call, Say
from agentkit.testing.failures import damaged, frames
from agentkit.testing.prompt import call_text

DECLARED = Declared(TOOLS)
SAY = Say(
    'Both at once: data: {"x": 1} and <b>.',
    "Let me think\nabout it.",
    [Call("get_weather", {"city": "Paris"}), Call("get_time", {}), Call("pick", {"items": [1]})],
)


def collected(chunks):
    """Return the reply to the bytes of a stream, or raise what the collector raises."""
    reader, collector = EventReader(), Collector(None, TOOLS)
    for chunk in chunks:
        for payload in reader.feed(chunk):
            collector.feed(payload)
            if collector.cut:
                return collector.reply()
    for payload in reader.finish():
        collector.feed(payload)
    return collector.reply()


def check(reply):
    """Whatever came, the reply has its types and can be sent back."""
    message = reply.message
    assert message.content.strip() or message.tool_calls
    ids = [call.id for call in message.tool_calls]
    assert all(isinstance(one, str) and one for one in ids)
    assert len(set(ids)) == len(ids)
    assert all(isinstance(fault, str) for fault in reply.faults)
    body = orjson.loads(encode(message, ZAI))
    for call in body.get("tool_calls", ()):
        assert isinstance(orjson.loads(call["function"]["arguments"]), dict)
        assert re.fullmatch("[a-zA-Z0-9_-]{1,64}", call["function"]["name"])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_loss_doubling_and_order_of_events_gives_a_valid_reply_or_a_model_error(data):
    names = data.draw(st.lists(st.sampled_from(sorted(FAILURES)), max_size=2))
    names = [name for name in names if not name.startswith("repetition")]
    request = {"model": "glm-5", "tool_stream": data.draw(st.booleans())}
    try:
        say = damaged(Say(SAY.text, SAY.thinking, SAY.calls, failures=names))
        if not isinstance(say, Say):
            return
        events, _ = frames(request, say, {"prompt_tokens": 9}, data.draw(st.integers(1, 40)))
    except (ValueError, LookupError, TypeError, AttributeError):
        return  # two failures that cannot be had together
    picks = st.integers(0, len(events) - 1)
    for at in sorted(data.draw(st.lists(picks, max_size=6, unique=True)), reverse=True):
        events[at : at + 1] = [events[at]] * data.draw(st.sampled_from([0, 0, 2]))
    size = data.draw(st.integers(1, 500))
    body = b"".join(events)
    with contextlib.suppress(ModelError):
        check(collected([body[at : at + size] for at in range(0, len(body), size)]))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_cut_in_the_bytes_gives_a_valid_reply_or_a_model_error(data):
    events, _ = frames({"model": "glm-5"}, SAY, {"prompt_tokens": 9}, 12)
    body = b"".join(events)
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 400)))
    with contextlib.suppress(ModelError):
        check(collected([body[:start], body[end:]]))


NAMES = (
    "id model choices delta message index finish_reason usage content reasoning tool_calls "
    "function name arguments error code prompt_tokens prompt_tokens_details text"
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "stop", "a<b", "1305"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(NAMES.split()), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(json_values, max_size=4), st.booleans())
def test_json_of_any_shape_gives_a_valid_reply_or_a_model_error(values, streamed):
    values = [{"choices": [value]} for value in values] + values
    collector = Collector(lambda delta: None, TOOLS)
    try:
        for value in values:
            if streamed:
                collector.feed(orjson.dumps(value))
            else:
                collector.whole(value)
        collector.feed(b"[DONE]")
        check(collector.reply())
    except ModelError:
        pass


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<"), max_size=20)
arguments = st.fixed_dictionaries(
    {"city": texts}, optional={"days": st.integers(-(2**40), 2**40), "exact": st.booleans()}
)
calls = st.lists(
    st.one_of(
        arguments.map(lambda given: ("get_weather", given)),
        st.just(("get_time", {})),
        st.tuples(
            st.just("pick"),
            st.fixed_dictionaries({"items": st.lists(st.integers(0, 9)), "note": texts}),
        ).filter(lambda call: call[1]["note"].strip() != "null"),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=200, deadline=None)
@given(calls, st.sampled_from(["", "I look.", "a < b\n"]), st.sampled_from(["", "\n"]))
def test_calls_written_as_glm_writes_them_are_recovered_as_they_were(wanted, before, between):
    text = before + between.join(call_text(*call) for call in wanted)
    found = find(text, DECLARED, whole=True)
    assert [(call.name, call.arguments) for call in found] == wanted
    assert without(text, found) == before.strip()


TAGS = (
    *("<tool_call>", "</tool_call>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"),
    *("get_weather", "get_time", "city", "{", '"name"', "```", "`", "\n", "<|user|>", "Paris", "<"),
)
tags = st.sampled_from(TAGS)


@settings(max_examples=400, deadline=None)
@given(st.lists(tags | st.text(max_size=5), max_size=15), st.booleans(), st.integers(1, 9))
def test_no_text_makes_the_search_for_calls_fail_or_overlap(parts, whole, size):
    text = "".join(parts)
    found = find(text, DECLARED, whole=whole)
    at = 0
    for call in found:
        assert call.name in DECLARED
        assert isinstance(orjson.loads(call.json()), dict)
        assert at <= call.start < call.end <= len(text)
        at = call.end
    assert len(without(text, found)) <= len(text) + 2 * len(found)
    held = Held(DECLARED)
    shown = "".join(held.push(text[n : n + size]) for n in range(0, len(text), size))
    assert shown + text[len(text) - held.size :] == text


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["get_weather", "get_weather</arg_key>", "get", " x ", "<tool_call>get_time"]),
    st.lists(tags | st.sampled_from(['{"city":"a"}', '"', ":", "}", ",", "1", "a"]), max_size=8),
    st.booleans(),
)
def test_no_call_makes_the_mending_fail(name, pieces, whole):
    mended, faults = mend(name, pieces, DECLARED, whole=whole)
    assert mended
    if not faults:
        assert mended == [(name, "".join(pieces))]


@pytest.mark.parametrize(
    "text",
    [
        "Write `<tool_call>get_time</tool_call>` to call it.",
        "So:\n```\n<tool_call>get_time</tool_call>\n```\n",
        "<tool_call>delete_all</tool_call>",
        "<tool_call>get_time_zone</tool_call>",
        "A <tool_call> is a tag, <arg_key> is another.",
    ],
)
def test_text_about_calls_stays_text(text):
    asked = ask([text])
    assert asked.reply.message == Assistant(text)
    assert asked.shown() == text


def test_a_call_whose_end_is_missing_is_recovered_only_from_a_whole_answer():
    text = "<tool_call>get_weather<arg_key>city</arg_key><arg_value>Par"
    assert ask([text]).given == [("get_weather", {"city": "Par"})]
    cut = ask([Say(text, finish_reason="length")])
    assert cut.reply.message == Assistant(text)


def test_a_call_in_the_thinking_beside_an_answer_was_a_draft():
    thinking = "Shall I? <tool_call>get_time</tool_call> No."
    asked = ask([Say("It is late.", thinking)])
    assert asked.reply.message == Assistant("It is late.", thinking)
    assert asked.thinking_shown() == thinking


def test_a_call_that_was_sent_and_leaked_is_one_call():
    call = Call("get_weather", {"city": "Paris"})
    text = call_text(call.name, call.arguments)
    assert ask([Say(text, calls=[call])]).given == [("get_weather", {"city": "Paris"})]


def test_a_value_is_read_as_its_schema_wants_it():
    read = {
        ("pick", "note", "5"): "5",
        ("pick", "note", "null"): None,
        ("pick", "note", "None"): "None",
        ("pick", "items", "[1, 2]"): [1, 2],
        ("get_weather", "city", "5"): "5",
        ("get_weather", "exact", "True"): True,
        ("get_weather", "days", "5"): 5,
        ("get_weather", "days", "five"): "five",
        ("get_weather", "unknown", "[1]"): [1],
    }
    for (tool, key, text), value in read.items():
        assert DECLARED.value(tool, key, text) == value


@pytest.mark.parametrize(
    ("pieces", "wanted"),
    [
        (['{"a":1}', "{}"], ['{"a":1}']),
        (["{}", '{"a":1}'], ['{"a":1}']),
        (['{"a":1}}'], ['{"a":1}']),
        (['{"a":1}</tool_call>'], ['{"a":1}']),
        (['{"a":1},\n{"a":2}'], ['{"a":1}', '{"a":2}']),
        (['"{\\"a\\":1}"'], ['{"a":1}']),
        (['{"a":"x\ny"}'], ['{"a":"x\\ny"}']),
        (['{"a":"h', '{"a":"hello"}'], ['{"a":"hello"}']),
        (['{"a"', '{"a":"hel', '{"a":"hello"}'], ['{"a":"hello"}']),
        (['{"a": Paris, "b": True, "c": x y"}'], ['{"a": "Paris", "b": true, "c": "x y"}']),
        (['{"a": 1, "b": '], None),
        (['{"a": "x'], None),
        (['{"a": 12'], None),
        (['{"a": {"b": "x"'], None),
        (["[1, 2]"], None),
        (["not json"], None),
        (['{"a": NaN}'], None),
        ([""], None),
    ],
)
def test_arguments_are_mended_only_where_they_have_one_reading(pieces, wanted):
    mended, faults = mend("f", pieces, Declared(), whole=True)
    if wanted is None:
        wanted = ["".join(pieces)]
        assert not faults
    assert mended == [("f", text) for text in wanted]


def test_a_missing_brace_is_not_added_to_an_answer_that_was_cut():
    assert mend("f", ['{"a":"x"'], Declared(), whole=False) == ([("f", '{"a":"x"')], [])


def test_a_short_name_is_completed_only_when_it_is_certain():
    def name(start, given):
        return mend(start, [json.dumps(given)], DECLARED, whole=True)[0][0][0]

    assert name("get_w", {"city": "Paris"}) == "get_weather"
    assert name("get_", {"city": "Paris"}) == "get_"  # get_time too
    assert name("get_w", {"town": "Paris"}) == "get_w"
    assert name("get_w", {}) == "get_w"
    assert name("wr", {"path": "a", "text": "b"}) == "wr"


@pytest.mark.parametrize(
    ("tail", "period"),
    [
        ("again and again. " * 400, 17),
        ("\n" * 7000, 1),
        ("".join(f"line {n} of the passage. " for n in range(100)) * 3, None),
        ("again and again. " * 100, None),
        ("".join(f"{n}, " for n in range(4000)), None),
        ("-" * 200 + "text " * 3, None),
    ],
)
def test_a_loop_is_told_from_text_that_only_looks_like_one(tail, period):
    assert repeated(("Once upon a time. " + tail)[-16_000:], RepetitionPolicy()) == period


def test_a_long_passage_that_repeats_is_a_loop_too():
    passage = "".join(f"step {n}: look at file {n * 7}. " for n in range(80))
    assert repeated((passage * 9)[-16_000:], RepetitionPolicy()) == len(passage)


def test_a_loop_is_cut_long_before_its_end_and_told():
    asked = ask([Say("Well. " + "round and round, " * 20_000)])
    assert asked.reply.finish_reason == "repetition"
    assert asked.reply.message.content.startswith("Well. round and round")
    assert len(asked.reply.message.content) < 12_000
    assert asked.log[0].seconds is None  # the server could not say it all
    assert "usage is not known" in asked.faults


def test_a_loop_may_be_allowed_and_a_shorter_one_forbidden():
    text = "again " * 2000
    assert ask([text]).reply.finish_reason == "repetition"
    assert ask([text], repetition=NEVER_CUT).reply.message.content == text
    strict = RepetitionPolicy(chars=200, every=100)
    cut = ask(["again " * 100], repetition=strict).reply
    assert cut.finish_reason == "repetition"
    assert len(cut.message.content) < 600


def test_an_error_inside_a_stream_of_openrouter_counts_as_its_status():
    collector = Collector()
    event = {"error": {"code": 502, "message": "upstream"}, "choices": [{"finish_reason": "error"}]}
    with pytest.raises(ModelError, match="HTTP 502") as caught:
        collector.feed(orjson.dumps(event))
    assert caught.value.retryable


@pytest.mark.parametrize(
    "lines",
    [
        b'\xef\xbb\xbfdata: {"a":1}\n\n',
        b'{"a":1}\n\n',
        b'{"a":1}',
        b'data:{"a":\ndata: 1}\n\n',
        b'data: {"a":\n1}\n\n',
        b'event: x\nid\nretry: 5\n: no\ndata: {"a":1}\n\n',
    ],
)
def test_an_event_is_read_in_every_spelling(lines):
    for cut in range(len(lines) + 1):
        reader = EventReader()
        events = [*reader.feed(lines[:cut]), *reader.feed(lines[cut:]), *reader.finish()]
        assert [orjson.loads(event) for event in events] == [{"a": 1}]


def test_a_model_may_write_stream_events_of_its_own():
    text = 'data: {"choices": []}\n\ndata: [DONE]\n\n'
    assert ask([text], chunk_size=500).reply.message.content == text


@pytest.mark.parametrize("pieces", [["get", "_weather"], ["get", "get_weather"]])
def test_a_name_in_pieces_is_put_together(pieces):
    collector = Collector(None, TOOLS)
    for piece in pieces:
        call = {"index": 0, "function": {"name": piece}}
        collector.feed(orjson.dumps({"choices": [{"delta": {"tool_calls": [call]}}]}))
    call = {"index": 0, "function": {"arguments": '{"city":"Paris"}'}}
    end = {"choices": [{"delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}
    collector.feed(orjson.dumps(end))
    (found,) = collector.reply().message.tool_calls
    assert (found.name, found.arguments) == ("get_weather", '{"city":"Paris"}')


def test_a_new_id_for_each_piece_makes_no_new_call():
    collector = Collector(None, TOOLS)
    for number, (name, text) in enumerate([("get_weather", '{"city"'), (None, ':"Paris"}')]):
        function = {"name": name, "arguments": text}
        call = {"index": 0, "id": f"c{number}", "function": function}
        choice = {"delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}
        collector.feed(orjson.dumps({"choices": [choice]}))
    assert collector.reply().message.tool_calls == (
        ToolCall("c0", "get_weather", '{"city":"Paris"}'),
    )


def test_whitespace_is_no_answer():
    assert type(ask(lambda _: Say("\n \n")).error) is EmptyReply
