"""The runs below a run: those of sub-agents that serve its calls, and what waits in them.

A call whose sub-agent waits for an approval stays open, and the sub-agent's own log says what it
waits for: nothing of that is written twice. So whoever opens the run above reads these logs, and
an answer is written to the log of the run that asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol

from agentkit.agent.standing import Standing
from agentkit.context.transcript import UNRESOLVED
from agentkit.errors import ConfigError, LogUnreadable, RunNotFound
from agentkit.events import ApprovalAnswered, Event, Nested, SubRun, ToolFinished, now
from agentkit.store import Store
from agentkit.tool import Question
from agentkit.usage import Spent


class PausedRun:
    """The run of a sub-agent that nobody works on, while the call that it serves is open.

    Attributes:
        id: id of the run.
        call_id: the call above that it serves.
        standing: where it stands.
        children: the paused runs below it, by id.
    """

    def __init__(self, call_id: str, events: Sequence[Event]) -> None:
        self.id = events[0].run_id
        self.call_id = call_id
        self.standing = Standing()
        self.children: dict[str, PausedRun] = {}
        self._length = 0
        self._fold(events)

    @property
    def pending(self) -> tuple[Question, ...]:
        """Calls that wait for approval here and below."""
        below = [question for child in self.children.values() for question in child.pending]
        return (*questions(self.id, self.standing), *below)

    def measure(self) -> Spent:
        """Return what was spent here and below."""
        spent = self.standing.spent
        for child in self.children.values():
            part = child.measure()
            spent = spent.plus(part.usage, part.cost_usd, turns=0)
        return spent

    async def answer(self, run_id: str, body: ApprovalAnswered, store: Store) -> Nested | None:
        """Log an answer in the run that asked, if that is this one or one below.

        Returns:
            The event as the subscribers above are told it; None where no such run is.

        Raises:
            ConfigError: it was answered meanwhile.
            RunTaken: somebody works on that run.
            StoreError: the log could not be written.
        """
        if run_id == self.id:
            return Nested(self.call_id, self.id, await self._log(body, store))
        for child in self.children.values():
            if (told := await child.answer(run_id, body, store)) is not None:
                return Nested(self.call_id, self.id, told)
        return None

    async def _log(self, body: ApprovalAnswered, store: Store) -> Event:
        claim = await store.claim(self.id)
        try:
            self._fold(await store.load(self.id, self._length - 1))
            if all(asked.call_id != body.call_id for asked in self.standing.waiting):
                raise ConfigError(
                    f"Call {body.call_id!r} of run {self.id} waits no longer: it was answered "
                    "meanwhile. Resume the run."
                )
            event = Event(self.id, self._length, now(), body)
            await store.append(self.id, [event], self._length, claim)
            self._fold([event])
        finally:
            await store.release(claim)
        return event

    def _fold(self, events: Sequence[Event]) -> None:
        for event in events:
            self.standing.apply(event.body)
        self._length += len(events)


async def paused_runs(store: Store, run_id: str, standing: Standing) -> dict[str, PausedRun]:
    """Read the runs of sub-agents that serve a run's open calls, and return them by id.

    What cannot be read is left out: the call itself will say so.
    """
    found: dict[str, PausedRun] = {}
    for call in standing.open_calls:
        if call.id not in standing.started:
            continue
        served_by = child_id(run_id, call.id, standing.uses[call.id])
        try:
            child = PausedRun(call.id, await store.load(served_by))
        except (RunNotFound, LogUnreadable):
            continue
        child.children = await paused_runs(store, child.id, child.standing)
        found[child.id] = child
    return found


class Spender(Protocol):
    """A run that knows what it spent."""

    id: str

    def measure(self) -> Spent:
        """Return what was spent up to this moment."""
        ...


def sub_run(child: Spender) -> SubRun:
    """Return what the log of a run says of a run below it."""
    spent = child.measure()
    return SubRun(child.id, spent.turns, spent.usage, spent.cost_usd)


def left_behind(child: PausedRun, above: Standing) -> ToolFinished:
    """Return the end of a call that a paused run serves, for a run that goes on without it."""
    return ToolFinished(
        call_id=child.call_id,
        name=above.calls[child.call_id].name,
        status="cancelled",
        content=UNRESOLVED,
        sub_run=sub_run(child),
    )


def questions(run_id: str, standing: Standing) -> tuple[Question, ...]:
    """Return the calls of one run that wait for approval."""
    return tuple(
        Question(run_id, asked.call_id, asked.name, asked.arguments, asked.reason)
        for asked in standing.waiting
    )


def named(said: str, pending: Sequence[Question], run_id: str) -> Question:
    """Return the question that is meant by a call's id, its address, or the beginning of one.

    Args:
        said: a call id, or `run id/call id`; of each id the beginning is enough.
        pending: what waits.
        run_id: of the run that waits, for the error.

    Raises:
        ConfigError: no such call waits, or several do.
    """
    exact = [one for one in pending if said in (one.call_id, one.address)]
    found = exact or [one for one in pending if _begins(one, said)]
    if len(found) == 1:
        return found[0]
    if found:
        addresses = ", ".join(f"{one.address} ({one.tool})" for one in found)
        raise ConfigError(
            f"{said!r} may mean several of the calls for which run {run_id} waits. Give the whole "
            f"address of one: {addresses}."
        )
    waiting = ", ".join(f"{label(one, pending)} ({one.tool})" for one in pending)
    raise ConfigError(
        f"No call {said!r} of run {run_id} waits for approval. Waiting: {waiting or 'none'}."
    )


def label(question: Question, pending: Sequence[Question]) -> str:
    """Return the shortest whole name of a call among those that wait."""
    same = [one for one in pending if one.call_id == question.call_id]
    return question.call_id if len(same) == 1 else question.address


def child_id(parent_id: str, call_id: str, use: int = 1) -> str:
    """Return the id of the run that serves a call: the same call, the same run.

    Args:
        parent_id: of the run that made the call.
        call_id: id of the call.
        use: how many of the run's replies had a call of this id, with this one.
    """
    again = f"\0{use}" if use > 1 else ""
    own = hashlib.sha256(f"{parent_id}/{call_id}{again}".encode()).hexdigest()
    return parent_id[:12] + own[:12]


async def is_there(store: Store, run_id: str) -> bool:
    """Return whether the store has this run."""
    try:
        await store.load(run_id)
    except RunNotFound:
        return False
    return True


def _begins(question: Question, said: str) -> bool:
    run, _, call = said.partition("/")
    by_address = run and call and question.run_id.startswith(run)
    return question.call_id.startswith(said) or bool(
        by_address and question.call_id.startswith(call)
    )
