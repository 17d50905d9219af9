"""What the context costs in CPU, and what survives many compactions.

    python -m benchmarks.endurance [--json]

Requests: time to build one at 10 and at 1,000 turns, beyond the join of its bytes (goal: 1.5x).
Fold: a log of 10,000 events (goal: 100 ms). Retention: 30 constraints and 30 artifacts through 10
compactions and more.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time

RULES = 30
STEPS = 400


def log(turns: int) -> list:
    """Return the bodies of a run of so many turns, two calls each."""
    from agentkit.events import Replied, ToolFinished, ToolStarted, UserMessage
    from agentkit.messages import Assistant, ToolCall
    from agentkit.usage import Usage

    bodies: list = [UserMessage(content="go on")]
    for turn in range(turns):
        ids = [f"c{turn}.{index}" for index in range(2)]
        calls = tuple(ToolCall(one, "look_up", '{"key":1}') for one in ids)
        bodies.append(
            Replied(
                message=Assistant("", "I look it up. " * 8, calls),
                usage=Usage(100 + 300 * turn, 64 + 300 * turn, 60, 30),
                cost_usd=0.001,
                finish_reason="tool_calls",
                model="glm-5",
                request_digest="",
                seconds=1.0,
            )
        )
        bodies += [ToolStarted(call_id=one, name="look_up", arguments={"key": 1}) for one in ids]
        bodies += [
            ToolFinished(call_id=one, name="look_up", status="ok", content=f"{one} value " * 40)
            for one in ids
        ]
    return bodies


def fresh():
    """Return an empty context."""
    from agentkit.context import Context
    from agentkit.model import wire
    from agentkit.model.providers import ZAI

    return Context("Be helpful.", b"[]", lambda message: wire.encode(message, ZAI))


def fold_ms() -> float:
    """Return the best time of folding 10,000 events, in milliseconds."""
    bodies = log(2_000)[:10_000]
    times = []
    for _ in range(7):
        context = fresh()
        began = time.process_time()
        for body in bodies:
            context.apply(body)
        times.append(time.process_time() - began)
    return min(times) * 1000


def request_us(turns: int) -> tuple[float, float]:
    """Return microseconds of building the next request, and of joining its bytes.

    Each request follows a turn, as in a run, so that its new messages are looked at once.
    """
    context = fresh()
    builds, joins = [], []
    more = log(turns + 200)
    step = 5
    for body in more[: 1 + step * turns]:
        context.apply(body)
    context.request()
    for at in range(1 + step * turns, len(more) - step, step):
        for body in more[at : at + step]:
            context.apply(body)
        began = time.perf_counter()
        request, _ = context.request()
        built = time.perf_counter()
        b",".join(request.messages)
        joins.append(time.perf_counter() - built)
        builds.append(built - began)
    return sorted(builds)[len(builds) // 2] * 1e6, sorted(joins)[len(joins) // 2] * 1e6


async def retention() -> dict:
    """Run until ten compactions and more have gone by; count what is still there."""
    from agentkit import Agent, Limits, MemoryStore, ToolResult, tool
    from agentkit.context import Compact, ContextPolicy
    from agentkit.testing import Call, Say, ScriptedModel
    from agentkit.tool import Artifact
    from benchmarks.replay import text_of

    rules = [f"Rule {index}: you must never import library_{index}." for index in range(RULES)]
    prompts: list[str] = []

    @tool
    def draw(step: int) -> ToolResult:
        """Draw a plot."""
        data = f"plot {step}".encode()
        return ToolResult(text_of(400, f"r{step}"), (Artifact(f"{step}.png", "image/png", data),))

    @tool
    def work(step: int) -> str:
        """Do a step."""
        return text_of(600, f"w{step}")

    def brain(request: dict) -> Say:
        messages = request["messages"]
        if messages[-1]["content"].startswith("[Upkeep of the context"):
            return Say(f"+ state | step {sum(len(prompt) for prompt in prompts) % 90} is done")
        prompts.append("\n".join(str(message["content"]) for message in messages))
        step = len(prompts)
        name = "draw" if step <= RULES + 2 else "work"  # two of these steps are answers
        return Say(calls=[Call(name, {"step": step})]) if step % 12 else Say("next")

    store = MemoryStore()
    policy = ContextPolicy(
        offload=None, clear=None, compact=Compact(at=14_000, tail=2_000, summary=900, floor=1_000)
    )
    agent = Agent(
        ScriptedModel(brain),
        tools=[draw, work],
        limits=Limits(turns=None),
        store=store,
        context=policy,
        strict=True,
    )
    async with agent.open() as run:
        for rule in rules:
            await run.send(f"{text_of(900, rule)}\n{rule}" if rules.index(rule) % 2 else rule)
        bodies = [event.body for event in run.events]
    return await kept(bodies, prompts, rules, store)


async def kept(bodies: list, prompts: list[str], rules: list[str], store) -> dict:
    """Count what the last prompt still says, and what the store still has."""
    refs = [
        ref
        for body in bodies
        for ref in getattr(body, "artifacts", ())
        if body.kind != "run_finished"
    ]
    blobs = [await store.get_blob(ref.sha256) for ref in refs]
    return {
        "turns": len(prompts),
        "compactions": sum(body.kind == "compacted" for body in bodies),
        "constraints": len(rules),
        "constraints_verbatim": sum(rule in prompts[-1] for rule in rules),
        "artifacts": len(refs),
        "artifacts_named": sum(ref.sha256 in prompts[-1] for ref in refs),
        "artifacts_recovered": sum(blob.startswith(b"plot ") for blob in blobs),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    (short, join_short), (long, join_long) = request_us(10), request_us(1_000)
    found = {
        "request_us_at_10_turns": round(short, 1),
        "request_us_at_1000_turns": round(long, 1),
        "request_ratio": round(long / short, 2),
        "join_us_at_10_turns": round(join_short, 1),
        "join_us_at_1000_turns": round(join_long, 1),
        "fold_ms_of_10000_events": round(fold_ms(), 1),
        **asyncio.run(retention()),
    }
    if options.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name.replace('_', ' '):<28} {value}")


if __name__ == "__main__":
    main()
