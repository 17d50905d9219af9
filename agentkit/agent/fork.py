"""Forks: a copy of a log's head, from which another run goes on."""

from __future__ import annotations

from dataclasses import replace

from agentkit.errors import ConfigError
from agentkit.events import Body, Event, RunStarted, ToolFinished, UserMessage, new_run_id
from agentkit.store import Store


async def fork(store: Store, run_id: str, *, at: int | None = None, edit: str | None = None) -> str:
    """Copy the head of a run into a new one and return the new one's id.

    `Agent.resume` goes on with it; another model, instructions or tools need
    `accept_changes=True` there. The first run stays as it is. A sub-agent whose call had no result
    yet begins its task anew in the fork.

    Args:
        store: that has the run, and gets the new one.
        run_id: of the run, or the beginning of its id.
        at: `seq` of the last event that is copied. Default: the last of the log that is not the
            run's end.
        edit: other text for that event, which has to be a user message or a tool's result.

    Raises:
        ConfigError: no event has this `seq`, or it has no text to edit.
        RunNotFound: no such run.
    """
    events = await store.load(run_id)
    last = _last_of_work(events) if at is None else at
    if not 0 <= last < len(events):
        raise ConfigError(
            f"Run {events[0].run_id} has events 0 to {len(events) - 1}, no event {last}."
        )
    bodies = [event.body for event in events[: last + 1]]
    origin = bodies[0]
    assert isinstance(origin, RunStarted)
    bodies[0] = replace(
        origin, forked_from=events[0].run_id, forked_at=last, parent_run=None, parent_call=None
    )
    if edit is not None:
        bodies[last] = _edited(bodies[last], edit, last)
    forked = new_run_id()
    copies = [
        Event(forked, event.seq, event.at, body)
        for event, body in zip(events, bodies, strict=False)
    ]
    await store.append(forked, copies, 0)
    return forked


def _last_of_work(events: list[Event]) -> int:
    ends = ("run_finished", "run_failed", "run_interrupted", "run_paused")
    return max(event.seq for event in events if event.kind not in ends)


def _edited(body: Body, text: str, seq: int) -> Body:
    if isinstance(body, UserMessage | ToolFinished):
        return replace(body, content=text)
    raise ConfigError(
        f"Event {seq} is a {body.kind}; only a user_message or a tool_finished can be edited."
    )
