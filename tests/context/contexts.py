"""What the tests of the context share: a worker that goes on for ever, and folds of its log."""

from __future__ import annotations

import asyncio
import re

from agentkit import Agent, Limits, MemoryStore, tool
from agentkit.context import Clear, Compact, Context, ContextPolicy, Offload, without_reader
from agentkit.model import wire
from agentkit.model.catalog import Price
from agentkit.model.providers import ZAI
from agentkit.testing import Call, Say, ScriptedModel

UPKEEP = "[Upkeep of the context"
PRICE = Price(1.0, 0.2, 3.2)

SMALL = ContextPolicy(
    offload=None, clear=None, compact=Compact(at=9_000, tail=1_000, summary=900, floor=1_000)
)
"""Compacts at 9,000 tokens and does nothing else."""


def encode(message):
    return wire.encode(message, ZAI)


READING = b'[{"function":{"name":"read_result"}}]'


def fresh(policy=None, tools=b"[]", window=None, reading=READING):
    return Context(
        "system", tools, encode, reading=reading, policy=policy, price=PRICE, window=window
    )


def folded(events, system, tools, policy):
    """Return a context that has folded these events."""
    base = without_reader(tools)
    context = Context(
        system, base, encode, reading=tools, policy=policy, price=PRICE, window=202_752
    )
    for event in events:
        context.apply(event.body)
    return context


def filler(size, seed=0):
    """Return text of so many characters, different for each seed, without digits."""
    words = [
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "zeta",
        "eta",
        "theta",
        "iota",
        "kappa",
        "lambda",
        "mu",
        "nu",
    ]
    shift = seed % len(words)
    line = " ".join([*words[shift:], *words[:shift]])
    name = "".join(chr(97 + int(digit)) for digit in str(seed))
    lines = [f"{name} {line} {chr(97 + at % 26)}" for at in range(size // len(line) + 1)]
    return "\n".join(lines)[:size]


def is_upkeep(request):
    last = request["messages"][-1]
    return last["role"] == "system" and last["content"].startswith(UPKEEP)


class Watched(ScriptedModel):
    """A scripted model that remembers the bytes of each request."""

    def __init__(self, script):
        super().__init__(script)
        self.sent = []

    async def ask(self, request, emit=None, early=None):
        self.sent.append((tuple(request.messages), request.tools, request.digest))
        return await super().ask(request, emit, early)


class Worker:
    """A model that calls `work` for so many turns and then answers; it writes sound summaries.

    Attributes:
        summaries: what it says when asked for a summary, in turn; None for the usual patch.
        asked: decoded requests for a summary.
    """

    def __init__(self, turns, *, size=2_000, summaries=()):
        self.turns = turns
        self.size = size
        self.left = list(summaries)
        self.asked = []
        self.count = 0
        self.seen = []

    def __call__(self, request):
        if is_upkeep(request):
            self.asked.append(request)
            if self.left and (said := self.left.pop(0)) is not None:
                return said if isinstance(said, Say) else Say(said)
            return Say(f"+ state | step {self.word(self.count)} is done")
        self.seen.append(request)
        if self.count >= self.turns:
            return Say("finished")
        self.count += 1
        return Say("", f"thinking {self.word(self.count)}", [Call("work", {"step": self.count})])

    @staticmethod
    def word(number):
        return "".join(chr(97 + int(digit)) for digit in str(number))

    def agent(self, *, policy=SMALL, tools=(), store=None, model=None, **more):
        @tool
        def work(step: int) -> str:
            """Do one step."""
            return filler(self.size, step)

        return Agent(
            model or ScriptedModel(self),
            tools=[work, *tools],
            limits=Limits(turns=None),
            store=store or MemoryStore(),
            context=policy,
            strict=True,
            **more,
        )


def kinds(events, *names):
    return [event.body for event in events if event.kind in names]


def notes(events, topic):
    return [e.body for e in events if e.kind == "noted" and e.body.topic == topic]


HANDLE = re.compile(r'read_result\("([0-9a-f]+)"\)')
EAGER = ContextPolicy(
    offload=Offload(limit=300, preview=100, unchanged=50),
    clear=Clear(keep=2, least=1_000, pays_within=50, smallest=20),
    compact=Compact(at=9_000, tail=1_000, summary=900, floor=1_000),
)
"""Does everything early, so that small runs meet all of it."""


def work(worker, *, said="go", **options):
    """Run a worker; return its log, its model and the store."""
    store = options.pop("store", None) or MemoryStore()
    model = options.pop("model", None) or Watched(worker)

    async def main():
        async with worker.agent(store=store, model=model, **options).open() as run:
            for text in [said] if isinstance(said, str) else said:
                await run.send(text)
            return run.events

    return asyncio.run(main()), model, store
