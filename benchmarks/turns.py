"""CPU per turn of an agent against a bare httpx loop, on the same server in another process.

The floor keeps a list of messages, sends it whole with `json=` each turn, does not stream, checks
nothing and logs nothing. agentkit streams, validates the arguments and writes the durable log.

    python -m benchmarks.turns [--rounds 5] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time

TURNS = (10, 100, 250)
AGENTS, AGENT_TURNS = 50, 20
THINKING = "I look the next key up, because the task says to go on until the last one is known. "
RESULT = "value of the key, with some words around it as a real tool would give them. " * 6
TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Look a key up.",
        "parameters": {
            "type": "object",
            "properties": {"key": {"type": "integer"}, "table": {"type": "string"}},
            "required": ["key", "table"],
        },
    },
}


async def serve() -> None:
    """Serve until standard input closes; each conversation ends after the turns it asks for."""
    from agentkit.testing import Call, GLMServer, Say

    def brain(request: dict) -> Say:
        user = next(m for m in request["messages"] if m["role"] == "user")
        done = sum(message["role"] == "assistant" for message in request["messages"])
        if done + 1 >= int(user["content"].split()[-1]):
            return Say("The answer is 42.")
        return Say("", THINKING, [Call("look_up", {"key": done, "table": "numbers"})])

    async with GLMServer(brain) as server:
        server._cache.usage = lambda request, answer: {  # noqa: SLF001 - keep the server quick
            "prompt_tokens": 100,
            "completion_tokens": 10,
            "total_tokens": 110,
        }
        print(server.base_url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


async def floor(base_url: str, turns: int, client) -> None:
    """Run the bare loop."""
    messages = [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": f"Go on for turns: {turns}"},
    ]
    while True:
        body = {"model": "glm-5", "messages": messages, "tools": [TOOL]}
        response = await client.post(f"{base_url}/chat/completions", json=body)
        message = response.json()["choices"][0]["message"]
        for call in message.get("tool_calls", ()):
            call.pop("index")
        messages.append(message)
        if not message.get("tool_calls"):
            return
        for call in message["tool_calls"]:
            arguments = json.loads(call["function"]["arguments"])
            content = await look_up(**arguments)
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": content})


async def look_up(key: int, table: str) -> str:
    """Look a key up."""
    return f"{table} {key}: {RESULT}"


async def run_floor(base_url: str, turns: int, agents: int) -> None:
    """Run several bare loops at once."""
    import httpx

    async with httpx.AsyncClient(timeout=60, trust_env=False) as client, asyncio.TaskGroup() as tg:
        for _ in range(agents):
            tg.create_task(floor(base_url, turns, client))


async def run_agentkit(base_url: str, turns: int, agents: int) -> None:
    """Run several agents at once, with streaming, validation and the durable log."""
    from agentkit import GLM, Agent, Limits, SQLiteStore

    with tempfile.TemporaryDirectory() as folder:
        store = SQLiteStore(folder)
        agent = Agent(
            GLM(base_url=base_url), tools=[look_up], limits=Limits(turns=turns + 1), store=store
        )
        async with asyncio.TaskGroup() as group:
            for _ in range(agents):
                group.create_task(agent.run(f"Go on for turns: {turns}"))
        await store.close()


def measure(kind: str, base_url: str, turns: int, agents: int) -> dict:
    """Measure one run in this process: CPU ms per turn, wall ms per turn, peak RSS in MB."""
    run = {"floor": run_floor, "agentkit": run_agentkit}[kind]
    asyncio.run(run(base_url, 2, 1))  # imports and first connections are not what is measured
    cpu, wall = time.process_time(), time.perf_counter()
    asyncio.run(run(base_url, turns, agents))
    count = turns * agents
    return {
        "cpu": (time.process_time() - cpu) * 1000 / count,
        "wall": (time.perf_counter() - wall) * 1000 / count,
        "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def once(kind: str, base_url: str, turns: int, agents: int) -> dict:
    """Measure in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.turns", "--one", kind, base_url]
    command += [str(turns), str(agents)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def compare(base_url: str, turns: int, agents: int, rounds: int) -> dict:
    """Measure both sides by turns and return the medians and their ratio."""
    pairs = [
        (once("floor", base_url, turns, agents), once("agentkit", base_url, turns, agents))
        for _ in range(rounds)
    ]
    ratios = [ours["cpu"] / bare["cpu"] for bare, ours in pairs]
    return {
        "turns": turns,
        "agents": agents,
        "floor_ms": statistics.median(bare["cpu"] for bare, _ in pairs),
        "agentkit_ms": statistics.median(ours["cpu"] for _, ours in pairs),
        "ratio": statistics.median(ratios),
        "best": min(ratios),
        "floor_rss": statistics.median(bare["rss"] for bare, _ in pairs),
        "rss": statistics.median(ours["rss"] for _, ours in pairs),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
    elif options.one:
        kind, base_url, turns, agents = options.one
        print(json.dumps(measure(kind, base_url, int(turns), int(agents))))
    else:
        table(options.rounds, as_json=options.json)


def table(rounds: int, *, as_json: bool) -> None:
    """Start the server, measure every size, print a row each."""
    command = [sys.executable, "-m", "benchmarks.turns", "--serve"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        base_url = server.stdout.readline().strip()
        if not as_json:
            print("CPU ms per turn, medians; ratio = agentkit / bare httpx loop (goal 1.5)")
            print(" turns agents   floor agentkit  ratio   RSS MB: floor, agentkit")
        for turns, agents in (*((turns, 1) for turns in TURNS), (AGENT_TURNS, AGENTS)):
            row = compare(base_url, turns, agents, rounds)
            if as_json:
                print(json.dumps(row), flush=True)
            else:
                print(
                    f"{turns:>6} {agents:>6} {row['floor_ms']:>7.2f} {row['agentkit_ms']:>8.2f}"
                    f" {row['ratio']:>6.2f} {row['floor_rss']:>5.0f} {row['rss']:>6.0f}",
                    flush=True,
                )
        server.stdin.close()


if __name__ == "__main__":
    main()
