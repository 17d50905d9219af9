"""Claims: what calls have to themselves while they run, in all runs of an event loop.

A resource has many readers or one writer; a tool's own cap has so many holders. A call takes all
that it needs at once or nothing, and while it waits it holds nothing. Those who wait stand in line
by priority, then first come, first served.

A call of a run that serves another call (a sub-agent's, say) inherits what that call holds: what
is above it never stands in its way, for it waits for this very call. It does not stand in line
either, because those in front may wait for what is above it. What is left are calls that hold
something and whose runs want what the other holds: the last of them to ask is refused, so that
every wait ends.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable
from types import MethodType
from typing import TYPE_CHECKING

from agentkit.tool.base import Tool
from agentkit.tool.order import written_by
from agentkit.tool.results import Outcome

if TYPE_CHECKING:
    from agentkit.tool.execution import Execution

Need = tuple[Hashable, int]
"""A resource or a cap, and how it is needed: WRITE, READ, or how many may hold it at once."""

WRITE, READ = 0, -1

Offer = Callable[["Execution", bool], bool]
"""Told that a call stands in line no more, and whether what it needs is free; answers whether the
call takes it. If not, the call has to ask anew."""


def needs_of(tool: Tool, processes: int) -> tuple[Need, ...]:
    """Return what a call of a tool needs.

    Args:
        tool: the tool.
        processes: calls that may run at once in processes of their own.
    """
    most = tool.max_concurrency
    if most is None and tool.group is None and not (tool.writes or tool.reads or tool.process):
        return ()
    needs: dict[Hashable, int] = dict.fromkeys(tool.reads, READ)
    needs.update(dict.fromkeys(written_by(tool), WRITE))
    if tool.process:
        needs[("process",)] = processes
    if most is not None:
        needs[_identity(tool.function)] = most
    return tuple(needs.items())


def caps(execution: Execution) -> list[Hashable]:
    """Return the caps among what a call needs."""
    return [key for key, how in execution.needs if how > 0]


class Claims:
    """What is held and who waits, in one event loop."""

    __slots__ = ("_asked", "_held", "_holders", "_inheriting", "_lines", "_waiting")

    def __init__(self) -> None:
        self._asked = 0
        self._held: set[Execution] = set()
        self._holders: dict[Hashable, dict[Execution, int]] = {}
        self._waiting: dict[Execution, Offer] = {}
        self._inheriting: set[Execution] = set()  # those that wait but do not stand in line
        self._lines: dict[Hashable, list[Execution]] = {}

    def take(self, execution: Execution) -> bool:
        """Take all that a call needs, if that is free and nobody in line is wronged by it."""
        if not execution.place:
            self._asked += 1
            execution.place = (-execution.tool.priority, self._asked)
        if not self._is_free(execution):
            return False
        self._hold(execution)
        return True

    def refusal(self, execution: Execution) -> Outcome | None:
        """Return why a call that could not take what it needs must not wait for it, if so."""
        above = _above(execution)
        for one in self._in_the_way(execution, above):
            if one.outcome is not None:
                return _held(execution, one)
        if not self._held.isdisjoint(above) and self._never_ends(execution):
            return Outcome("error", _NEVER)
        return None

    def wait(self, execution: Execution, offer: Offer) -> None:
        """Stand in line; `offer` is called once, when the call's turn has come."""
        self._waiting[execution] = offer
        if not self._held.isdisjoint(_above(execution)):
            self._inheriting.add(execution)
        for key, _ in execution.needs:
            insort(self._lines.setdefault(key, []), execution, key=_place)

    def forget(self, execution: Execution) -> None:
        """Undo `wait`."""
        if execution in self._waiting:
            self._leave_lines(execution)
            self._pass_on(execution.needs)

    def release(self, execution: Execution, *, works_on: bool = False) -> None:
        """Give back what a call holds, if anything.

        Args:
            execution: the call.
            works_on: it was given up but has not ended: its resources stay with it, and who
                waits for them is told to ask anew.
        """
        if execution not in self._held:
            return
        given = [need for need in execution.needs if need[1] > 0 or not works_on]
        for key, _ in given:
            if holders := self._holders.get(key):
                holders.pop(execution, None)
                if not holders:
                    del self._holders[key]
        if not works_on:
            self._held.discard(execution)
        if self._waiting:
            self._pass_on(execution.needs)

    def _hold(self, execution: Execution) -> None:
        self._held.add(execution)
        for key, how in execution.needs:
            self._holders.setdefault(key, {})[execution] = how

    def _is_free(self, execution: Execution) -> bool:
        busy = [need for need in execution.needs if need[0] in self._holders]
        lined = [need for need in execution.needs if need[0] in self._lines]
        if not busy and not lined:
            return True
        above = _above(execution)
        if any(self._blockers(need, above) for need in busy):
            return False
        return not self._held.isdisjoint(above) or not any(
            self._is_behind(execution, need) for need in lined
        )

    def _is_behind(self, execution: Execution, need: Need) -> bool:
        """Return whether somebody in line would lose a turn if the call went now."""
        key, how = need
        for one in self._lines[key]:
            if one.place >= execution.place:
                return False
            if how != READ or (key, READ) not in one.needs:
                return True
        return False

    def _blockers(
        self, need: Need, above: Collection[Execution], among: Collection[Execution] | None = None
    ) -> list[Execution]:
        """Return those whose holding something keeps a call from having it too."""
        key, how = need
        found = [
            one
            for one, holds in self._holders.get(key, {}).items()
            if one not in above
            and (how != READ or holds == WRITE)
            and (among is None or one in among)
        ]
        return found if len(found) >= how else []

    def _in_the_way(
        self, execution: Execution, above: Collection[Execution]
    ) -> Iterable[Execution]:
        for need in execution.needs:
            yield from self._blockers(need, above)

    def _never_ends(self, asking: Execution) -> bool:
        """Return whether a call would wait for ever for others that hold something.

        Looked for is an order in which all of them can end: a call ends when no call under it
        waits, and a call that waits goes when what it needs is free of those that do not end.
        """
        waiting = {one: _above(one) for one in (*self._waiting, asking)}
        left = {one: up for one, up in waiting.items() if not self._held.isdisjoint(up)}
        while asking in left:
            kept = {one for above in left.values() for one in above}
            going = [
                one
                for one, above in left.items()
                if not any(self._blockers(need, above, kept) for need in one.needs)
            ]
            if not going:
                return True
            for one in going:
                del left[one]
        return False

    def _pass_on(self, needs: Iterable[Need]) -> None:
        """Let those go whose turn has come, now that something is free or nobody waits for it."""
        keys = deque(key for key, _ in needs)
        while keys:
            key, closed = keys.popleft(), False
            for one in tuple(self._lines.get(key, ())):
                if one not in self._waiting or (closed and one not in self._inheriting):
                    continue
                free = self._is_free(one)
                if not free and not self._needs_abandoned(one):
                    closed = closed or (key, READ) not in one.needs
                    if closed and not self._inheriting:
                        break  # all others stand behind this one
                    continue
                offer = self._leave_lines(one)
                if offer(one, free):
                    self._hold(one)
                keys += [other for other, _ in one.needs if other != key]

    def _needs_abandoned(self, execution: Execution) -> bool:
        in_the_way = self._in_the_way(execution, _above(execution))
        return any(one.outcome is not None for one in in_the_way)

    def _leave_lines(self, execution: Execution) -> Offer:
        for key, _ in execution.needs:
            line = self._lines[key]
            line.remove(execution)
            if not line:
                del self._lines[key]
        self._inheriting.discard(execution)
        return self._waiting.pop(execution)


_NEVER = (
    "Not run: the wait for it would never end. What it needs is held by calls of other runs, and "
    "those wait for what is held by the call that this run serves. Do without it, or finish here "
    "and say that it has to be tried again later."
)


def _held(execution: Execution, holder: Execution) -> Outcome:
    return Outcome(
        "error",
        f"Not run: the earlier call {holder.call.id} timed out but still works on what "
        f"{execution.tool.name} needs. Try another way, or this call again later.",
    )


def _above(execution: Execution) -> list[Execution]:
    """Return the calls that a call's run serves, from the nearest up."""
    above: list[Execution] = []
    one = execution.serves
    while one is not None:
        above.append(one)
        one = one.serves
    return above


def _place(execution: Execution) -> tuple[int, ...]:
    return execution.place


def _identity(function: object) -> Hashable:
    """Return what tells functions apart; a method is another object each time it is looked up."""
    if isinstance(function, MethodType):
        return (id(function.__self__), id(function.__func__))
    return (id(function),)
