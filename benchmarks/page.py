"""The run page: rendering time, size, and how long Chromium needs to open it.

Rendering is CPU per 1,000 events, loading from SQLite included. Opening is measured in headless
Chromium from the start of the navigation until two frames after the load event, for the page and,
by turns, for an empty page. Without Chromium or playwright only rendering is measured.

    python -m benchmarks.page [--events 10000] [--rounds 5] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

CALLS = 3  # a turn is one reply and these calls: seven events
THINKING = "I compare what the sources say and look the next figure up. " * 4
RESULT = "One line of what a tool found, with a figure such as 42.5 and a source.\n"
EMPTY = b"<!doctype html><title>empty</title><p>empty"
OPENED = """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(
  () => done(performance.now()))))"""


def log(run_id: str, events: int, lines: int):
    """Return a run of so many events, each result of so many lines."""
    from agentkit.events import Event, Replied, RunStarted, ToolFinished, ToolStarted, UserMessage
    from agentkit.messages import Assistant, ToolCall
    from agentkit.usage import Usage

    start = datetime(2026, 1, 1, tzinfo=UTC)
    hashes = {"instructions": "0" * 64, "tools": "1" * 64}
    bodies = [
        (0.0, RunStarted(agent="bench", model="glm-5", provider="zai", **hashes)),
        (0.0, UserMessage(content="Look many figures up.")),
    ]
    turn = 0
    while len(bodies) < events:
        turn, begin = turn + 1, turn * 3.0
        ids = [f"call_{turn}_{number}" for number in range(CALLS)]
        calls = tuple(ToolCall(one, "look_up", f'{{"key": {turn}}}') for one in ids)
        usage = Usage(2000 + turn * 40, 1900 + turn * 39, 120, 40)
        message = Assistant(f"Turn {turn}.", THINKING, calls)
        bodies.append(
            (
                begin + 1,
                Replied(
                    message=message,
                    usage=usage,
                    cost_usd=0.001,
                    finish_reason="tool_calls",
                    model="glm-5",
                    request_digest="d" * 64,
                    seconds=1.0,
                ),
            )
        )
        bodies += [
            (begin + 1.01, ToolStarted(call_id=one, name="look_up", arguments={"key": turn}))
            for one in ids
        ]
        bodies += [
            (
                begin + 1.5 + number / 10,
                ToolFinished(call_id=one, name="look_up", status="ok", content=RESULT * lines),
            )
            for number, one in enumerate(ids)
        ]
    return [
        Event(run_id, seq, (start + timedelta(seconds=second)).isoformat(), body)
        for seq, (second, body) in enumerate(bodies[:events])
    ]


async def rendered(folder: str, events: int, lines: int, rounds: int) -> tuple[bytes, dict]:
    """Store a run, render it some times; return the page and its figures."""
    from agentkit.store import SQLiteStore
    from agentkit.trace import render_page

    run_id = f"{events:012x}{lines:012x}"
    store = SQLiteStore(folder)
    try:
        await store.append(run_id, log(run_id, events, lines), 0)
        times, page = [], b""
        for _ in range(rounds):
            before = time.process_time()
            page = await render_page(store, run_id)
            times.append(time.process_time() - before)
    finally:
        await store.close()
    per_thousand = statistics.median(times) * 1000 / events * 1000
    return page, {"events": events, "lines": lines, "ms_per_1000": per_thousand, "bytes": len(page)}


async def opened(page: Path, empty: Path, rounds: int) -> tuple[float, float] | None:
    """Return the median milliseconds in which Chromium opens the page and an empty one."""
    import shutil

    try:
        from playwright.async_api import async_playwright
    except ImportError:
        return None
    program = shutil.which("chromium")
    if program is None:
        return None
    times: dict[Path, list[float]] = {page: [], empty: []}
    async with async_playwright() as play:
        browser = await play.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-background-networking"]
        )
        try:
            for _ in range(rounds):
                for path, found in times.items():
                    tab = await browser.new_page()
                    await tab.goto(path.as_uri())
                    found.append(await tab.evaluate(OPENED))
                    await tab.close()
        finally:
            await browser.close()
    return statistics.median(times[page]), statistics.median(times[empty])


def measure(events: int, rounds: int) -> list[dict]:
    """Measure small and big results."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder, "empty.html")
        empty.write_bytes(EMPTY)
        for lines in (5, 300):
            page, row = asyncio.run(rendered(folder, events, lines, rounds))
            path = Path(folder, "page.html")
            path.write_bytes(page)
            if found := asyncio.run(opened(path, empty, rounds)):
                row |= {"open_ms": found[0], "empty_ms": found[1], "ratio": found[0] / found[1]}
            rows.append(row)
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = measure(options.events, options.rounds)
    if not options.json:
        print("events  bytes a result  render ms per 1,000  page MB  open ms  empty ms  ratio")
    for row in rows:
        if options.json:
            print(json.dumps(row))
            continue
        line = f"{row['events']:>6} {row['lines'] * len(RESULT):>15,} {row['ms_per_1000']:>20.1f}"
        line += f" {row['bytes'] / 1e6:>8.1f}"
        if "ratio" in row:
            line += f" {row['open_ms']:>8.0f} {row['empty_ms']:>9.0f} {row['ratio']:>6.1f}"
        print(line)


if __name__ == "__main__":
    main()
