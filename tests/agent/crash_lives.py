"""Lives of one run: a process is killed in the middle of it, the next one goes on, to the end.

A program of its own, because it forks: agentkit is imported once, then every life of a run is a
child that costs some milliseconds. It prints one JSON line for each trial.

    python tests/agent/crash_lives.py FOLDER --kills 200 --seed 7
    python tests/agent/crash_lives.py FOLDER --rivals
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import select
import signal
import statistics
import sys
import time
from collections import Counter
from pathlib import Path

from agentkit import Agent, Limits, SQLiteStore, tool
from agentkit.errors import RunTaken
from agentkit.events import Replied, ToolFinished, ToolStarted, UserMessage, dump_line
from agentkit.testing import Call, Say, ScriptedModel

STEPS = 4
TASK = "post four items"


def brain(request):
    """Answer by what stands in the prompt: an unknown outcome is looked into, then made good."""
    results = {m["tool_call_id"]: m["content"] for m in request["messages"] if m["role"] == "tool"}
    for step in range(STEPS):
        attempt = 0
        post = Call("post", {"item": f"item{step}"}, id=f"post-{step}-0")
        if post.id not in results:
            read = Call("read", {"name": f"r{step}"}, id=f"read-{step}")
            put = Call("put", {"name": f"p{step}"}, id=f"put-{step}")
            return Say(f"step {step}", "thinking " * 20, [post, read, put])
        while not results[post.id].startswith("posted"):
            look = Call("look", {"item": f"item{step}"}, id=f"look-{step}-{attempt}")
            if look.id not in results:
                return Say("was it posted?", calls=[look])
            if results[look.id].startswith("there"):
                break
            attempt += 1
            post = Call("post", {"item": f"item{step}"}, id=f"post-{step}-{attempt}")
            if post.id not in results:
                return Say("it was not", calls=[post])
    found = [results[f"{name}-{step}"] for step in range(STEPS) for name in ("read", "put")]
    return Say("done: " + ", ".join(found))


# Made before any fork, so that no life pays for reading signatures; `here` is the life they serve.
here: Life


@tool
def post(item: str) -> str:
    """Post an item; twice is wrong."""
    time.sleep(0.0005)
    here.ran("post", item)
    time.sleep(0.001)
    return f"posted {item}"


@tool(read_only=True)
async def read(name: str) -> str:
    """Read."""
    here.ran("read", name)
    await asyncio.sleep(0.001)
    while here.hold and not here.hold.exists():  # noqa: ASYNC110 - of another process
        await asyncio.sleep(0.005)
    return f"read {name}"


@tool(idempotent=True)
async def put(name: str) -> str:
    """Put."""
    here.ran("put", name)
    await asyncio.sleep(0.002)
    return f"put {name}"


@tool(read_only=True)
def look(item: str) -> str:
    """Look whether an item was posted."""
    return "there" if f" post {item}\n" in text(here.folder, "effects") else "not there"


class Life:
    """One process's part of a run, with everything that it leaves behind on disk.

    Files: `effects` has a line for each execution of a tool, `acknowledged` each event that the
    run's subscriber was told, `answers` the output of each life that came to the end.
    """

    def __init__(self, folder: Path, number: int, hold: Path | None = None) -> None:
        self.folder, self.number, self.hold = folder, number, hold

    def write(self, name: str, line: str) -> None:
        """Add a line by one system call, which a kill cannot cut."""
        file = os.open(self.folder / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, line.encode())
        os.close(file)

    def ran(self, name: str, subject: str) -> None:
        self.write("effects", f"{self.number} {name} {subject}\n")

    async def live(self) -> None:
        """Begin the run, or go on with it."""
        store = SQLiteStore(self.folder)
        known = await store.runs(1)
        agent = Agent(
            ScriptedModel(brain),
            tools=[post, read, put, look],
            store=store,
            limits=Limits(turns=100),
            strict=True,
        )

        def told(event):
            if hasattr(event, "seq"):
                self.write("acknowledged", dump_line(event).decode())

        async with agent.open(told, run_id=known[0].run_id if known else None) as run:
            is_asked = any(isinstance(event.body, UserMessage) for event in run.events)
            result = await (run.resume() if is_asked else run.send(TASK))
        self.write("answers", result.output + "\n")
        await store.close()


def text(folder: Path, name: str) -> str:
    path = folder / name
    return path.read_text() if path.exists() else ""


def born(life: Life, ready: int | None = None) -> int:
    """Fork a process that lives a life; its exit code is 0, or 3 when another has the run."""
    global here  # noqa: PLW0603 - of the child alone
    sys.stdout.flush()
    if child := os.fork():
        return child
    code = 1
    try:
        here = life
        if ready is not None:
            os.read(ready, 1)
        asyncio.run(life.live())
        code = 0
    except RunTaken as error:
        life.write("taken", str(error))
        code = 3
    except BaseException as error:  # noqa: BLE001 - told, then the process ends
        life.write("failed", f"{life.number}: {error!r}\n")
    finally:
        os._exit(code)


def ends_within(child: int, seconds: float) -> bool:
    """Wait for a process, but not longer than so many seconds."""
    file = os.pidfd_open(child)
    try:
        return bool(select.select([file], [], [], seconds)[0])
    finally:
        os.close(file)


def load(folder: Path):
    async def main():
        store = SQLiteStore(folder)
        try:
            known = await store.runs(1)
            return await store.load(known[0].run_id) if known else []
        finally:
            await store.close()

    return asyncio.run(main())


class Trial:
    """A run that is killed several times; what is wrong with it is collected in `faults`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.faults: list[str] = []
        self.points: list[str] = []
        self.outcomes: Counter[str] = Counter()
        self.lives = 0
        self.seconds = 0.0
        self.log = []

    def once(self, delay: float | None) -> bool:
        """Let one more process live, for at most so many seconds; return whether it was killed."""
        self.lives += 1
        before = self.log
        effects = len(text(self.folder, "effects").splitlines())
        child = born(Life(self.folder, self.lives))
        began = time.perf_counter()
        if delay is not None and not ends_within(child, delay):
            os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        self.seconds = time.perf_counter() - began
        if status not in (0, -signal.SIGKILL):
            self.faults.append(f"life {self.lives} ended with {status}")
        self.log = load(self.folder)
        self.check_log()
        self.check_effects(before, text(self.folder, "effects").splitlines()[effects:])
        if status == 0:
            return False
        self.points.append(self.log[-1].kind if self.log else "before the first event")
        return True

    def check_log(self) -> None:
        """Every event that somebody was told of is in the log, byte by byte, without a gap."""
        lines = {dump_line(event).decode() for event in self.log}
        told = text(self.folder, "acknowledged").splitlines(keepends=True)
        self.faults += [f"lost: {line}" for line in told if line not in lines]
        if [event.seq for event in self.log] != list(range(len(self.log))):
            self.faults.append("a gap in the log")

    def check_effects(self, before, executed) -> None:
        """What had a result before this life was not executed in it; nor a post that had begun."""
        bodies = [event.body for event in before]
        subjects = {
            body.call_id: f"{body.name} {next(iter(body.arguments.values()))}"
            for body in bodies
            if isinstance(body, ToolStarted)
        }
        results = {body.call_id for body in bodies if isinstance(body, ToolFinished)}
        done = {subjects[call] for call in results if call in subjects} - self.unknown(bodies)
        for line in executed:
            if line.split(" ", 1)[1] in done:
                self.faults.append(f"again: {line}")

    @staticmethod
    def unknown(bodies) -> set[str]:
        """Posts whose outcome was unknown: the model may have them made again."""
        items = [b.call_id for b in bodies if isinstance(b, ToolFinished) and b.status == "unknown"]
        return {f"post item{call.split('-')[1]}" for call in items}

    def check_end(self) -> None:
        """Each item is posted once; calls that were cut are unknown, or were run again."""
        effects = text(self.folder, "effects").splitlines()
        posted = [line.split()[2] for line in effects if " post " in line]
        if sorted(posted) != [f"item{step}" for step in range(STEPS)]:
            self.faults.append(f"posted {posted}")
        started = Counter(e.body.call_id for e in self.log if isinstance(e.body, ToolStarted))
        for event in self.log:
            if not isinstance(event.body, ToolFinished):
                continue
            name, status = event.body.name, event.body.status
            again = started[event.body.call_id] > 1
            self.outcomes[f"{name} {status}{' after it was cut' if again else ''}"] += 1
            if status != "ok" and (name, status) != ("post", "unknown"):
                self.faults.append(f"{event.body.call_id} is {status}")
            if name == "post" and again:
                self.faults.append(f"{event.body.call_id} was started twice")
        calls = [
            c.id for e in self.log if isinstance(e.body, Replied) for c in e.body.message.tool_calls
        ]
        results = [e.body.call_id for e in self.log if isinstance(e.body, ToolFinished)]
        if sorted(calls) != sorted(results):
            self.faults.append("calls without exactly one result")
        self.faults += [line for line in text(self.folder, "failed").splitlines() if line]

    def line(self, **more) -> str:
        return json.dumps(
            {
                "faults": self.faults,
                "points": self.points,
                "lives": self.lives,
                "outcomes": self.outcomes,
                "answers": text(self.folder, "answers").splitlines(),
                **more,
            }
        )


def crash(folder: Path, kills: int, seed: int) -> None:
    """Kill runs until so many kills met one that lived; each is gone on with until it ends."""
    chance = random.Random(seed)
    whole = []
    for number in range(3):
        trial = Trial(folder / f"whole{number}")
        trial.once(None)
        whole.append(trial.seconds)
    number = 0
    while kills > 0:
        trial = Trial(folder / str(number))
        number += 1
        # Some runs are killed once, others again and again while they go on.
        for _ in range(chance.choice((1, 2, 4))):
            # A machine's pace changes: what a whole run takes is measured all the time.
            if not trial.once(chance.uniform(0, statistics.median(whole[-5:]))):
                break
        kills -= len(trial.points)
        while not text(trial.folder, "answers"):
            trial.once(None)
            if trial.faults:
                break
        if trial.lives == 1:
            whole.append(trial.seconds)
        trial.check_end()
        print(trial.line(), flush=True)


def rivals(folder: Path) -> None:
    """Kill a run in the middle of a call, then let two processes go on with it at once."""
    trial, told = Trial(folder / "rivals"), folder / "rivals" / "taken"
    child = born(Life(trial.folder, 1, hold=told))
    while " read r0" not in text(trial.folder, "effects"):
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    ready, go = os.pipe()
    children = [born(Life(trial.folder, number, told), ready) for number in (2, 3)]
    os.write(go, b"..")
    codes = [os.waitstatus_to_exitcode(os.waitpid(one, 0)[1]) for one in children]
    trial.log = load(trial.folder)
    trial.check_log()
    trial.check_end()
    print(trial.line(codes=sorted(codes), taken=text(trial.folder, "taken")))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rivals", action="store_true")
    options = parser.parse_args()
    if options.rivals:
        rivals(options.folder)
    else:
        crash(options.folder, options.kills, options.seed)


if __name__ == "__main__":
    main()
