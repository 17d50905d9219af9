"""Events: the log that a run is, and the passing signs that its subscribers see.

A durable event is stored and ordered by `seq`; everything else about a run is read from the
durable events. An ephemeral event (a text delta, a tool's progress) is for subscribers only.
This file is the contract of the log: a body's fields, its `kind` and its `version`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import orjson

from agentkit.errors import LogUnreadable
from agentkit.messages import Assistant, Content
from agentkit.usage import Limits, Usage

if TYPE_CHECKING:
    from pydantic import TypeAdapter

ToolStatus = Literal["ok", "error", "timeout", "cancelled", "denied", "unknown"]


@dataclass(frozen=True, slots=True)
class ArtifactRef:
    """A file that a tool made; its bytes lie in the blob store.

    Attributes:
        name: file name without a folder.
        media_type: such as "image/png".
        sha256: hex digest; the handle of the blob.
        size: bytes.
    """

    name: str
    media_type: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """The first event of every run.

    `instructions` and `tools` are sha256 handles of blobs: the system prompt as text and the
    tool list as canonical JSON. Together with the log they give the prompt's exact bytes.
    """

    kind: ClassVar[str] = "run_started"
    version: ClassVar[int] = 1
    agent: str
    model: str
    provider: str
    instructions: str
    tools: str
    limits: Limits = field(default_factory=Limits)
    parent_run: str | None = None
    parent_call: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserMessage:
    """The user said something."""

    kind: ClassVar[str] = "user_message"
    version: ClassVar[int] = 1
    content: Content


@dataclass(frozen=True, slots=True, kw_only=True)
class Replied:
    """The model answered.

    Attributes:
        message: what goes back into the next prompt, unmodified.
        usage: tokens as the provider counted them.
        cost_usd: dollars, or None for a model without a known price.
        finish_reason: the provider's word, such as "stop" or "tool_calls".
        model: the model that the provider says it used.
        request_digest: sha256 of the request body, hex.
        first_delta_seconds: from sending to the first delta; None when not streamed.
        seconds: from sending to the end of the answer.
        attempts: requests sent until this answer came; 1 means no retry.
        faults: what the server did wrong and we mended, in words.
    """

    kind: ClassVar[str] = "replied"
    version: ClassVar[int] = 1
    message: Assistant
    usage: Usage
    cost_usd: float | None
    finish_reason: str
    model: str
    request_digest: str
    seconds: float
    first_delta_seconds: float | None = None
    attempts: int = 1
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolStarted:
    """A tool call began: its effects may exist from here on.

    `arguments` are the arguments as used, after repair and validation.
    """

    kind: ClassVar[str] = "tool_started"
    version: ClassVar[int] = 1
    call_id: str
    name: str
    arguments: Mapping[str, Any]
    repairs: tuple[str, ...] = ()
    attempt: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFinished:
    """A tool call has its result; `content` is what the model reads."""

    kind: ClassVar[str] = "tool_finished"
    version: ClassVar[int] = 1
    call_id: str
    name: str
    status: ToolStatus
    content: str
    artifacts: tuple[ArtifactRef, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """Something that a reader of the log wants to know: a prefix break, a cold cache, a repair."""

    kind: ClassVar[str] = "noted"
    version: ClassVar[int] = 1
    topic: str
    text: str
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInterrupted:
    """The run was stopped from outside (Ctrl-C, cancellation); it can be resumed."""

    kind: ClassVar[str] = "run_interrupted"
    version: ClassVar[int] = 1
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailed:
    """The run ended with a typed error."""

    kind: ClassVar[str] = "run_failed"
    version: ClassVar[int] = 1
    error: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    """The run has its output. A conversation has one of these per user message."""

    kind: ClassVar[str] = "run_finished"
    version: ClassVar[int] = 1
    output: Any
    turns: int
    usage: Usage
    cost_usd: float | None
    seconds: float
    artifacts: tuple[ArtifactRef, ...] = ()


Body = (
    RunStarted
    | UserMessage
    | Replied
    | ToolStarted
    | ToolFinished
    | Noted
    | RunInterrupted
    | RunFailed
    | RunFinished
)

BODIES: Mapping[str, type[Body]] = {
    body.kind: body
    for body in (
        RunStarted,
        UserMessage,
        Replied,
        ToolStarted,
        ToolFinished,
        Noted,
        RunInterrupted,
        RunFailed,
        RunFinished,
    )
}


@dataclass(frozen=True, slots=True)
class Event:
    """One durable event.

    Attributes:
        run_id: id of the run; ids sort by the time of their making.
        seq: position in the run, from 0, without gaps.
        at: UTC time in ISO 8601 with microseconds; never part of a prompt.
        body: what happened.
    """

    run_id: str
    seq: int
    at: str
    body: Body

    @property
    def kind(self) -> str:
        """Kind of the body, such as "replied"."""
        return self.body.kind


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


Delta = TextDelta | ThinkingDelta | ArgumentsDelta | ReplyRestarted
Ephemeral = TextDelta | ThinkingDelta | ArgumentsDelta | ReplyRestarted | ToolProgress


def new_run_id() -> str:
    """Return a new id: 12 hex digits of the time in milliseconds, 12 random ones."""
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(6).hex()}"


def now() -> str:
    """Return the time as events carry it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def dump_body(body: Body) -> bytes:
    """Return a body as JSON.

    Values that JSON has no word for are stored as their text.
    """
    return orjson.dumps(body, default=str, option=orjson.OPT_NON_STR_KEYS)


def load_body(kind: str, version: int, data: bytes | str) -> Body:
    """Return the body that `dump_body` wrote.

    Raises:
        LogUnreadable: an unknown kind, a newer version, or damaged JSON.
    """
    body = BODIES.get(kind)
    if body is None or version > body.version:
        raise LogUnreadable(
            f"The log has an event of kind {kind!r}, version {version}, which this version of "
            "agentkit does not know. Upgrade agentkit to read it."
        )
    try:
        return _adapter(kind).validate_json(data)
    except ValueError as error:  # pydantic's ValidationError is one
        raise LogUnreadable(f"An event of kind {kind!r} is damaged: {error}") from error


def dump_line(event: Event) -> bytes:
    """Return an event as one JSON line, the form that `--json` prints."""
    return orjson.dumps(
        {
            "run_id": event.run_id,
            "seq": event.seq,
            "at": event.at,
            "kind": event.body.kind,
            "version": event.body.version,
            "body": event.body,
        },
        default=str,
        option=orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE,
    )


@cache
def _adapter(kind: str) -> TypeAdapter[Body]:
    from pydantic import TypeAdapter  # noqa: PLC0415 - 20 ms that only readers of logs need

    return TypeAdapter(BODIES[kind])
