"""Every failure mode of servers of GLM, by its row of the protocol page and its name.

Rows that cannot reach a client of chat completions are named with the reason in NOT_HERE.
"""

from dataclasses import dataclass, field

import pytest
from survival import ask

from agentkit.errors import (
    ContentRefused,
    EmptyReply,
    PromptTooLong,
    ServerFault,
    StreamBroken,
    ToolCallLost,
)
from agentkit.testing import FAILURES, Call, Say

PARIS = Call("get_weather", {"city": "Paris", "days": 3})
ROME = Call("get_weather", {"city": "Rome"})
FILE = Call("write_file", {"path": "a.xml", "text": "<a>x</arg_value></tool_call>y</a>"})
PICK = Call("pick", {"items": [1, 2], "note": "x"})
TIME = Call("get_time", {})
SURE = Call("get_weather", {"city": "Paris", "exact": True})


@dataclass
class Mode:
    """A failure and what the user gets of it: a reply, or an error after so many requests."""

    row: int
    failure: str
    say: Say
    calls: list = field(default_factory=list)
    text: str = ""
    thinking: str = ""
    fault: str = ""
    error: type | None = None
    reason: str = ""
    options: dict = field(default_factory=dict)


def said(call):
    return (call.name, dict(call.arguments))


W = said(PARIS)
HELLO = "Hello, this is the whole answer."
THOUGHT = "I should look, and look again."
MODES = [
    Mode(1, "zero_argument_crash", Say(calls=[TIME]), error=ServerFault),
    Mode(2, "call_lost", Say(calls=[TIME]), error=ToolCallLost),
    Mode(2, "call_lost", Say("Let me see.", calls=[TIME]), error=ToolCallLost),
    Mode(3, "name_cut", Say(calls=[FILE]), [said(FILE)], fault="cut short"),
    Mode(4, "arguments_lost", Say(calls=[PARIS]), [("get_weather", '{"cityParis","days":3}')]),
    Mode(5, "call_in_thinking", Say("", "I think", [PARIS]), [W], thinking="I think",
         fault="stood as text in the thinking"),
    Mode(5, "call_in_thinking", Say("", "I think", [TIME, PARIS]), [said(TIME), W],
         thinking="I think", fault="2 tool calls"),
    Mode(6, "answer_in_thinking", Say(HELLO), text=HELLO, fault="answer was in the thinking"),
    Mode(7, "key_glued_to_name", Say(calls=[PARIS]), [W], fault="--tool-call-parser glm47"),
    Mode(8, "tag_in_name", Say(calls=[TIME]), [said(TIME)], fault="template t"),
    Mode(8, "tag_in_name", Say(calls=[PARIS]), [W], fault="template t"),
    Mode(9, "call_in_content", Say("Looking.", calls=[PARIS, TIME]), [W, said(TIME)],
         text="Looking.", fault="stood as text in the content"),
    Mode(9, "call_in_name", Say(calls=[PARIS]), [W], fault="template text"),
    Mode(10, "strings_unquoted", Say(calls=[PARIS]), [W], fault="lacked its quotes"),
    Mode(10, "opening_brace_missing", Say(calls=[PARIS]), [W], fault="outer brace"),
    Mode(11, "opening_quote_missing", Say(calls=[PICK]), [said(PICK)], fault="lacked its quotes"),
    Mode(12, "values_as_strings", Say(calls=[PICK]),
         [("pick", {"items": "[1,2]", "note": "x"})]),  # bind() decodes: tests/tool
    Mode(13, "objects_joined", Say(calls=[PARIS, ROME]), [W, said(ROME)], fault="2 JSON objects"),
    Mode(14, "closing_brace_missing", Say(calls=[SURE]), [said(SURE)], fault="outer brace"),
    Mode(14, "closing_brace_missing", Say(calls=[PARIS]),  # 3 may have been 30
         [("get_weather", '{"city":"Paris","days":3')]),
    Mode(15, "arguments_incomplete", Say(calls=[ROME]), [("get_weather", '{"city":"Rom')]),
    Mode(16, "cut_at_inner_tag", Say("Writing.", calls=[FILE]), [said(FILE)], text="Writing.",
         fault="it is whole"),
    Mode(16, "call_in_content", Say(calls=[FILE, PARIS]), [said(FILE), W]),
    Mode(17, "stop_tokens", Say(HELLO), text=HELLO, fault="stop tokens"),
    Mode(17, "emoji_halved", Say(HELLO), text=HELLO[:12] + "\U0001f600" + HELLO[12:]),
    Mode(18, "ids_missing", Say(calls=[PARIS, TIME]), [W, said(TIME)], fault="had no id"),
    Mode(18, "ids_are_numbers", Say(calls=[PARIS, TIME]), [W, said(TIME)]),
    Mode(19, "parallel_calls_refused", Say(calls=[PARIS, TIME]), error=ServerFault),
    Mode(20, "empty_arguments_without_finish", Say(calls=[TIME]), [said(TIME)],
         fault="without a finish reason"),
    Mode(21, "glued_frames", Say(HELLO), text=HELLO[:24] + HELLO[36:], fault="damaged event"),
    Mode(21, "glued_restart", Say(HELLO, THOUGHT), text=HELLO, thinking=THOUGHT, fault="began the"),
    Mode(21, "glued_in_content", Say(HELLO), text=HELLO, fault="damaged event"),
    Mode(21, "frames_unseparated", Say(HELLO), text=HELLO),
    Mode(21, "raw_line_breaks", Say("one\ntwo\nthree"), text="one\ntwo\nthree"),
    Mode(22, "repetition", Say(HELLO), fault="repeated the same 31 characters",
         reason="repetition"),
    Mode(22, "repetition_in_thinking", Say(HELLO), error=EmptyReply),
    Mode(23, "none_before_calls", Say(calls=[PARIS]), [W], fault="word None"),
    Mode(25, "unknown_finish_reason", Say(HELLO), text=HELLO, reason="end_of_turn"),
    Mode(25, "unknown_finish_reason", Say(calls=[PARIS]), [W], reason="end_of_turn"),
    Mode(27, "name_padded", Say(calls=[PARIS]), [W], fault="spaces"),
    Mode(27, "ids_alike", Say(calls=[TIME, PARIS]), [said(TIME), W], fault="another call has"),
    Mode(0, "length", Say(HELLO), text=HELLO, reason="length"),
    Mode(0, "length", Say(thinking=THOUGHT), error=EmptyReply),
    Mode(0, "sensitive", Say(HELLO), error=ContentRefused),
    Mode(0, "network_error", Say(HELLO), error=ServerFault),
    Mode(0, "model_context_window_exceeded", Say(HELLO), error=PromptTooLong),
    Mode(0, "thinking_in_content", Say(HELLO, THOUGHT), text=HELLO, thinking=THOUGHT,
         fault="--reasoning-parser"),
    Mode(0, "value_tag_missing", Say(calls=[PARIS]), [W]),
    Mode(0, "tags_in_keys", Say(calls=[PARIS]), [W], fault="template tags"),
    Mode(0, "tags_in_values", Say(calls=[ROME]), [said(ROME)], fault="template tags"),
    Mode(0, "indexes_alike", Say(calls=[PARIS, ROME]), [W, said(ROME)]),
    Mode(0, "indexes_missing", Say(calls=[PARIS, ROME]), [W, said(ROME)]),
    Mode(0, "arguments_as_object", Say(calls=[PARIS, TIME]), [W, said(TIME)]),
    Mode(0, "arguments_repeated", Say(calls=[TIME, PARIS]), [said(TIME), W], fault="twice"),
    Mode(0, "arguments_repeated", Say(calls=[PARIS]), [W], options={"tool_stream": True}),
    Mode(0, "null_contents", Say(HELLO, THOUGHT, [PARIS]), [W], text=HELLO, thinking=THOUGHT),
    Mode(0, "thinking_as_reasoning", Say(HELLO, THOUGHT), text=HELLO, thinking=THOUGHT),
    Mode(0, "content_in_parts", Say(HELLO), text=HELLO),
    Mode(0, "no_finish_reason", Say(HELLO), text=HELLO, fault="without a finish reason"),
    Mode(0, "two_finishes", Say(calls=[PARIS]), [W], reason="tool_calls"),
    Mode(0, "usage_alone", Say(HELLO), text=HELLO),
    Mode(0, "usage_in_choice", Say(HELLO), text=HELLO),
    Mode(0, "usage_missing", Say(HELLO), text=HELLO, fault="how many tokens"),
    Mode(0, "empty_choices", Say(HELLO, "", [PARIS]), [W], text=HELLO),
    Mode(0, "objects_missing", Say(HELLO), text=HELLO),
    Mode(0, "comments", Say(HELLO), text=HELLO),
    Mode(0, "crlf", Say(HELLO), text=HELLO),
    Mode(0, "no_done", Say(HELLO), text=HELLO),
    Mode(0, "stream_cut", Say(HELLO), error=StreamBroken),
    Mode(0, "stream_stops", Say(HELLO), error=StreamBroken),
]  # fmt: skip

NOT_HERE = {
    24: "inside the server: raw templates want arguments as an object, servers convert them first",
    26: "a matter of the request: efforts are mapped for each template (test_dialects)",
    28: "the Responses API, which agentkit does not speak",
}


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: f"{mode.row}-{mode.failure}")
def test_each_failure_mode_ends_in_a_valid_reply_or_a_typed_error(mode):
    asked = ask(lambda _: mode.say, failures=[mode.failure], **mode.options)
    if mode.error:
        assert type(asked.error) is mode.error
        assert len(asked.requests) == (3 if mode.error.retryable else 1)
        assert len(str(asked.error)) > 40
        return
    assert asked.error is None
    assert len(asked.requests) == 1
    message = asked.reply.message
    given = asked.given if all(isinstance(args, dict) for _, args in mode.calls) else asked.calls
    assert given == mode.calls
    assert mode.fault in asked.faults
    if mode.reason:
        assert asked.reply.finish_reason == mode.reason
    ids = [call.id for call in message.tool_calls]
    assert all(ids)
    assert len(set(ids)) == len(ids)
    if mode.failure != "repetition":
        assert message.content == mode.text
        assert message.thinking == mode.thinking
    if mode.failure != "usage_missing" and mode.reason != "repetition":
        assert asked.reply.usage.input > 0 or "without a finish reason" in asked.faults


def test_every_row_of_the_protocol_page_is_tested_or_has_a_reason():
    tested = {mode.row for mode in MODES} | set(NOT_HERE)
    assert tested >= set(range(1, 29))
    assert not set(NOT_HERE) & {mode.row for mode in MODES}


def test_every_failure_of_the_test_server_is_survived_here():
    assert set(FAILURES) == {mode.failure for mode in MODES}
    for mode in MODES:
        if mode.row and mode.failure != "call_in_content":
            assert mode.row in FAILURES[mode.failure].rows


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: f"{mode.row}-{mode.failure}")
@pytest.mark.parametrize("chunk_size", [1, 1000])
def test_what_is_shown_is_what_the_reply_says(mode, chunk_size):
    asked = ask(lambda _: mode.say, failures=[mode.failure], chunk_size=chunk_size, **mode.options)
    if asked.error or mode.failure in {"thinking_in_content", "none_before_calls", "stop_tokens"}:
        return
    assert asked.shown() == asked.reply.message.content or mode.failure == "cut_at_inner_tag"
    assert "<tool_call>" not in asked.shown() + asked.thinking_shown()


@pytest.mark.parametrize(
    "mode",
    [mode for mode in MODES if FAILURES[mode.failure].stage in {"answer", "piece"}],
    ids=lambda mode: f"{mode.row}-{mode.failure}",
)
def test_an_answer_that_is_not_streamed_survives_the_same(mode):
    asked = ask(lambda _: mode.say, failures=[mode.failure], stream=False)
    if mode.failure.startswith("repetition"):
        assert asked.error is None  # it has been paid for: there is nothing to cut
    elif mode.error:
        assert type(asked.error) is mode.error
    elif all(isinstance(args, dict) for _, args in mode.calls):
        assert asked.given == mode.calls
        assert asked.reply.message.content == mode.text
