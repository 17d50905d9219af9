"""Intake: from the calls that a model wrote to those that can run, and what is said of the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from agentkit.events import Body, ToolFinished
from agentkit.messages import ToolCall
from agentkit.tool.advice import closest
from agentkit.tool.asking import Asking, denied
from agentkit.tool.base import ArgumentFault, Tool
from agentkit.tool.batch import Batch
from agentkit.tool.early import Early
from agentkit.tool.execution import Execution
from agentkit.tool.order import Order
from agentkit.tool.results import clip
from agentkit.tool.workshop import Workshop


class Intake:
    """Takes the calls of one turn into a batch.

    Args:
        workshop: what the run's calls share.
        tools: the run's tools by name.
        asking: the turn's questions.
        early: the calls that run already, if any.
    """

    def __init__(
        self,
        workshop: Workshop,
        tools: Mapping[str, Tool],
        asking: Asking,
        early: Early | None,
    ) -> None:
        self._workshop = workshop
        self._tools = tools
        self._asking = asking
        self._early = early
        self._order: Order | None = None
        self._reads: dict[bytes, Execution] = {}
        self._ordered_reads: dict[bytes, Execution] = {}

    def fill(self, batch: Batch, calls: Sequence[ToolCall]) -> list[Body]:
        """Give the batch the calls that can run; return the results and questions of the others."""
        bodies: list[Body] = []
        binder = self._workshop.binder
        binder.next_turn()
        for index, call in enumerate(calls):
            tool = self._tools.get(call.name)
            if tool is None:
                bodies.append(_refused(call, self._unknown(call.name)))
                continue
            if self._early is not None and (started := self._adopted(call, tool)) is not None:
                binder.forget(tool.name)
                started.index = index
                self._place(started)
                batch.add(started, adopted=True)
                continue
            try:
                arguments = binder.bind(tool, call.arguments)
            except ArgumentFault as fault:
                bodies.append(_refused(call, str(fault)))
                continue
            execution = Execution(call, tool, arguments, self._workshop)
            execution.index = index
            if self._asking.allows_all and not tool.read_only:
                self._place(execution)
                batch.add(execution)
            else:
                bodies += self._judge(execution, batch)
        if self._early is not None:
            self._early.discard()
        return bodies

    def _judge(self, execution: Execution, batch: Batch) -> list[Body]:
        call = execution.call
        verdict = self._asking.judge(execution)
        if verdict.approved is False:
            outcome = denied(call.name, verdict.reason)
            said = ToolFinished(
                call_id=call.id, name=call.name, status=outcome.status, content=outcome.content
            )
            return [said]
        if verdict.approved is None:
            execution.waits += 1
            self._place(execution)
            batch.add(execution)
            asked = self._asking.put(execution, verdict.reason)
            return [] if asked is None else [asked]
        if execution.tool.read_only and (first := self._same(execution)) is not None:
            first.twins.append(call)
        else:
            self._place(execution)
            batch.add(execution)
        return []

    def _adopted(self, call: ToolCall, tool: Tool) -> Execution | None:
        assert self._early is not None
        # What reads after a write of the same turn has to see it.
        if tool.reads and self._order is not None and self._order.makes_wait(tool):
            return None
        started = self._early.take(call)
        if started is not None:
            self._same(started)
        return started

    def _place(self, execution: Execution) -> None:
        if execution.ordered:
            if self._order is None:
                self._order = Order()
            self._order.add(execution)
            if not execution.tool.read_only:
                self._ordered_reads.clear()  # what is read after a change is not the same

    def _same(self, execution: Execution) -> Execution | None:
        """Return the identical call that stands for this one; where there is none, this will."""
        tool, arguments = execution.tool, execution.arguments.given
        key = orjson.dumps([tool.name, arguments], option=orjson.OPT_SORT_KEYS)
        first = (self._ordered_reads if execution.ordered else self._reads).setdefault(
            key, execution
        )
        return None if first is execution else first

    def _unknown(self, name: str) -> str:
        close = closest(name, self._tools)
        said = f"There is no tool called {clip(name, 100)!r}; nothing was run."
        if close:
            said += f" Did you mean {close}?"
        if not self._tools:
            return f"{said} There are no tools; answer without them."
        return f"{said} The tools are: {', '.join(sorted(self._tools))}."


def _refused(call: ToolCall, why: str) -> ToolFinished:
    return ToolFinished(call_id=call.id, name=call.name, status="error", content=why)
