"""Calls that somebody has to allow."""

import asyncio
import threading
from functools import partial

import pytest
from dispatching import POLICY, Log, call, until

from agentkit.events import ApprovalAnswered, ApprovalAsked, ToolFinished, ToolStarted
from agentkit.tool import Answer, ApprovalPolicy, Dispatcher, Past, Postponed, Rule, tool

ASK = ApprovalPolicy((Rule("ask", "send", reason="it leaves the house"),))

NO_PAST = Past()


@tool
async def send(to: str = "you") -> str:
    return f"sent to {to}"


@tool
async def look() -> str:
    return "seen"


class Desk:
    def __init__(self):
        self.trace = []

    @tool
    async def order(self, what: str) -> None:
        self.trace.append(what)


def play(tools, calls, *, approval=ASK, approver=None, past=NO_PAST, log=None, policy=POLICY):
    log = log or Log()

    async def main():
        async with Dispatcher(
            tools, policy, run_id="run", approval=approval, approver=approver
        ) as dispatcher:
            await dispatcher.dispatch(calls, log.record, keep=log.keep, emit=log.emit, past=past)
            assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())
    return log


def kinds(log):
    return [body.kind for body in log.bodies]


def test_a_call_waits_when_nobody_is_there_to_ask_and_the_others_go_on():
    log = play([send, look], [call(send, {"to": "me"}, "a"), call(look, {}, "b")])
    (asked,) = [body for body in log.bodies if isinstance(body, ApprovalAsked)]
    assert asked == ApprovalAsked(
        call_id="a", name="send", arguments={"to": "me"}, reason="it leaves the house"
    )
    assert [one.call_id for one in log.finished] == ["b"]
    assert [one.call_id for one in log.started] == ["b"]


def test_a_question_that_the_log_has_is_not_written_again():
    log = play([send], [call(send, {}, "a")], past=Past(asked={"a"}))
    assert log.bodies == []


@pytest.mark.parametrize("kind", ["plain", "async", "object", "awaitable"])
def test_an_approver_of_any_kind_is_asked_and_its_answer_is_logged_before_the_start(kind):
    asked = []

    def plain(question):
        asked.append(question)
        return True

    async def eventually(question):
        await asyncio.sleep(0)
        return plain(question)

    class Object:
        async def __call__(self, question):
            return Answer(plain(question))

    approver = {
        "plain": plain,
        "async": eventually,
        "object": Object(),
        "awaitable": partial(eventually),
    }[kind]
    log = play([send], [call(send, {"to": "me"}, "a")], approver=approver)
    assert kinds(log) == ["approval_asked", "approval_answered", "tool_started", "tool_finished"]
    assert log.bodies[1] == ApprovalAnswered(call_id="a", name="send", approved=True, by="callback")
    assert log.result("a").content == "sent to me"
    (question,) = asked
    assert (question.run_id, question.call_id, question.tool) == ("run", "a", "send")
    assert question.arguments == {"to": "me"}
    assert question.reason == "it leaves the house"


def test_a_denied_call_tells_the_model_why_and_what_to_do():
    log = play([send], [call(send, {}, "a")], approver=lambda q: Answer(False, "not on Sundays"))
    assert kinds(log) == ["approval_asked", "approval_answered", "tool_finished"]
    result = log.result("a")
    assert result.status == "denied"
    assert "not on Sundays" in result.content
    assert "another way" in result.content


def test_a_policy_that_denies_asks_nobody():
    policy = ApprovalPolicy((Rule("deny", hint="destructive", reason="read-only day"),))

    @tool(destructive=True)
    async def wipe() -> None:
        raise AssertionError

    log = play([wipe], [call(wipe, {}, "a")], approval=policy, approver=lambda q: 1 / 0)
    assert kinds(log) == ["tool_finished"]
    assert "read-only day" in log.result("a").content


@pytest.mark.parametrize(
    "answer", [ValueError("broken"), KeyboardInterrupt(), "yes", asyncio.CancelledError()]
)
def test_an_approver_that_fails_denies(answer, capsys):
    def approver(question):
        if isinstance(answer, BaseException):
            raise answer
        return answer

    log = play([send, look], [call(send, {}, "a"), call(look, {}, "b")], approver=approver)
    assert log.result("a").status == "denied"
    assert log.result("b").status == "ok"
    assert "approver_failed" in capsys.readouterr().err


def test_an_approver_that_leaves_a_question_open_leaves_the_call_open():
    log = play([send, look], [call(send, {}, "a"), call(look, {}, "b")], approver=lambda q: None)
    assert [one.call_id for one in log.finished] == ["b"]
    assert "approval_answered" not in kinds(log)


def test_an_approver_that_blocks_holds_up_neither_the_others_nor_a_slot():
    release = threading.Event()

    def approver(question):
        assert release.wait(5)
        return True

    @tool
    async def wake() -> None:
        release.set()

    policy = type(POLICY)(concurrency=1, grace=0.05)
    log = play(
        [send, wake], [call(send, {}, "a"), call(wake, {}, "b")], approver=approver, policy=policy
    )
    assert [one.call_id for one in log.finished] == ["b", "a"]


def test_an_answer_to_remember_spares_the_later_questions_of_that_tool():
    asked = []

    def approver(question):
        asked.append(question.call_id)
        return Answer(True, remember=True)

    calls = [call(send, {"to": str(index)}, str(index)) for index in range(3)]
    log = play([send], calls, approver=approver)
    assert asked == ["0"]
    answered = [body for body in log.bodies if isinstance(body, ApprovalAnswered)]
    assert [(one.call_id, one.by, one.remember) for one in answered] == [
        ("0", "callback", True),
        ("1", "remembered", False),
        ("2", "remembered", False),
    ]
    assert {one.status for one in log.finished} == {"ok"}


@pytest.mark.parametrize("approved", [True, False])
def test_what_the_log_remembers_asks_nobody(approved):
    log = play([send], [call(send, {}, "a")], past=Past(remembered={"send": approved}))
    assert log.result("a").status == ("ok" if approved else "denied")
    assert "approval_asked" not in kinds(log)


def test_an_answer_that_came_later_lets_the_call_go_on():
    yes = ApprovalAnswered(call_id="a", name="send", approved=True)
    no = ApprovalAnswered(call_id="b", name="send", approved=False, reason="too far")
    past = Past(asked={"a", "b"}, answered={"a": yes, "b": no})
    log = play([send], [call(send, {}, "a"), call(send, {}, "b")], past=past)
    assert log.result("a").content == "sent to you"
    assert log.result("b").status == "denied"
    assert "too far" in log.result("b").content
    assert "approval_asked" not in kinds(log)


def test_a_denial_of_the_policy_goes_before_an_answer():
    policy = ApprovalPolicy((Rule("deny", "send"),))
    yes = ApprovalAnswered(call_id="a", name="send", approved=True)
    log = play([send], [call(send, {}, "a")], approval=policy, past=Past(answered={"a": yes}))
    assert log.result("a").status == "denied"


def test_calls_behind_one_that_waits_wait_too_and_run_in_order_once_it_is_allowed():
    desk = Desk()
    policy = ApprovalPolicy((Rule("ask", when=lambda arguments: arguments["what"] == "b"),))
    calls = [call(desk.order, {"what": what}, what) for what in "abc"]
    log = play([desk.order], calls, approval=policy)
    assert desk.trace == ["a"]
    assert [one.call_id for one in log.finished] == ["a"]
    yes = ApprovalAnswered(call_id="b", name="order", approved=True)
    past = Past(asked={"b"}, answered={"b": yes})
    play([desk.order], calls[1:], approval=policy, past=past, log=log)
    assert desk.trace == ["a", "b", "c"]


def test_calls_behind_one_that_is_denied_run():
    desk = Desk()
    policy = ApprovalPolicy((Rule("ask", when=lambda arguments: arguments["what"] == "b"),))
    calls = [call(desk.order, {"what": what}, what) for what in "abc"]
    play([desk.order], calls, approval=policy, approver=lambda q: False)
    assert desk.trace == ["a", "c"]


def test_a_call_that_its_tool_postpones_stays_open_with_those_behind_it():
    @tool(idempotent=True, writes="desk")
    async def wait() -> Postponed:
        return Postponed()

    @tool(writes="desk")
    async def after() -> str:
        return "after"

    calls = [call(wait, {}, "a"), call(after, {}, "b"), call(look, {}, "c")]
    log = play([wait, after, look], calls)
    assert sorted(one.call_id for one in log.started) == ["a", "c"]
    assert [one.call_id for one in log.finished] == ["c"]


def test_a_call_that_is_denied_before_its_turn_does_not_let_those_behind_it_overtake():
    running, most = set(), []

    class Bench:
        @tool
        async def work(self, what: str) -> None:
            running.add(what)
            most.append(len(running))
            for _ in range(20):
                await asyncio.sleep(0)
            running.discard(what)

    bench = Bench()
    policy = ApprovalPolicy((Rule("ask", when=lambda arguments: arguments["what"] == "b"),))
    calls = [call(bench.work, {"what": what}, what) for what in "abc"]
    log = play([bench.work], calls, approval=policy, approver=deny)
    assert max(most) == 1
    assert [one.call_id for one in log.finished] == ["b", "a", "c"]


async def deny(question):
    return False


def test_questions_are_put_one_at_a_time_in_call_order():
    open_now, order = [], []

    async def approver(question):
        open_now.append(question.call_id)
        assert len(open_now) == 1
        await asyncio.sleep(0)
        order.append(open_now.pop())
        return True

    play([send], [call(send, {"to": str(i)}, str(i)) for i in range(4)], approver=approver)
    assert order == ["0", "1", "2", "3"]


@pytest.mark.parametrize("stubborn", [True, False])
def test_cancelling_a_turn_ends_its_questions_and_gives_each_call_a_result(stubborn):
    log, asked = Log(), []
    release = asyncio.Event()

    async def approver(question):
        asked.append(question)
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                if not stubborn:
                    raise
        return True

    async def main():
        async with Dispatcher([send], POLICY, approval=ASK, approver=approver) as dispatcher:
            work = asyncio.create_task(
                dispatcher.dispatch(
                    [call(send, {}, "a"), call(send, {"to": "b"}, "b")],
                    log.record,
                    keep=log.keep,
                    emit=log.emit,
                )
            )
            await until(lambda: asked)
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work
            release.set()

    asyncio.run(main())
    assert [one.status for one in log.finished] == ["cancelled", "cancelled"]
    assert log.started == []


def test_a_call_that_was_started_before_a_crash_says_which_attempt_this_is():
    log = play([look], [call(look, {}, "a")], past=Past(attempts={"a": 2}))
    (started,) = log.started
    assert isinstance(started, ToolStarted)
    assert started.attempt == 3
    assert isinstance(log.bodies[-1], ToolFinished)
