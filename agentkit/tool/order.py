"""Order: which calls of a turn have to wait for which."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit.tool.base import Tool

if TYPE_CHECKING:
    from agentkit.tool.execution import Execution


class Order:
    """Readers and writers of named resources, in call order; a group is a resource to write.

    It is the order within a turn; `agentkit.tool.claims` keeps runs apart. A call waits for the
    earlier ones with which it conflicts. Waiting always points backwards, so no two calls wait for
    each other.
    """

    def __init__(self) -> None:
        self._writers: dict[str, Execution] = {}
        self._readers: dict[str, list[Execution]] = {}

    def add(self, execution: Execution) -> None:
        """Take the next call, and make it wait for those before it that it conflicts with."""
        tool = execution.tool
        before: dict[Execution, None] = {}
        written = written_by(tool)
        for resource in written:
            # Its readers themselves wait for the writer before them.
            if readers := self._readers.pop(resource, None):
                before.update(dict.fromkeys(readers))
            elif writer := self._writers.get(resource):
                before[writer] = None
            self._writers[resource] = execution
        for resource in tool.reads:
            if resource not in written:
                if writer := self._writers.get(resource):
                    before[writer] = None
                self._readers.setdefault(resource, []).append(execution)
        before.pop(execution, None)
        for one in before:
            one.followers.append(execution)
        execution.waits += len(before)

    def makes_wait(self, tool: Tool) -> bool:
        """Return whether a call of a tool that only reads would have to wait."""
        return any(resource in self._writers for resource in tool.reads)


def written_by(tool: Tool) -> tuple[str, ...]:
    """Return the resources that calls of a tool have to themselves."""
    return tool.writes if tool.group is None else (tool.group, *tool.writes)
