"""A pool: ready before it is needed, never used twice, no more than fits, with a reason."""

import asyncio
from dataclasses import replace

import pytest
from far_daemon import live
from hypothesis import given
from hypothesis import strategies as st

from agentkit_sandbox import (
    DockerBackend,
    ExecResult,
    Pool,
    SandboxLost,
    SandboxPolicy,
    SandboxUnavailable,
)
from agentkit_sandbox.base import Capacity
from agentkit_sandbox.gate import Gate

POLICY = SandboxPolicy(memory_mb=100)


class Backend:
    """Starts sandboxes that are only counted."""

    def __init__(self, *, fail=False):
        self.started, self.live, self.fail = 0, set(), fail
        self.running = self.most = 0

    async def start(self, policy, on_wait=None):
        self.started += 1
        await asyncio.sleep(0.01)
        if self.fail:
            raise SandboxUnavailable("No.")
        return Counted(self)

    async def capacity(self):
        return Capacity(1000, 2)

    async def reap(self):
        return 0

    async def close(self):
        pass


class Counted:
    def __init__(self, backend):
        self.backend, self.well, self.work = backend, True, asyncio.Event()
        backend.live.add(self)

    async def execute(self, code, timeout=1.0, *, on_output=None):  # noqa: ASYNC109 (the protocol)
        if code == "lose":
            self.backend.live.discard(self)
            raise SandboxLost("Lost.")
        self.backend.running += 1
        self.backend.most = max(self.backend.most, self.backend.running)
        await self.work.wait()
        self.backend.running -= 1
        return ExecResult("ok")

    async def ping(self):
        return self.well

    async def close(self):
        self.backend.live.discard(self)


async def settle():
    """Let the pool's background tasks do what they can."""
    for _ in range(3):
        await asyncio.sleep(0.012)


def test_a_pool_has_one_ready_and_never_gives_one_twice():
    async def run():
        backend = Backend()
        async with Pool(backend, POLICY, size=2, memory_mb=1000, calls=9) as pool:
            await settle()
            assert backend.started == 2
            first, second = await pool.start(POLICY), await pool.start(POLICY)
            assert first._sandbox is not second._sandbox
            await settle()
            assert backend.started == 4
        assert backend.live == {first._sandbox, second._sandbox}

    asyncio.run(run())


def test_a_pool_replaces_what_has_ended():
    async def run():
        backend = Backend()
        async with Pool(backend, POLICY) as pool:
            await settle()
            [dead] = backend.live
            dead.well = False
            taken = await pool.start(POLICY)
            assert taken._sandbox is not dead
            await settle()
            assert pool._memory.inside == 200, "one is taken, one is ready, the dead one counts not"

    asyncio.run(run())


def test_a_pool_leaves_nothing_behind_when_it_is_cancelled():
    async def run():
        backend = Backend()

        async def use():
            async with Pool(backend, POLICY, size=3):
                await asyncio.sleep(10)

        task = asyncio.create_task(use())
        await settle()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not backend.live

    asyncio.run(run())


def test_a_pool_says_why_nothing_can_be_started():
    async def run():
        async with Pool(Backend(fail=True), POLICY, size=2) as pool:
            with pytest.raises(SandboxUnavailable):
                await pool.start(POLICY)
            await settle()
            assert pool._memory.inside <= 200, "starts that failed give their memory back"
        assert pool._memory.inside == 0

    asyncio.run(run())


def test_a_closed_pool_gives_nothing():
    with pytest.raises(SandboxUnavailable, match="async with"):
        asyncio.run(Pool(Backend(), POLICY).start(POLICY))


def test_who_finds_no_memory_waits_in_order_and_is_told_why():
    async def run():
        backend, told, order = Backend(), [], []
        async with Pool(backend, POLICY, memory_mb=200) as pool:
            first, second = await pool.start(POLICY), await pool.start(POLICY)

            async def wait(name):
                sandbox = await pool.start(POLICY, told.append)
                order.append(name)
                return sandbox

            third = asyncio.create_task(wait("third"))
            await settle()
            fourth = asyncio.create_task(wait("fourth"))
            await settle()
            assert order == []
            await first.close()
            await settle()
            assert order == ["third"]
            await second.close()
            await asyncio.wait([fourth])
            assert order == ["third", "fourth"]
            assert len(backend.live) == 2
            await (await third).close()
            await (await fourth).close()
        assert not backend.live
        return told

    told = asyncio.run(run())
    assert "200 of 200 MiB" in told[0]
    assert "0 wait before" in told[0]
    assert "1 wait before" in told[1]


def test_one_that_is_ready_for_others_gives_way_to_one_that_is_asked_for():
    async def run():
        backend = Backend()
        async with Pool(backend, POLICY, size=2, memory_mb=200) as pool:
            await settle()
            big = await pool.start(replace(POLICY, memory_mb=150))
            assert big._sandbox in backend.live
            await settle()
            assert len(backend.live) == 1
            await big.close()
            await settle()
            assert len(backend.live) == 2, "the pool fills up again with what came back"

    asyncio.run(run())


def test_more_than_there_is_in_all_is_refused_at_once():
    async def run():
        async with Pool(Backend(), POLICY, memory_mb=200) as pool:
            with pytest.raises(SandboxUnavailable, match="200 MiB in all"):
                await pool.start(replace(POLICY, memory_mb=201))

    asyncio.run(run())


def test_a_lost_sandbox_gives_its_memory_back_without_being_closed():
    async def run():
        async with Pool(Backend(), POLICY, memory_mb=100) as pool:
            first = await pool.start(POLICY)
            with pytest.raises(SandboxLost):
                await first.execute("lose")
            second = await pool.start(POLICY)
            await first.close()
            await second.close()
            assert pool._memory.inside <= 100

    asyncio.run(run())


def test_only_so_many_programs_run_at_a_time():
    async def run():
        backend, told = Backend(), []
        async with Pool(backend, POLICY, memory_mb=600, calls=2) as pool:
            taken = [await pool.start(POLICY, told.append) for _ in range(5)]
            calls = [asyncio.create_task(each.execute("x")) for each in taken]
            await settle()
            assert backend.running == 2
            for each in taken:
                each._sandbox.work.set()
            await asyncio.wait(calls)
            assert backend.most == 2
            for each in taken:
                await each.close()
        return told

    told = asyncio.run(run())
    assert "2 programs run" in told[0]


def test_one_who_is_cancelled_while_waiting_holds_nothing():
    async def run():
        backend = Backend()
        async with Pool(backend, POLICY, memory_mb=100) as pool:
            first = await pool.start(POLICY)
            waiting = asyncio.create_task(pool.start(POLICY))
            await settle()
            waiting.cancel()
            await asyncio.wait([waiting])
            await first.close()
            await settle()
            second = await pool.start(POLICY)
            await second.close()
        assert pool._memory.inside == 0

    asyncio.run(run())


@given(st.lists(st.tuples(st.integers(1, 5), st.booleans(), st.integers(0, 3)), max_size=30))
def test_a_gate_never_lets_in_too_much_and_forgets_nobody(visits):
    async def run():
        gate = Gate(5)

        async def visit(amount, patient, steps):
            try:
                await gate.enter(amount, lambda: None)
            except asyncio.CancelledError:
                return
            try:
                assert gate.inside <= 5
                for _ in range(steps):
                    await asyncio.sleep(0)
            finally:
                gate.leave(amount)

        tasks = [asyncio.create_task(visit(*each)) for each in visits]
        await asyncio.sleep(0)
        for task, (_, patient, _) in zip(tasks, visits, strict=True):
            if not patient:
                task.cancel()
        for _ in range(10 * len(tasks)):
            await asyncio.sleep(0)
        assert all(task.done() for task in tasks)
        assert all(task.cancelled() or task.exception() is None for task in tasks)
        assert (gate.inside, gate.waiting) == (0, 0)

    asyncio.run(run())


@pytest.mark.docker
def test_a_warm_pool_serves_sixteen_sessions_and_none_sees_another():
    """Three are ready, the rest is started while they work; all of it side by side."""
    policy = SandboxPolicy(preload=(), memory_mb=128)

    async def one(pool, number):
        sandbox = await pool.start(policy)
        try:
            before = await sandbox.execute("sorted(n for n in globals() if n[0] == 'x')")
            await sandbox.execute(f"x{number} = 1\nopen('{number}.txt', 'w').write('')")
            values = [(await sandbox.execute(f"{n} + x{number}")).value for n in range(5)]
            return before.value, values, [file.name for file in (await sandbox.list()).files]
        finally:
            await sandbox.close()

    async def run():
        backend = DockerBackend()
        many = Pool(backend, policy, size=3, memory_mb=8 * 128, calls=4)
        async with many as pool, asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(pool, number)) for number in range(16)]
        await backend.close()
        return [task.result() for task in tasks]

    for number, (before, values, files) in enumerate(asyncio.run(run())):
        assert before == "[]"
        assert values == ["1", "2", "3", "4", "5"]
        assert files == [f"{number}.txt"]
    assert not live()
