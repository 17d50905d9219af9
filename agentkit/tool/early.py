"""Early start: calls of read-only tools that run while the model still writes its reply."""

from __future__ import annotations

from collections.abc import Mapping

from agentkit.log import ids
from agentkit.messages import ToolCall
from agentkit.tool.approval import ApprovalPolicy
from agentkit.tool.arguments import bind
from agentkit.tool.base import ArgumentFault, Tool
from agentkit.tool.execution import Emit, Execution
from agentkit.tool.workshop import Workshop


class Early:
    """Starts the calls of a reply that is being written; `Dispatcher.early` makes one.

    A call starts when its tool only reads, needs no approval and shares no state with others, its
    arguments fit, and there is room under the caps. Nothing of it is logged: that is for
    `dispatch`, which adopts the calls that stand in the reply as they were offered.
    """

    def __init__(
        self, workshop: Workshop, tools: Mapping[str, Tool], approval: ApprovalPolicy, emit: Emit
    ) -> None:
        self._workshop = workshop
        self._tools = tools
        self._approval = approval
        self._emit = emit
        self._started: dict[str, Execution] = {}

    def offer(self, call: ToolCall) -> None:
        """Start a call, if that is safe before the reply is whole."""
        tool = self._tools.get(call.name)
        if tool is None or not tool.read_only or tool.group is not None or tool.writes:
            return
        workshop = self._workshop
        if workshop.binder.is_set_aside(tool.name) or not workshop.has_room():
            return
        if call.id in self._started or any(
            one.call.name == call.name and one.call.arguments == call.arguments
            for one in self._started.values()
        ):
            return
        try:
            arguments = bind(tool, call.arguments)
        except ArgumentFault:
            return  # dispatch will tell the model
        if self._approval.decide(tool, arguments.given)[0] != "allow":
            return
        execution = Execution(call, tool, arguments, workshop)
        if execution.needs and not workshop.slots.claims.take(execution):
            return
        self._started[call.id] = execution
        workshop.enter(execution)
        with ids(call_id=call.id):
            execution.begin(self._emit, _nobody_waits)

    def take(self, call: ToolCall) -> Execution | None:
        """Return the execution of a call, if it was started just so, and give it up."""
        execution = self._started.get(call.id)
        if execution is None or execution.call != call:
            return None
        return self._started.pop(call.id)

    def discard(self) -> None:
        """Stop all calls and throw their results away; the workshop sees them end."""
        started, self._started = self._started, {}
        for execution in started.values():
            execution.discard()


def _nobody_waits(_: Execution) -> None:
    """Take the end of a call that dispatch has not asked for yet."""
