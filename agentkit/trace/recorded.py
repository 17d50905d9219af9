"""A stored run with what its log names: the system prompt, the tools, the runs of sub-agents."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from agentkit.context.transcript import UNRESOLVED, fold
from agentkit.errors import LogUnreadable, RunNotFound
from agentkit.events import (
    Event,
    Reminder,
    Replied,
    RunPaused,
    RunResumed,
    RunStarted,
    ToolFinished,
    UserMessage,
)
from agentkit.messages import Message
from agentkit.store import Store

_SPOKEN = (UserMessage, Reminder, Replied, ToolFinished)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One run as it was recorded.

    Attributes:
        events: its log.
        instructions: the system prompt, as last resumed.
        tools: the tool list as the model was sent it, as last resumed.
        children: runs of sub-agents that serve its calls and are in the store, in the order of
            their results; then those that wait.
    """

    events: tuple[Event, ...]
    instructions: str
    tools: tuple[dict[str, Any], ...]
    children: tuple[Recorded, ...] = ()

    @property
    def started(self) -> RunStarted:
        """The body of the first event."""
        return _started(self.events)

    def messages(self) -> list[Message]:
        """Return the whole conversation as it happened, whatever was later cleared or compacted.

        Calls that the log left open have a result that says so.
        """
        spoken = [event.body for event in self.events if isinstance(event.body, _SPOKEN)]
        transcript = fold(spoken, self.instructions, lambda _: b"")
        for call in transcript.open_calls:
            transcript.apply(
                ToolFinished(call_id=call, name="", status="unknown", content=UNRESOLVED)
            )
        return transcript.messages


async def read_run(store: Store, run_id: str, *, prompt: bool = True) -> Recorded:
    """Return a run and, with it, the runs of its sub-agents.

    Args:
        store: that has them.
        run_id: of the run, or the beginning of its id.
        prompt: False leaves the instructions and tools out: the events alone are wanted.

    Raises:
        RunNotFound: no such run, or several begin with `run_id`.
        LogUnreadable: the log is damaged.
        StoreError: the system prompt or the tool list is missing.
    """
    events = tuple(await store.load(run_id))
    last = _started(events)
    for event in events:
        if isinstance(event.body, RunResumed):
            last = event.body
    listed = await store.get_blob(last.tools) if prompt else b""
    return Recorded(
        events,
        (await store.get_blob(last.instructions)).decode() if prompt else "",
        tuple(orjson.loads(listed)) if listed else (),
        tuple([child async for child in _children(store, events, prompt=prompt)]),
    )


async def _children(
    store: Store, events: Iterable[Event], *, prompt: bool
) -> AsyncIterator[Recorded]:
    bodies = [event.body for event in events]
    served = [one.sub_run for one in bodies if isinstance(one, ToolFinished) and one.sub_run]
    paused = [sub for one in bodies if isinstance(one, RunPaused) for sub in one.sub_runs.values()]
    for run_id in dict.fromkeys(sub.run_id for sub in (*served, *paused)):
        try:
            yield await read_run(store, run_id, prompt=prompt)
        except RunNotFound:  # pruned, or kept in another store
            continue


def _started(events: tuple[Event, ...]) -> RunStarted:
    first = events[0].body if events else None
    if not isinstance(first, RunStarted):
        raise LogUnreadable(
            f"The log begins with {first.kind if first else 'nothing'!r}; expected 'run_started'."
        )
    return first
