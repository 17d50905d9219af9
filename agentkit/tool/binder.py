"""Binding over a whole run: the same fault is answered more explicitly each time, then no more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from agentkit.tool.advice import show
from agentkit.tool.arguments import Arguments, bind, parse
from agentkit.tool.base import ArgumentFault, Tool
from agentkit.tool.example import example
from agentkit.tool.shape import Schema

_SHOWN_CALL: Final = 1000
_SHOWN_SCHEMA: Final = 3000

_Signature = frozenset[tuple[object, ...]]


@dataclass(slots=True)
class _Row:
    """The turns in a row in which a tool's arguments did not fit.

    Attributes:
        turns: how many.
        same: how many of the last ones had the same fault.
        signature: that fault.
        turn: the last of them.
    """

    turns: int = 0
    same: int = 0
    signature: _Signature = frozenset()
    turn: int = -1


class Binder:
    """Binds the calls of one run.

    Several faulty calls in one turn count once, because the model wrote them before it read an
    answer. A call that fits ends the row. A run that is resumed begins to count anew.

    Args:
        patience: turns in a row with arguments that do not fit, after which a tool is set aside
            for the rest of the run.
    """

    def __init__(self, patience: int = 5) -> None:
        self._patience = patience
        self._turn = 0
        self._rows: dict[str, _Row] = {}

    def next_turn(self) -> None:
        """Say that the calls to come were written after the answers to those before."""
        self._turn += 1

    def bind(self, tool: Tool, text: str) -> Arguments:
        """Parse, repair and validate the arguments of one call.

        Raises:
            ArgumentFault: and nothing else; its message is the longer the oftener the same fault
                came before. A tool that was set aside has no other answer.
        """
        if self.is_set_aside(tool.name):
            raise ArgumentFault(
                f"{tool.name} is set aside for this run and nothing was run. Go on with other "
                "tools, or answer and say what you could not do."
            )
        try:
            arguments = bind(tool, text)
        except ArgumentFault as fault:
            row = self._rows.setdefault(tool.name, _Row())
            self._count(row, fault)
            said = self._said(row, tool, text, fault)
            raise ArgumentFault(said, fault.problems) from fault.__cause__
        self.forget(tool.name)
        return arguments

    def is_set_aside(self, name: str) -> bool:
        """Return whether a tool takes no more calls in this run."""
        row = self._rows.get(name)
        return row is not None and row.turns >= self._patience

    def forget(self, name: str) -> None:
        """Say that a call of a tool fitted."""
        self._rows.pop(name, None)

    def _count(self, row: _Row, fault: ArgumentFault) -> None:
        signature = frozenset(
            (one.kind, *(step for step in one.path if isinstance(step, str)))
            for one in fault.problems
        )
        if row.turn != self._turn:
            row.turns += 1
            row.same = row.same + 1 if signature == row.signature else 1
        elif signature != row.signature:
            row.same = 1
        row.turn = self._turn
        row.signature = signature

    def _said(self, row: _Row, tool: Tool, text: str, fault: ArgumentFault) -> str:
        said = [str(fault)]
        if row.turns >= self._patience:
            said.append(
                f"{tool.name} is now set aside for this run: the arguments did not fit {row.turns} "
                "times in a row. Do not call it again. Go on with other tools, or answer and say "
                "what you could not do."
            )
            return "\n".join(said)
        if row.same >= 2:
            said.append(f"This is fault number {row.same} of the same kind for {tool.name}.")
            if mended := _mended_call(tool, text, fault):
                said.append(f"Your call with the faults mended, to be sent as it is:\n{mended}")
        if row.same >= 3:
            schema = show(tool.parameters, _SHOWN_SCHEMA)
            said.append(f"The whole JSON Schema of its arguments: {schema}")
        if row.turns == self._patience - 1 and row.turns > 1:
            said.append(f"After one more fault {tool.name} is set aside for this run.")
        return "\n".join(said)


def _mended_call(tool: Tool, text: str, fault: ArgumentFault) -> str:
    """Return the call's arguments with examples where they were wrong, or "" if that is no help."""
    properties = cast("Mapping[str, Schema]", tool.parameters.get("properties", {}))
    try:
        given, _ = parse(text, tool)
    except ArgumentFault:
        given = dict[str, Any]()
    faulty = {str(one.path[0]) for one in fault.problems if one.path}
    wanted = {*tool.parameters.get("required", ()), *faulty} & set(properties)
    made = {key: value for key, value in given.items() if key not in faulty}
    made |= {name: example(properties[name], tool.parameters) for name in wanted - made.keys()}
    ordered = {name: made[name] for name in properties if name in made}
    shown = show(ordered | made, _SHOWN_CALL)
    return shown if len(shown) <= _SHOWN_CALL else ""
