"""SIGKILL in the middle of a compaction: the run goes on, and what was sent is sent again so."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
from pathlib import Path

import pytest
from compacting_life import TASK
from contexts import SMALL, Worker, folded, is_upkeep, kinds, notes

from agentkit import SQLiteStore
from agentkit.errors import RunTaken
from agentkit.testing import GLMServer, Say

PROGRAM = Path(__file__).with_name("compacting_life.py")
LENGTHY = "\n".join(f"+ state | step {Worker.word(at)} is done" for at in range(100))


async def life(folder, server, moment, run_id=""):
    """Start a process that begins a run, or goes on with it."""
    words = [str(folder), server.base_url, moment, *filter(None, [run_id])]
    return await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), *words, stdout=asyncio.subprocess.PIPE
    )


async def killed_and_resumed(folder, moment):
    """Return the logs after the kill and at the end, and the requests before and after it."""
    writing = asyncio.Event()
    worker = Worker(30)
    pace = 0.02 if moment == "streaming" else 0.0

    def brain(request):
        if is_upkeep(request) and moment == "streaming" and not writing.is_set():
            writing.set()
            return Say(LENGTHY)  # takes longer than the rest of the first life
        return worker(request)

    async with GLMServer(brain, chunk_seconds=pace) as server:
        first = await life(folder, server, moment)
        if moment == "streaming":
            await writing.wait()
            await asyncio.sleep(0.1)
            first.kill()
        await first.communicate()
        assert first.returncode == -signal.SIGKILL
        before = len(server.requests)
        store = SQLiteStore(folder)
        (run,) = await store.runs()
        cut = await store.load(run.run_id)
        second = await life(folder, server, "never", run.run_id)
        said, _ = await second.communicate()
        assert second.returncode == 0
        assert said.decode().strip() == "finished"
        whole = await store.load(run.run_id)
        system = (await store.get_blob(whole[0].body.instructions)).decode()
        tools = await store.get_blob(whole[0].body.tools)
        await store.close()
        return cut, whole, (server.requests[:before], server.requests[before:]), (system, tools)


def asked(requests):
    return [request["messages"] for request in requests if not is_upkeep(request)]


@pytest.mark.parametrize("moment", ["streaming", "before", "after"])
def test_a_compaction_that_is_cut_off_is_done_or_not_done_and_the_run_goes_on(moment, tmp_path):
    cut, whole, (sent, resent), (system, tools) = asyncio.run(killed_and_resumed(tmp_path, moment))
    assert whole[: len(cut)] == cut
    assert bool(kinds(cut, "compacted")) is (moment == "after")
    # "before" is after the note of what the summary cost: it was paid, and is counted.
    assert bool(notes(cut, "summary")) is (moment != "streaming")
    assert kinds(whole, "compacted")

    replied = [at for at, event in enumerate(cut) if event.kind == "replied"]
    last, first = asked(sent)[: len(replied)][-1], asked(resent)[0]
    if moment == "after":
        edit = kinds(cut, "compacted")[0]
        assert first[1]["content"] == edit.content
        assert [m["content"] for m in first if m["role"] == "user"] == [TASK]
    else:
        assert first[: len(last)] == last
    for at, event in enumerate(whole):
        if event.kind == "replied":
            request, _ = folded(whole[:at], system, tools, SMALL).request()
            assert request.digest == event.body.request_digest
    assert not notes(whole, "prefix_break")
    assert whole[-1].kind == "run_finished"


def test_a_worker_whose_run_was_taken_over_is_told_and_adds_nothing(tmp_path):
    """Both compact; the log is that of one after the other."""

    async def main():
        stores = SQLiteStore(tmp_path), SQLiteStore(tmp_path)
        first, second = [Worker(15).agent(policy=SMALL, store=store) for store in stores]
        async with first.open() as run:
            await run.send("one")
            with pytest.raises(RunTaken):
                await second.resume(run.id)
            with sqlite3.connect(tmp_path / "runs.db") as db:  # as after a lease that ran out
                db.execute("UPDATE claims SET boot = 'another', until = 0")
            db.close()
            async with second.open(run_id=run.id) as taken:
                await taken.send("two")
                with pytest.raises(RunTaken):
                    await run.send("three")
                await taken.send("four")
            left = [task for task in asyncio.all_tasks() if task.get_name() == "summary"]
            log = await stores[1].load(run.id)
        for store in stores:
            await store.close()
        return log, left

    log, left = asyncio.run(main())
    assert [body.content for body in kinds(log, "user_message")] == ["one", "two", "four"]
    assert [event.seq for event in log] == list(range(len(log)))
    assert len(kinds(log, "compacted")) >= 2
    assert left == []
