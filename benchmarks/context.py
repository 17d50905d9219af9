"""Dollars of context policies on recorded sessions, through the real context and a truthful cache.

    python -m benchmarks.context [--sessions FILE] [--json] [--policies a,b] [--reread 0.05]
                                 [--opened 0.5] [--head N] [--server] [--jobs N]

One row per session and policy: dollars, cached share, overflows, edits, compactions, cached share
of the summary requests, re-reads. How re-reads are simulated: `benchmarks.replay`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.peers import OURS, PEERS
from benchmarks.replay import WINDOW, Player, Rates, ReplayModel, Session, text_of

SESSIONS = Path(__file__).parent / "data" / "sessions.json"
POLICIES = {**OURS, **PEERS}
RIVAL = "summarise_85_fresh_20k"


async def play(session: Session, name: str, rates: Rates, *, server: bool = False) -> dict:
    """Play one session under one policy and return its row."""
    from agentkit import GLM, Agent, Limits, MemoryStore, tool
    from agentkit.errors import PromptTooLong
    from agentkit.testing import GLMServer

    player = Player(session, rates, None if name == "none" else WINDOW)

    @tool
    def work(key: str) -> str:
        """Work on a key."""
        return player.result(key)

    direct = ReplayModel(player)
    async with GLMServer(player, chunk_size=1 << 20) as endpoint:
        model = GLM(base_url=endpoint.base_url) if server else direct
        agent = Agent(
            model,
            instructions=text_of(max(session.system - 600, 1), f"{session.id}/system"),
            tools=[work],
            limits=Limits(turns=None),
            store=MemoryStore(),
            context=POLICIES[name],
            strict=True,
        )
        died = ""
        async with agent.open() as run:
            direct.foresee = lambda: run.context.tokens
            try:
                for said in session.users():
                    await run.send(said)
            except PromptTooLong:
                died = f"overflow at turn {player.turn}"
            return row(session, name, run, player, direct) | {"died": died}


def row(session: Session, name: str, run, player: Player, model: ReplayModel) -> dict:
    """Return what one run came to."""
    from agentkit.context import spent_on_summary

    bodies = [event.body for event in run.events]
    summaries = [spent[0] for body in bodies if (spent := spent_on_summary(body))]
    asked = sum(usage.input for usage in summaries)
    replies = [body.usage for body in bodies if body.kind == "replied"]
    errors = [abs(seen - was) / was for seen, was in model.estimates]
    return {
        "session": session.id,
        "policy": name,
        "turns": player.turn,
        "dollars": round(run.spent.cost_usd, 4),
        "cached_share": round(run.spent.usage.cached_share, 4),
        "overflows": player.overflows,
        "edits": sum(body.kind in {"cleared", "compacted"} for body in bodies),
        "compactions": sum(body.kind == "compacted" for body in bodies),
        "summaries_refused": sum(
            body.kind == "noted" and body.topic == "summary" and bool(body.data["problems"])
            for body in bodies
        ),
        "summary_cached_share": round(sum(u.cached for u in summaries) / asked, 4)
        if asked
        else None,
        "rereads": player.rereads,
        "mean_context": round(statistics.fmean([usage.input for usage in replies] or [0])),
        "largest_context": max((usage.input for usage in replies), default=0),
        "prefix_breaks": sum(
            body.kind == "noted" and body.topic == "prefix_break" for body in bodies
        ),
        "estimate_errors": [round(error, 5) for error in errors],
    }


def one(task: tuple) -> dict:
    """Play in a process of its own."""
    session, name, rates, server = task
    return asyncio.run(play(session, name, rates, server=server))


def main() -> None:
    """Play what was asked for and print it."""
    options = arguments()
    data = json.loads(options.sessions.read_text("utf-8"))
    sessions = [Session.load(each) for each in data["sessions"]]
    sessions = [each for at, each in enumerate(sessions) if options.only in {None, at}]
    if options.head:
        sessions = [session.head(options.head) for session in sessions]
    rates = Rates(options.reread, options.opened)
    names = options.policies.split(",") if options.policies else list(POLICIES)
    tasks = [(session, name, rates, options.server) for session in sessions for name in names]
    rows: list[dict] = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for found in pool.map(one, tasks):
            rows.append(found)
            if options.json:
                print(json.dumps({k: v for k, v in found.items() if k != "estimate_errors"}))
            else:
                print(f"\r{len(rows)} of {len(tasks)}", end="", file=sys.stderr, flush=True)
    if not options.json:
        print(file=sys.stderr)
        table(rows, names)


def table(rows: list[dict], names: list[str]) -> None:
    """Print dollars by session and policy, and a line of sums for each policy."""
    print("dollars by session; * died of a prompt that was too long")
    print(" " * 24 + "".join(f"{name[:14]:>15}" for name in names))
    for at in range(len(rows) // len(names)):
        group = rows[at * len(names) : (at + 1) * len(names)]
        cells = (f"{r['dollars']:>14.2f}{'*' if r['died'] else ' '}" for r in group)
        print(f"{at:>2} {group[0]['session'][:20]:<21}" + "".join(cells))
    print()
    print(
        f"{'policy':<24}      $  to rival  cached overflows died edits compact. refused "
        "sum.cached rereads mean ctx"
    )
    total = {name: [row for row in rows if row["policy"] == name] for name in names}
    rival = sum(row["dollars"] for row in total.get(RIVAL, []))
    for name, group in total.items():
        dollars = sum(row["dollars"] for row in group)
        asked = [row["summary_cached_share"] for row in group if row["summary_cached_share"]]
        print(
            f"{name:<24} {dollars:>7.2f} {dollars / rival if rival else 0:>8.2f} "
            f"{statistics.fmean(row['cached_share'] for row in group):>8.3f} "
            f"{sum(row['overflows'] for row in group):>7} "
            f"{sum(bool(row['died']) for row in group):>5} "
            f"{sum(row['edits'] for row in group):>6} "
            f"{sum(row['compactions'] for row in group):>6} "
            f"{sum(row['summaries_refused'] for row in group):>8} "
            f"{min(asked) if asked else 0:>9.3f} {sum(row['rereads'] for row in group):>8} "
            f"{statistics.fmean(row['mean_context'] for row in group):>9,.0f}"
        )
    errors = sorted(error for row in rows for error in row["estimate_errors"])
    if errors:
        print(
            f"\nestimate of the next prompt, {len(errors):,} requests: median error "
            f"{errors[len(errors) // 2]:.3%}, p99 {errors[int(len(errors) * 0.99)]:.3%}, "
            f"worst {errors[-1]:.3%}"
        )


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=Path, default=SESSIONS)
    parser.add_argument("--policies", help=f"some of {','.join(POLICIES)}")
    parser.add_argument("--reread", type=float, default=0.05, help="needs of an old result a turn")
    parser.add_argument("--opened", type=float, default=0.5, help="share of previews opened")
    parser.add_argument("--head", type=int, help="only the first so many turns")
    parser.add_argument("--only", type=int, help="only the session with this number")
    parser.add_argument("--server", action="store_true", help="over HTTP, with the test server")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
