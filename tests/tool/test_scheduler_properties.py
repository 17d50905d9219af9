"""What holds for every turn: any tools, flags, answers, early starts, ends and cancellations."""

import asyncio
from dataclasses import dataclass, field

from dispatching import Log, call
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.events import ApprovalAsked, ToolFinished, ToolStarted
from agentkit.tool import (
    Answer,
    ApprovalPolicy,
    Dispatcher,
    DispatchPolicy,
    Rule,
    ToolError,
    raw_tool,
)

SCHEMA = {"type": "object", "properties": {"number": {"type": "integer"}}}
RESOURCES = st.lists(st.sampled_from("xyz"), max_size=2, unique=True).map(tuple)
TOOLS = 4


@dataclass(frozen=True)
class Kind:
    """A tool of the generated world, and what somebody says when asked about it."""

    blocking: bool
    reads: tuple
    writes: tuple
    group: str | None
    read_only: bool
    priority: int
    max_concurrency: int | None
    decision: str
    answer: object


@dataclass(frozen=True)
class Plan:
    """One call: which tool, how long it takes, how it ends, whether it is offered early."""

    tool: int
    steps: int
    end: str
    early: bool
    twin: bool


KINDS = st.builds(
    Kind,
    blocking=st.booleans(),
    reads=RESOURCES,
    writes=RESOURCES,
    group=st.sampled_from([None, None, "x", "g"]),
    read_only=st.booleans(),
    priority=st.integers(-1, 1),
    max_concurrency=st.none() | st.integers(1, 2),
    decision=st.sampled_from(["allow", "allow", "allow", "ask", "deny"]),
    answer=st.sampled_from([True, False, None, Answer(True, remember=True), ValueError("no")]),
)
PLANS = st.builds(
    Plan,
    tool=st.integers(0, TOOLS - 1),
    steps=st.integers(0, 3),
    end=st.sampled_from(["return", "return", "raise", "tool error", "interrupt", "hang"]),
    early=st.booleans(),
    twin=st.booleans(),
)


@dataclass
class World:
    """The tools, and what can be seen of them while they run."""

    kinds: list
    plans: list
    cap: int
    running: list = field(default_factory=list)
    spans: list = field(default_factory=list)
    faults: list = field(default_factory=list)
    clock: int = 0

    def tools(self):
        return [self.make(index, kind) for index, kind in enumerate(self.kinds)]

    def make(self, index, kind):
        async def in_task(number):
            self.enter(index, number)
            try:
                for _ in range(self.plans[number].steps):
                    await asyncio.sleep(0)
                if self.plans[number].end == "hang":
                    await asyncio.Event().wait()
                return self.finish(number)
            finally:
                self.leave(index, number)

        def in_thread(number):
            self.enter(index, number)
            try:
                return self.finish(number)
            finally:
                self.leave(index, number)

        return raw_tool(
            f"t{index}",
            "",
            SCHEMA,
            in_thread if kind.blocking else in_task,
            reads=kind.reads,
            writes=kind.writes,
            group=kind.group,
            read_only=kind.read_only,
            priority=kind.priority,
            max_concurrency=kind.max_concurrency,
            timeout=0.03,
        )

    def used(self, index):
        kind = self.kinds[index]
        writes = {*kind.writes, *([kind.group] if kind.group else [])}
        return writes, {*kind.reads} - writes

    def conflict(self, one, other):
        (writes, reads), (written, read) = self.used(one), self.used(other)
        return bool(writes & (written | read) or reads & written)

    def enter(self, index, number):
        for other, _, _ in self.running:
            if self.conflict(index, other):
                self.faults.append(f"t{index} overlaps t{other}")
        self.clock += 1
        self.running.append((index, number, self.clock))
        if len(self.running) > self.cap:
            self.faults.append(f"{len(self.running)} calls at once")
        most = self.kinds[index].max_concurrency
        if most and sum(1 for other, _, _ in self.running if other == index) > most:
            self.faults.append(f"too many t{index}")

    def leave(self, index, number):
        self.clock += 1
        one = next(one for one in self.running if one[:2] == (index, number))
        self.running.remove(one)
        self.spans.append((index, number, one[2], self.clock))

    def finish(self, number):
        match self.plans[number].end:
            case "raise":
                raise ValueError(number)
            case "tool error":
                raise ToolError("no")
            case "interrupt":
                raise KeyboardInterrupt
            case _:
                return number

    def approval(self):
        rules = [
            Rule(kind.decision, f"t{index}")
            for index, kind in enumerate(self.kinds)
            if kind.decision != "allow"
        ]
        return ApprovalPolicy(tuple(rules))

    async def answer(self, question):
        await asyncio.sleep(0)
        answer = self.kinds[int(question.tool[1:])].answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    def numbers(self):
        """What each call is about; a twin repeats the first call of its tool that only reads."""
        first = {}
        return [
            first.setdefault(plan.tool, index)
            if plan.twin and self.kinds[plan.tool].read_only
            else index
            for index, plan in enumerate(self.plans)
        ]

    def calls(self):
        return [
            call(f"t{plan.tool}", {"number": number}, str(index))
            for index, (plan, number) in enumerate(zip(self.plans, self.numbers(), strict=True))
        ]


async def play(world, log, cancel_after, *, ask, slow_stream):
    """Run one turn, early starts included; return whether it was cancelled."""
    policy = DispatchPolicy(concurrency=world.cap, grace=1)
    approver = world.answer if ask else None
    async with Dispatcher(
        world.tools(), policy, approval=world.approval(), approver=approver
    ) as dispatcher:
        early = dispatcher.early(log.emit)
        for plan, one in zip(world.plans, world.calls(), strict=True):
            if plan.early:
                early.offer(one)
                if slow_stream:
                    await asyncio.sleep(0)
        work = asyncio.create_task(
            dispatcher.dispatch(
                world.calls(), log.record, keep=log.keep, emit=log.emit, early=early
            )
        )
        if cancel_after is not None:
            for _ in range(cancel_after):
                await asyncio.sleep(0)
            work.cancel()
        await asyncio.wait([work])
        workshop = dispatcher._workshop
    assert len(asyncio.all_tasks()) == 1
    assert workshop.running == workshop.slots.used == 0
    if not work.cancelled():
        work.result()
    return work.cancelled()


def open_calls(world, log):
    """The calls that wait for an answer, and those that have to run after them."""
    asked = {body.call_id for body in log.bodies if isinstance(body, ApprovalAsked)}
    answered = {one.call_id for one in log.bodies if one.kind == "approval_answered"}
    finished = {one.call_id for one in log.finished}
    waiting = [int(one) for one in sorted(asked - answered - finished, key=int)]
    behind = set(waiting)
    for index, plan in enumerate(world.plans):
        if any(one < index and world.conflict(world.plans[one].tool, plan.tool) for one in behind):
            behind.add(index)
    return waiting, behind


@settings(max_examples=200, deadline=None)
@given(
    kinds=st.lists(KINDS, min_size=TOOLS, max_size=TOOLS),
    plans=st.lists(PLANS, min_size=1, max_size=10),
    cap=st.integers(1, 5),
    cancel_after=st.none() | st.integers(0, 40),
    ask=st.booleans(),
    slow=st.booleans(),
)
def test_the_laws_of_dispatch(kinds, plans, cap, cancel_after, ask, slow):
    world, log = World(kinds, plans, cap), Log(slow)
    was_cancelled = asyncio.run(play(world, log, cancel_after, ask=ask, slow_stream=slow))
    assert world.faults == []
    assert world.running == []
    every_call_has_one_result_or_waits(world, log, cancel_after, was_cancelled=was_cancelled)
    a_start_stands_once_before_its_result(log)
    calls_that_conflict_ran_in_call_order(world)
    results_say_what_happened(world, log)


def every_call_has_one_result_or_waits(world, log, cancel_after, *, was_cancelled):
    finished = [body.call_id for body in log.bodies if isinstance(body, ToolFinished)]
    assert len(finished) == len(set(finished))
    missing = {str(index) for index in range(len(world.plans))} - set(finished)
    waiting, behind = open_calls(world, log)
    if not was_cancelled:
        assert {str(one) for one in waiting} <= missing
    if cancel_after != 0:  # a turn that never began leaves all open
        assert missing <= {str(one) for one in behind}


def a_start_stands_once_before_its_result(log):
    started = [body.call_id for body in log.bodies if isinstance(body, ToolStarted)]
    assert len(started) == len(set(started))
    order = [(type(body), body.call_id) for body in log.bodies if hasattr(body, "call_id")]
    for call_id in started:
        assert order.index((ToolStarted, call_id)) < order.index((ToolFinished, call_id))


def calls_that_conflict_ran_in_call_order(world):
    numbers = world.numbers()
    spans = [span for span in world.spans if numbers.count(span[1]) == 1]
    for index, number, _, end in spans:
        for other, later, begin, _ in spans:
            if number < later and world.conflict(index, other) and not world.plans[later].early:
                assert end < begin


def results_say_what_happened(world, log):
    numbers = world.numbers()
    for body in log.finished:
        plan = world.plans[numbers[int(body.call_id)]]
        if body.status == "ok":
            assert plan.end == "return" or world.kinds[plan.tool].blocking
        if body.status == "denied":
            assert world.kinds[plan.tool].decision in ("ask", "deny")
