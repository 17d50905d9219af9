"""The same fault over several turns: answered more explicitly, then the tool is set aside."""

import asyncio
import json

import pytest
from dispatching import Log, call
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from agentkit import Agent, Limits, MemoryStore
from agentkit.events import ToolFinished
from agentkit.testing import Call, Say, ScriptedModel
from agentkit.tool import ArgumentFault, Binder, Dispatcher, DispatchPolicy, bind, tool


class Line(BaseModel):
    title: str
    amount: float


@tool
async def order(item: str, count: int = 1, lines: list[Line] = []) -> str:  # noqa: B006
    """Order something.

    Args:
        item: what to order.
        count: how many.
    """
    return f"{count} {item}"


WRONG = '{"item": "tea", "count": "many"}'


def said(binder, text=WRONG):
    binder.next_turn()
    with pytest.raises(ArgumentFault) as caught:
        binder.bind(order, text)
    return str(caught.value)


def test_the_same_fault_is_answered_more_explicitly_each_time():
    binder = Binder(patience=5)
    first, second, third, fourth, fifth, sixth = (said(binder) for _ in range(6))
    assert "fault number" not in first
    assert "fault number 2" in second
    assert 'to be sent as it is:\n{"item":"tea","count":1}' in second
    assert "The whole JSON Schema" in third
    assert "After one more fault order is set aside" in fourth
    assert "now set aside for this run" in fifth
    assert sixth == (
        "order is set aside for this run and nothing was run. Go on with other tools, or answer "
        "and say what you could not do."
    )
    assert len(first) < len(second) < len(third) < len(fourth)


def test_the_mended_call_that_is_offered_is_accepted():
    binder = Binder()
    said(binder, '{"count": "many", "size": 1}')
    text = said(binder, '{"count": "many", "size": 1}')
    offered = text.split("to be sent as it is:\n")[1].splitlines()[0]
    assert binder.bind(order, offered).keywords == {"item": "...", "count": 1}


def test_a_call_that_fits_ends_the_row():
    binder = Binder(patience=3)
    for _ in range(3):
        said(binder)
        said(binder)
        assert binder.bind(order, '{"item": "tea"}').keywords == {"item": "tea"}


def test_another_fault_starts_the_explanations_again_but_not_the_row():
    binder = Binder(patience=3)
    said(binder)
    assert "fault number" not in said(binder, "{}")
    assert "set aside" in said(binder)


def test_several_faults_of_one_turn_count_once():
    binder = Binder(patience=2)
    binder.next_turn()
    for _ in range(8):
        with pytest.raises(ArgumentFault, match="do not fit"):
            binder.bind(order, WRONG)
    assert "now set aside" in said(binder)


def test_tools_are_counted_apart():
    @tool
    async def other(x: int): ...

    binder = Binder(patience=1)
    assert "set aside" in said(binder)
    assert binder.bind(other, '{"x": 1}').keywords == {"x": 1}


def test_the_dispatcher_sets_a_tool_aside_for_its_run():
    async def run():
        log = Log()
        async with Dispatcher([order], DispatchPolicy(fault_patience=2)) as dispatcher:
            for index, text in enumerate([WRONG, WRONG, '{"item": "tea"}']):
                calls = [call(order, text, str(index))]
                await dispatcher.dispatch(calls, log.record, keep=log.keep, emit=log.emit)
        return log

    log = asyncio.run(run())
    assert [body.status for body in log.finished] == ["error"] * 3
    assert "is set aside for this run" in log.finished[2].content
    assert log.started == []


pieces = st.sampled_from(
    (
        *('{"item": "x"', '"count": ', "3", '"3"', "}", "{", "]", "[", ",", "'", "```", "null"),
        *('"lines": [{"title": "t", "amount": "1"}]', "NaN", "\ud800", "\0", "é", "\\"),
    )
)
texts = st.text(max_size=30) | st.lists(pieces, max_size=8).map("".join)


@settings(max_examples=300, deadline=None)
@given(text=texts)
def test_any_text_binds_or_is_a_fault(text):
    told = ""
    try:
        bound = bind(order, text)
    except ArgumentFault as fault:
        told = str(fault)
    else:
        assert bind(order, json.dumps(bound.given)).keywords == bound.keywords
    assert len(told.encode()) < 3000


@settings(max_examples=60, deadline=None)
@given(batches=st.lists(st.lists(texts, min_size=1, max_size=3), min_size=1, max_size=4))
def test_no_text_ends_a_run_or_leaves_a_call_without_result(batches):
    script = [
        Say(calls=[Call("order", text.encode(errors="replace").decode()) for text in batch])
        for batch in batches
    ]
    model = ScriptedModel([*script, Say("done")])
    agent = Agent(model, tools=[order], store=MemoryStore(), limits=Limits(turns=9), strict=True)
    events = []
    result = asyncio.run(agent.run("go", events.append))
    assert result.output == "done"
    finished = [one.body for one in events if isinstance(getattr(one, "body", None), ToolFinished)]
    last = model.requests[-1]
    asked = [one for message in last for one in message.get("tool_calls", [])]
    answered = [message["tool_call_id"] for message in last if message["role"] == "tool"]
    assert [one["id"] for one in asked] == answered
    assert sorted(body.call_id for body in finished) == sorted(answered)
    for one in asked:
        assert isinstance(json.loads(one["function"]["arguments"]), dict)
