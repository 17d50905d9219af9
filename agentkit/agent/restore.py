"""Restoring a run from its log: what has changed since, and what was in flight."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from agentkit.errors import RunChanged, StoreError
from agentkit.events import ApprovalAsked, Body, RunResumed, RunStarted, ToolFinished
from agentkit.store import Store

if TYPE_CHECKING:
    from agentkit.agent.run import Run

UNKNOWN = (
    "The program ended while this call was running, so its outcome is unknown: its effects may or "
    "may not exist. Find out which before you call it again."
)
"""What the model reads of a call that must not be run a second time unasked."""

_SHOWN_LINES = 40


async def changed(before: RunStarted | RunResumed, after: RunResumed, store: Store) -> RunChanged:
    """Return the error that says what differs between the log's agent and this one."""
    parts: list[str] = []
    if "model" in after.changed:
        parts.append(
            f"model: {before.model} at {before.provider} -> {after.model} at {after.provider}"
        )
    if "instructions" in after.changed:
        told = await _told(store, before.instructions, after.instructions, _lines_diff)
        parts.append(f"instructions:{told}")
    if "tools" in after.changed:
        parts.append(f"tools:{await _told(store, before.tools, after.tools, _tools_diff)}")
    return RunChanged(
        "The agent is not the one that the log began with, so what was sent would not be sent "
        "again byte by byte.\n" + "\n".join(parts) + "\nGive the old agent, or accept the change "
        "with accept_changes=True (--accept-changes): the cache is lost once, and the log says so.",
        after.changed,
    )


def differences(before: RunStarted | RunResumed, after: RunResumed) -> tuple[str, ...]:
    """Return which of model, instructions and tools differ."""
    model = (before.model, before.provider) != (after.model, after.provider)
    found = {
        "model": model,
        "instructions": before.instructions != after.instructions,
        "tools": before.tools != after.tools,
    }
    return tuple(name for name, differs in found.items() if differs)


async def settle_in_flight(run: Run[Any]) -> None:
    """Decide on calls that were running when the run's process ended.

    Those of read-only and idempotent tools stay open, and the loop runs them again. The others get
    the result "unknown", or are asked about if the approval policy says so.
    """
    bodies: list[Body] = []
    for call in run.standing.open_calls:
        started = run.standing.started.get(call.id)
        tool = run.parts.tools.get(call.name)
        if started is None or (tool and (tool.read_only or tool.idempotent)):
            continue
        if tool and run.parts.approval.unknown == "ask":
            if call.id in run.standing.asked:
                continue  # since it was cut
            reason = "It was running when the program ended; its outcome is unknown. Run it again?"
            bodies.append(
                ApprovalAsked(
                    call_id=call.id, name=call.name, arguments=started.arguments, reason=reason
                )
            )
        else:
            bodies.append(
                ToolFinished(call_id=call.id, name=call.name, status="unknown", content=UNKNOWN)
            )
    if bodies:
        await run.append(bodies)


async def _told(
    store: Store, before: str, after: str, difference: Callable[[bytes, bytes], str]
) -> str:
    """Return how two blobs differ, as far as they are still there."""
    try:
        return difference(await store.get_blob(before), await store.get_blob(after))
    except StoreError as error:
        return f" the log's cannot be read any more ({error})"


def _lines_diff(before: bytes, after: bytes) -> str:
    old, new = before.decode().splitlines(), after.decode().splitlines()
    lines = list(difflib.unified_diff(old, new, "the log's", "now", lineterm="", n=1))
    return "\n" + "\n".join(lines[:_SHOWN_LINES])


def _tools_diff(before: bytes, after: bytes) -> str:
    old, new = _by_name(before), _by_name(after)
    said = [f"+{name}" for name in sorted(new.keys() - old.keys())]
    said += [f"-{name}" for name in sorted(old.keys() - new.keys())]
    both = sorted(old.keys() & new.keys())
    said += [f"{name} has another definition" for name in both if old[name] != new[name]]
    return " " + ", ".join(said)


def _by_name(listed: bytes) -> Mapping[str, Any]:
    tools: list[Any] = orjson.loads(listed) if listed else []
    return {one["function"]["name"]: one["function"] for one in tools}
