"""The live view, fed with events: what stands on the terminal while a run goes on."""

from __future__ import annotations

import io

from rich.console import Console

from agentkit.cli.live import View
from agentkit.events import ApprovalAsked, Event, Nested, Replied, SubRun, ToolFinished, ToolStarted
from agentkit.messages import Assistant, ToolCall
from agentkit.usage import Usage


def event(body):
    return Event("r", 0, "2026-01-01T00:00:00.000000+00:00", body)


def replied(*calls, cost=0.5):
    made = tuple(ToolCall(one, "ask", "{}") for one in calls)
    return event(
        Replied(
            message=Assistant("words on the way", "", made),
            usage=Usage(100, 50, 10),
            cost_usd=cost,
            finish_reason="stop",
            model="m",
            request_digest="d",
            seconds=1.0,
        )
    )


def shown(view):
    console = Console(file=io.StringIO(), width=80)
    console.print(view._render())
    return console.file.getvalue()


def test_a_sub_agent_works_on_the_line_of_its_call_and_its_dollars_count_at_once():
    view = View(Console(file=io.StringIO(), width=80))
    view(replied("c1"))
    view(event(ToolStarted(call_id="c1", name="ask", arguments={"task": "x"})))
    look = ToolStarted(call_id="k", name="look", arguments={"key": "here"})
    view(Nested("c1", "sub", replied("k", cost=0.25)))
    view(Nested("c1", "sub", Nested("k", "deeper", event(look))))
    assert "ask ▸ look here" in shown(view)
    assert "$0.7500" in shown(view)
    view(Nested("c1", "sub", event(ApprovalAsked(call_id="l", name="wipe", arguments={}))))
    assert "ask ▸ wipe waits for approval" in shown(view)
    done = ToolFinished(
        call_id="c1", name="ask", status="ok", content="",
        sub_run=SubRun("sub", 1, Usage(100, 50, 10), 0.25),
    )  # fmt: skip
    view(event(done))
    assert "$0.7500" in shown(view)
    printed = view._console.file.getvalue()
    assert "1 turn of its own, $0.2500" in printed
    assert "words on the way" in printed


def test_a_run_that_goes_on_shows_what_it_spent_before():
    view = View(Console(file=io.StringIO(), width=80))
    view.catch_up([replied(), replied()])
    assert "2 turns · 200 tokens in (50% cached)" in shown(view)
    view(replied())
    assert "turn 3: the answer" in view._console.file.getvalue()


def test_a_question_is_not_erased_when_the_live_part_comes_back():
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    view = View(console)
    with view.shown():
        view(replied("c1"))
        with view.hidden():
            asked = console.file.tell()
            console.print("Allow?")
        back = console.file.getvalue()[asked:]
        assert "\x1b[1A" not in back  # the cursor never goes up over the question


def test_what_happens_during_a_question_is_told_after_it():
    view = View(Console(file=io.StringIO(), width=80))
    with view.hidden():
        with view.hidden():
            view(replied())
        assert view._console.file.getvalue() == ""
    assert "turn 1: the answer" in view._console.file.getvalue()
