"""All stores keep the same promises."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.errors import LogUnreadable, RunNotFound, SequenceConflict, StoreError
from agentkit.events import BODIES, Noted, UserMessage, dump_body, load_body, new_run_id
from agentkit.store import MemoryStore, SQLiteStore
from agentkit.store.schema import MIGRATIONS
from bodies import EXAMPLES, events, notes
from logs import read_log


def test_every_kind_has_an_example_here():
    assert {body.kind for body in EXAMPLES} == set(BODIES)


@pytest.mark.parametrize("body", EXAMPLES, ids=lambda body: body.kind)
def test_a_body_comes_back_from_its_json_as_it_was(body):
    assert load_body(body.kind, body.version, dump_body(body)) == body


def test_events_come_back_in_order_and_equal(store):
    async def main():
        run_id = new_run_id()
        written = events(run_id, *EXAMPLES)
        await store.append(run_id, written[:4], 0)
        await store.append(run_id, written[4:], 4)
        assert await store.load(run_id) == written
        assert await store.load(run_id[:20]) == written

    asyncio.run(main())


def test_what_came_after_an_event_is_loaded_alone(store):
    async def main():
        run_id = new_run_id()
        written = notes(run_id, 5)
        await store.append(run_id, written, 0)
        assert await store.load(run_id, after=2) == written[3:]
        assert await store.load(run_id, after=4) == []
        with pytest.raises(RunNotFound):
            await store.load("nobody", after=2)

    asyncio.run(main())


def test_a_whole_id_is_not_ambiguous_although_another_begins_with_it(store):
    async def main():
        for run_id in ("ab", "abc"):
            await store.append(run_id, notes(run_id, 1), 0)
        assert {event.run_id for event in await store.load("ab")} == {"ab"}

    asyncio.run(main())


def test_an_append_of_nothing_and_events_of_another_run_write_nothing(store):
    async def main():
        await store.append("a", notes("a", 1), 0)
        await store.append("a", [], 1)
        for wrong in (notes("b", 1, start=1), notes("a", 1, start=2)):
            with pytest.raises(SequenceConflict):
                await store.append("a", wrong, 1)
        with pytest.raises(SequenceConflict):
            await store.append("a", [], 7)
        assert len(await store.load("a")) == 1

    asyncio.run(main())


def test_many_writers_at_once_get_each_their_own_place(store):
    async def main():
        async def write(run_id):
            for seq in range(10):
                await store.append(run_id, notes(run_id, 1, start=seq), seq)

        async with asyncio.TaskGroup() as group:
            for number in range(100):
                group.create_task(write(f"{number:03}"))
        assert [len(await store.load(f"{number:03}")) for number in range(100)] == [10] * 100

    asyncio.run(main())


def test_of_many_that_append_at_the_same_place_at_once_exactly_one_wins(store):
    async def main():
        async def write(number):
            try:
                await store.append("run", notes("run", 2 + number, start=0), 0)
            except SequenceConflict:
                return 0
            return 2 + number

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(write(number)) for number in range(20)]
        won = [task.result() for task in tasks if task.result()]
        assert len(won) == 1
        assert len(await store.load("run")) == won[0]

    asyncio.run(main())


def test_of_two_writers_at_the_same_place_one_wins_and_the_other_is_told(store):
    async def main():
        run_id = new_run_id()
        await store.append(run_id, events(run_id, EXAMPLES[0]), 0)
        with pytest.raises(SequenceConflict):
            await store.append(run_id, events(run_id, EXAMPLES[2]), 0)
        with pytest.raises(SequenceConflict):
            await store.append(run_id, events(run_id, EXAMPLES[2], start=5), 5)
        assert len(await store.load(run_id)) == 1

    asyncio.run(main())


def test_runs_are_listed_newest_first_with_their_last_kind(store):
    async def main():
        for number in range(3):
            run_id = f"{number:012x}{'0' * 12}"
            await store.append(run_id, events(run_id, EXAMPLES[0], *EXAMPLES[-1:]), 0)
        listed = await store.runs(2)
        assert [run.run_id[:12] for run in listed] == [f"{2:012x}", f"{1:012x}"]
        assert {(run.events, run.last_kind) for run in listed} == {(2, "run_finished")}
        run_id = "9" * 24
        bodies = (EXAMPLES[1], Noted(topic="n", text="t"), UserMessage(content="two\n lines"))
        await store.append(run_id, events(run_id, *bodies), 0)
        newest = (await store.runs())[0]
        assert (newest.agent, newest.parent_run, newest.task) == ("a", "p", "two lines")
        assert newest.started_at <= newest.last_at
        assert len(await store.runs(sys.maxsize)) == 4

    asyncio.run(main())


def test_an_unknown_run_and_an_ambiguous_prefix_are_told(store):
    async def main():
        for run_id in ("abc1", "abc2"):
            await store.append(run_id, events(run_id, EXAMPLES[0]), 0)
        for wrong in ("zzz", "abc"):
            with pytest.raises(RunNotFound, match=wrong):
                await store.load(wrong)

    asyncio.run(main())


@settings(deadline=None, max_examples=50)
@given(data=st.binary(max_size=2000))
def test_a_blob_comes_back_by_its_hash(data, tmp_path_factory):
    async def main():
        for store in (MemoryStore(), SQLiteStore(tmp_path_factory.mktemp("blobs"))):
            handle = await store.put_blob(data)
            assert await store.put_blob(data) == handle
            assert await store.get_blob(handle) == data

    asyncio.run(main())


def test_a_missing_a_damaged_and_an_impossible_blob_are_told(tmp_path):
    async def main():
        store = SQLiteStore(tmp_path)
        handle = await store.put_blob(b"x" * 300_000)
        (tmp_path / "blobs" / handle[:2] / handle).write_bytes(b"y")
        for wrong in (handle, "0" * 64, "../../etc/passwd"):
            with pytest.raises(StoreError):
                await store.get_blob(wrong)

    asyncio.run(main())


def test_a_log_from_a_newer_version_is_refused(tmp_path):
    db = sqlite3.connect(tmp_path / "runs.db")
    db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    db.close()
    with pytest.raises(LogUnreadable, match="Upgrade"):
        read_log(tmp_path, "x")
    with pytest.raises(LogUnreadable, match="Upgrade"):
        load_body("replied", 99, b"{}")
    with pytest.raises(LogUnreadable, match="Upgrade"):
        load_body("unheard_of", 1, b"{}")


def test_a_damaged_database_and_a_damaged_event_are_told_apart_from_bugs(tmp_path):
    (tmp_path / "runs.db").write_bytes(b"this is no database" * 500)
    with pytest.raises(LogUnreadable, match="damaged"):
        read_log(tmp_path, "x")
    with pytest.raises(LogUnreadable, match="damaged"):
        load_body("user_message", 1, b'{"content": 5}')


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="folder"):
        read_log(tmp_path / "file" / "log", "x")


def test_what_was_acknowledged_survives_kill_9(tmp_path):
    program = textwrap.dedent(
        """
        import asyncio, sys
        from agentkit.events import Event, Noted, now
        from agentkit.store import SQLiteStore

        async def main():
            store = SQLiteStore(sys.argv[1])
            for seq in range(100_000):
                body = Noted(topic="n", text=str(seq))
                await store.append("run", [Event("run", seq, now(), body)], seq)
                print(seq, flush=True)

        asyncio.run(main())
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            if int(line) >= 200:
                break
        os.kill(process.pid, signal.SIGKILL)
        acknowledged = [line for line in process.stdout.read().splitlines() if line.isdigit()]
    last = int(acknowledged[-1]) if acknowledged else 200
    log = read_log(tmp_path, "run")
    assert [event.seq for event in log] == list(range(len(log)))
    assert len(log) > last
