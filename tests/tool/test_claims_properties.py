"""What holds for all runs of an event loop, however they nest, conflict and are cancelled."""

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass, field

from dispatching import Log, call
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.tool import Dispatcher, DispatchPolicy, ToolError, raw_tool
from agentkit.tool.slots import slots_of

SCHEMA = {"type": "object", "properties": {"number": {"type": "integer"}}}
RESOURCES = st.lists(st.sampled_from("xyz"), max_size=2, unique=True).map(tuple)
TOOLS = 4
ABOVE = ContextVar("ABOVE", default=())


@dataclass(frozen=True)
class Kind:
    """A tool of the generated world; only one that may hang has a timeout that matters."""

    reads: tuple
    writes: tuple
    max_concurrency: int | None
    priority: int
    hangs: bool


@dataclass(frozen=True)
class Plan:
    """One call: which tool, how long it takes, how it ends, and the runs that it starts."""

    tool: int
    steps: int
    end: str
    runs: tuple


@dataclass(frozen=True)
class Turn:
    """One run of one turn: its calls, its own cap, and after how many steps it is cancelled."""

    plans: tuple
    concurrency: int
    cancel_after: int | None


KINDS = st.builds(
    Kind,
    reads=RESOURCES,
    writes=RESOURCES,
    max_concurrency=st.none() | st.integers(1, 2),
    priority=st.integers(-1, 1),
    hangs=st.sampled_from([False, False, False, True]),
)


def turns(runs):
    plans = st.builds(
        Plan,
        tool=st.integers(0, TOOLS - 1),
        steps=st.integers(0, 4),
        end=st.sampled_from(["return", "return", "raise", "hang"]),
        runs=runs,
    )
    return st.builds(
        Turn,
        plans=st.lists(plans, min_size=1, max_size=4).map(tuple),
        concurrency=st.integers(1, 4),
        cancel_after=st.none() | st.integers(1, 40),
    )


FLAT = turns(st.just(()))
NESTED = turns(st.lists(FLAT, max_size=2).map(tuple))
DEEP = turns(st.lists(NESTED, max_size=2).map(tuple))


@dataclass
class World:
    """The tools, shared by all runs, and what can be seen of them while they run.

    In a calm one nothing hangs and nobody cancels, so a wait for ever has nothing that ends it.
    """

    kinds: list
    total: int
    calm: bool
    running: dict = field(default_factory=dict)
    begun: list = field(default_factory=list)
    faults: list = field(default_factory=list)
    plans: dict = field(default_factory=dict)
    logs: list = field(default_factory=list)

    def __post_init__(self):
        self.tools = [self.make(index, kind) for index, kind in enumerate(self.kinds)]

    def make(self, index, kind):
        hangs = kind.hangs and not self.calm

        async def work(number):
            self.enter(index, number)
            above = ABOVE.set((*ABOVE.get(), number))
            try:
                plan = self.plans[number]
                await asyncio.gather(*(self.play(turn) for turn in plan.runs))
                for _ in range(plan.steps):
                    await asyncio.sleep(0)
                if hangs and plan.end == "hang":
                    await asyncio.Event().wait()
                if plan.end == "raise":
                    raise ToolError("no")
            finally:
                ABOVE.reset(above)
                del self.running[number]

        return raw_tool(
            f"t{index}",
            "",
            SCHEMA,
            work,
            reads=kind.reads,
            writes=kind.writes,
            max_concurrency=kind.max_concurrency,
            priority=kind.priority,
            timeout=0.03 if hangs else 60,
        )

    def conflict(self, one, other):
        first, second = self.kinds[one], self.kinds[other]
        return bool(
            {*first.writes} & {*second.writes, *second.reads} or {*first.reads} & {*second.writes}
        )

    def enter(self, index, number):
        for at, (other, _) in self.running.items():
            if at not in ABOVE.get() and self.conflict(index, other):
                self.faults.append(f"t{index} beside t{other}")
        self.running[number] = index, ABOVE.get()
        self.begun.append(number)
        # A call waits for those that run inside it, and counts once with them.
        waiting = {at for _, above in self.running.values() for at in above}
        busy = [one for at, (one, _) in self.running.items() if at not in waiting]
        most = self.kinds[index].max_concurrency
        if most and busy.count(index) > most:
            self.faults.append(f"too many t{index}")

    async def play(self, turn):
        numbers = range(len(self.plans), len(self.plans) + len(turn.plans))
        self.plans.update(zip(numbers, turn.plans, strict=True))
        log = Log()
        calls = [
            call(f"t{plan.tool}", {"number": number}, str(number))
            for number, plan in zip(numbers, turn.plans, strict=True)
        ]
        policy = DispatchPolicy(concurrency=turn.concurrency, total_concurrency=self.total, grace=1)
        async with Dispatcher(self.tools, policy) as dispatcher:
            work = asyncio.create_task(
                dispatcher.dispatch(calls, log.record, keep=log.keep, emit=log.emit)
            )
            try:
                if turn.cancel_after is not None and not self.calm:
                    for _ in range(turn.cancel_after):
                        await asyncio.sleep(0)
                    work.cancel()
                await asyncio.wait([work])
            finally:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
        self.logs.append((turn, numbers, log))


@settings(max_examples=120, deadline=None)
@given(
    kinds=st.lists(KINDS, min_size=TOOLS, max_size=TOOLS),
    turns=st.lists(FLAT | NESTED | DEEP, min_size=2, max_size=4),
    total=st.integers(1, 6),
    calm=st.booleans(),
)
def test_the_laws_between_runs(kinds, turns, total, calm):
    world = World(kinds, total, calm)

    async def main():
        async with asyncio.timeout(30):
            await asyncio.gather(*(world.play(turn) for turn in turns))
        slots = slots_of(asyncio.get_running_loop())
        assert slots.used == 0
        assert not any(getattr(slots.claims, name) for name in slots.claims.__slots__[1:])

    asyncio.run(main())
    assert world.faults == []
    assert world.running == {}
    for turn, numbers, log in world.logs:
        every_call_has_one_result(turn, numbers, log)
        calls_that_conflict_began_in_call_order(world, turn, numbers)
    if calm:
        ends = {one.status for _, _, log in world.logs for one in log.finished}
        assert ends <= {"ok", "error"}
    if all(not plan.runs for turn in turns for plan in turn.plans):
        assert not any(refused(one) for _, _, log in world.logs for one in log.finished)


def refused(finished):
    return finished.content.startswith("Not run")


def every_call_has_one_result(turn, numbers, log):
    finished = [one.call_id for one in log.finished]
    assert sorted(finished) == sorted(map(str, numbers))


def calls_that_conflict_began_in_call_order(world, turn, numbers):
    begun = [number for number in world.begun if number in numbers]
    for at, number in enumerate(begun):
        for later in begun[at + 1 :]:
            if world.conflict(world.plans[number].tool, world.plans[later].tool):
                assert number < later
