"""Resuming a long run: opening it (claim, load, fold) beside loading its events alone.

The run has an answer already, so that nothing is asked of a model. Both are measured by turns in
one process, on a log in SQLite. Goal: 10,000 events in under a second.

    python -m benchmarks.resume [--events 10000] [--rounds 5] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from dataclasses import replace

TEXT = "One line of what a tool found, with a figure such as 42.5 and a source.\n" * 8


def longer(log, turns):
    """Return the bodies of a log of one turn with that turn repeated, its calls by other ids."""
    from agentkit.events import Replied

    begin = next(event.seq for event in log if isinstance(event.body, Replied))
    end = next(event.seq for event in log[begin + 1 :] if isinstance(event.body, Replied))
    bodies = [event.body for event in log]
    middle = []
    for turn in range(turns):
        for body in bodies[begin:end]:
            if isinstance(body, Replied):
                calls = [replace(one, id=f"{one.id}-{turn}") for one in body.message.tool_calls]
                middle.append(replace(body, message=replace(body.message, tool_calls=tuple(calls))))
            else:
                middle.append(replace(body, call_id=f"{body.call_id}-{turn}"))
    return [*bodies[:begin], *middle, *bodies[end:]]


async def measure(folder, events, rounds):
    """Return the figures: events of the log, seconds of each opening and of each load."""
    from agentkit import Agent, SQLiteStore, tool
    from agentkit.events import Event, new_run_id
    from agentkit.testing import Call, Say, ScriptedModel

    @tool
    async def look(key: str) -> str:
        """Look."""
        return TEXT + key

    store = SQLiteStore(folder)
    # A turn is one reply and three calls: seven events.
    turn = Say("I look.", calls=[Call("look", {"key": str(number)}) for number in range(3)])
    agent = Agent(ScriptedModel([turn, "done"]), tools=[look], store=store)
    short = await store.load((await agent.run("look many things up")).run_id)
    run_id, bodies = new_run_id(), longer(short, events // 7)
    made = [Event(run_id, seq, short[0].at, body) for seq, body in enumerate(bodies)]
    await store.append(run_id, made, 0)
    opened, loaded = [], []
    for _ in range(rounds):
        began = time.perf_counter()
        log = await store.load(run_id)
        loaded.append(time.perf_counter() - began)
        began = time.perf_counter()
        async with agent.open(run_id=run_id) as run:
            await run.resume()
            opened.append(time.perf_counter() - began)
    await store.close()
    return {
        "events": len(log),
        "resume_seconds": round(statistics.median(opened), 4),
        "load_seconds": round(statistics.median(loaded), 4),
        "ratio": round(statistics.median(opened) / statistics.median(loaded), 2),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(folder, options.events, options.rounds))
    if options.json:
        print(json.dumps(found))
    else:
        print(
            f"{found['events']:,} events: resumed in {found['resume_seconds']:.3f} s, loading them "
            f"alone {found['load_seconds']:.3f} s ({found['ratio']:.2f}x)"
        )


if __name__ == "__main__":
    main()
