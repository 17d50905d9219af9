"""Pruning: old runs go with their blobs; the newest, the claimed and the named stay."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import timedelta

from agentkit.events import ArtifactRef, Event, Noted, RunStarted, ToolFinished
from agentkit.store import SQLiteStore, prune

OLD = "2020-01-01T00:00:00.000000+00:00"
NEW = "2999-01-01T00:00:00.000000+00:00"


def run(number, at, *, parent=None, instructions="0" * 64):
    started = RunStarted(
        agent="a", model="m", provider="p", instructions=instructions, tools="", parent_run=parent
    )
    return [Event(f"{number:024}", 0, at, started)]


async def fill(store, *runs):
    for events in runs:
        await store.append(events[0].run_id, events, 0)


async def left(store):
    return [int(summary.run_id) for summary in await store.runs(1000)]


def test_runs_go_by_age_and_the_newest_stay(store):
    async def main():
        await fill(store, *(run(n, OLD if n < 6 else NEW) for n in range(8)))
        day = timedelta(days=1)
        dry = await prune(store, older_than=day, keep=4, dry_run=True)
        assert len(dry.runs) == 4
        assert await left(store) == [7, 6, 5, 4, 3, 2, 1, 0]
        assert (await prune(store, older_than=day, keep=4)).runs == dry.runs
        assert await left(store) == [7, 6, 5, 4]
        await prune(store, older_than=day)
        assert await left(store) == [7, 6]
        await prune(store, keep=1)
        assert await left(store) == [7]

    asyncio.run(main())


def test_a_run_of_a_sub_agent_goes_with_its_parent_and_not_before(store):
    async def main():
        await fill(
            store,
            run(1, OLD),
            run(2, OLD, parent=f"{1:024}"),
            run(3, OLD, parent=f"{2:024}"),
            run(5, OLD),
            run(4, OLD, parent=f"{5:024}"),  # ids of the same millisecond sort at random
            run(6, OLD, parent="gone"),
        )
        await prune(store, keep=2)
        assert await left(store) == [6, 5, 4]
        await prune(store, keep=1)
        assert await left(store) == [6]

    asyncio.run(main())


def test_a_run_that_somebody_works_on_stays(store):
    async def main():
        await fill(store, run(1, OLD), run(2, OLD))
        mine = await store.claim(f"{1:024}")
        assert [int(one.run_id) for one in (await prune(store)).runs] == [2]
        assert await left(store) == [1]
        await store.release(mine)
        await prune(store)
        assert await left(store) == []

    asyncio.run(main())


def test_blobs_that_no_event_names_go_and_young_ones_wait(store):
    async def main():
        kept, gone, fresh = b"kept" * 9, b"gone" * 9, b"fresh"
        named, artifact, lost = [await store.put_blob(data) for data in (kept, b"art", gone)]
        ref = ArtifactRef("a.png", "image/png", artifact, 3)
        finished = ToolFinished(call_id="c", name="f", status="ok", content="", artifacts=(ref,))
        events = [*run(1, NEW, instructions=named), Event(f"{1:024}", 1, NEW, finished)]
        handle = await store.put_blob(b"handle")
        noted = Noted(topic="offload", text=f"see {handle}")
        await fill(
            store, [*events, Event(f"{1:024}", 2, NEW, noted)], run(0, OLD, instructions=lost)
        )
        young = await prune(store, keep=1)
        assert (len(young.runs), young.bytes) == (1, 0)
        assert await store.get_blob(lost) == gone
        pruned = await prune(store, keep=1, grace=0)
        assert pruned.bytes == len(gone)
        for sha256 in (named, artifact, handle):
            assert await store.get_blob(sha256)
        assert await store.get_blob(await store.put_blob(fresh)) == fresh

    asyncio.run(main())


def test_a_blob_that_is_put_again_is_young_again(tmp_path):
    async def main():
        store = SQLiteStore(tmp_path)
        handle = await store.put_blob(b"x")
        path = tmp_path / "blobs" / handle[:2] / handle
        draft = path.with_name(f".{handle}.0011")
        draft.write_bytes(b"half")
        long_ago = time.time() - 7200
        for file in (path, draft):
            os.utime(file, (long_ago, long_ago))
        await store.put_blob(b"x")
        assert await store.sweep() == len(b"half")
        os.utime(path, (long_ago, long_ago))
        assert await store.sweep() == 1
        assert not path.exists()
        await store.close()

    asyncio.run(main())
