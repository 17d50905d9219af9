"""The passing events: what subscribers see on the way and nobody keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agentkit.events.bodies import Event


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The model wrote a piece of its answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    """The model wrote a piece of its thinking."""

    text: str


@dataclass(frozen=True, slots=True)
class ArgumentsDelta:
    """The model wrote a piece of a tool call's arguments; `name` comes with the first piece."""

    index: int
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class ReplyRestarted:
    """What was streamed of this reply is void: the request is being sent again."""

    reason: str


@dataclass(frozen=True, slots=True)
class ToolProgress:
    """A running tool says how far it is."""

    call_id: str
    text: str


@dataclass(frozen=True, slots=True)
class PartialOutput:
    """The structured output as far as the model has written it; not validated yet."""

    value: Any


@dataclass(frozen=True, slots=True)
class Nested:
    """An event of a sub-agent's run, told to the subscribers of its parent.

    Attributes:
        call_id: the parent's call that the sub-agent serves.
        run_id: id of the sub-agent's run.
        event: durable or ephemeral; a Nested one when it comes from further down.
    """

    call_id: str
    run_id: str
    event: Event | Ephemeral


Delta = TextDelta | ThinkingDelta | ArgumentsDelta | ReplyRestarted
Ephemeral = Delta | ToolProgress | PartialOutput | Nested
