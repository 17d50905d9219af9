"""Tool calls as they arrive in pieces: which piece belongs to which call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from agentkit.messages import ToolCall
from agentkit.model import salvage
from agentkit.model.declared import Declared

_Json = dict[str, Any]


@dataclass(slots=True)
class Call:
    """A call as it arrives: `after` pieces of text came before its last piece."""

    position: int
    index: int
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list[str])
    after: int = 0


class Calls:
    """The calls of one answer, in the order of their arrival.

    Servers number them, or not, or all alike; some repeat a call's name or give each piece an id
    of its own. A new call begins with a name: at a free index, or with an id or a name that the
    index's call does not have.
    """

    __slots__ = ("_at", "_declared", "_list", "_offered")

    def __init__(self, declared: Declared) -> None:
        self._declared = declared
        self._list: list[Call] = []
        self._at: dict[int, Call] = {}
        self._offered = 0

    def __iter__(self) -> Iterator[Call]:
        return iter(self._list)

    def __len__(self) -> int:
        return len(self._list)

    def add(self, piece: _Json, after: int, *, new: bool) -> tuple[Call, str]:
        """Take a piece; return its call, and what it adds to the arguments.

        Args:
            piece: an element of `tool_calls`.
            after: pieces of text so far.
            new: whether the piece is a whole call, as in an answer that is not streamed.
        """
        inner = piece.get("function")
        function = cast("_Json", inner) if isinstance(inner, dict) else piece
        call_id, name = str(piece.get("id") or ""), str(function.get("name") or "")
        index = piece.get("index")
        if not isinstance(index, int):
            index = None
        call = None if new else self._continued(index, call_id, name)
        if call is None:
            position = len(self._list)
            call = Call(position, position if index is None else index, call_id, name)
            self._list.append(call)
            self._at[call.index] = call
        call.id = call.id or call_id
        call.after = after
        arguments = function.get("arguments")
        if arguments is None:
            arguments = ""
        elif not isinstance(arguments, str):  # documented as an object, recorded as a string
            arguments = salvage.dump(arguments)
        if arguments:
            call.arguments.append(arguments)
        return call, arguments

    def offer(self, take: Callable[[ToolCall], None], before: Call | None = None) -> None:
        """Give the whole calls that were not offered yet to `take`, in order.

        Args:
            take: is given what arrived, where it has an id, a name and sound arguments.
            before: the call that is being written; None when all are.
        """
        end = len(self._list) if before is None else before.position
        while self._offered < end:
            call = self._list[self._offered]
            known = any(one.id == call.id for one in self._list[: self._offered])
            self._offered += 1
            arguments = "".join(call.arguments)
            if call.id and call.name and not known and _is_object(arguments):
                take(ToolCall(call.id, call.name, arguments))

    def _continued(self, index: int | None, call_id: str, name: str) -> Call | None:
        """Return the call that a piece goes on with, or None when it begins a new one."""
        if index is not None:
            call = self._at.get(index)
        else:
            call = self._list[-1] if self._list else None
            if call and call_id and call_id != call.id and not name:
                return next((one for one in self._list if one.id == call_id), call)
        if call is None or not name or self._has_name(call, name, call_id):
            return call
        same = name == call.name and not (call_id and call.id and call_id != call.id)
        return call if same and (index is not None or call_id) else None

    def _has_name(self, call: Call, name: str, call_id: str) -> bool:
        """Whether the name is the call's own after all: its first, all of it so far, its rest."""
        if call.name and (call.arguments or (call_id and call.id and call_id != call.id)):
            return False
        if name.startswith(call.name) and name != call.name:
            call.name = name
        elif not call_id and name != call.name and call.name + name in self._declared:
            call.name += name
        else:
            return False
        return True


def _is_object(text: str) -> bool:
    try:
        return isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False
