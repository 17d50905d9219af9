"""The durable events: the log that a run is, and the contract of its format.

They are stored and ordered by `seq`; everything else about a run is read from them. `--json` and
`agentkit export --format jsonl` print each as one line of JSON, which `jq` reads:

    {"run_id": "...", "seq": 0, "at": "2026-01-31T12:00:00.000000+00:00",
     "kind": "run_started", "version": 1, "body": {...}}

| kind | when | read it for |
|---|---|---|
| run_started | first of every run | agent, model, hashes of the system prompt and the tools |
| user_message | the user said something | the task |
| reminder | the framework told the model something | what rides on the last tool result |
| replied | the model answered | thinking, text, tool calls, tokens, dollars, seconds |
| tool_started | before a call has effects | the arguments as used, and what was mended in them |
| tool_finished | a call has its result | what the model reads of it, artifacts, seconds |
| approval_asked, approval_answered | a call was held | why, and what was decided |
| offloaded, cleared, compacted | the context was edited | what left the prompt, what stands there |
| noted | anything a reader wants to know | prefix breaks, fallbacks, replies cut short |
| run_paused, run_resumed | the run waits; it goes on | why; what changed meanwhile |
| run_interrupted, run_failed, run_finished | it ended | why, or the output and the sums |

What holds for readers and writers of every version:

- A body's fields are those of its class here. Bytes lie in blobs and are named by their sha256.
- A new field has a default, so older lines load; that is no new version.
- A change that older lines do not fit raises `version` and adds an upcaster (`codec.UPCASTERS`), so
  old lines load for ever; `tests/golden` holds a log of every version that was released.
- A kind or version from the future is refused (`LogUnreadable`), never skipped.
- A reader outside agentkit skips kinds and fields that it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from agentkit.events.edits import Cleared, Compacted, Offloaded
from agentkit.messages import Assistant, Content
from agentkit.usage import Limits, Usage

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


@dataclass(frozen=True, slots=True)
class SubRun:
    """The run of a sub-agent that served a call.

    Attributes:
        run_id: id of that run; its log stands beside its parent's.
        turns: replies of its model, those of its own sub-agents included.
        usage: tokens of all replies, likewise.
        cost_usd: dollars, likewise; None when a reply had no known price.
    """

    run_id: str
    turns: int = 0
    usage: Usage = Usage()
    cost_usd: float | None = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """The first event of every run.

    `instructions` and `tools` are sha256 handles of blobs: the system prompt as text and the
    tool list as canonical JSON. Together with the log they give the prompt's exact bytes. A
    sub-agent's run names its parent's call, a fork the run and the `seq` it left it at.
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
    forked_from: str | None = None
    forked_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserMessage:
    """The user said something."""

    kind: ClassVar[str] = "user_message"
    version: ClassVar[int] = 1
    content: Content


@dataclass(frozen=True, slots=True, kw_only=True)
class Reminder:
    """The framework told the model something: the plan recited, a loop, an output that is wrong.

    In the prompt it rides at the end of the last tool result; where none stands last, it is a
    system message. It never speaks in the user's voice.

    Attributes:
        topic: "plan", "loop", "output", "guardrail".
        content: what the model reads.
    """

    kind: ClassVar[str] = "reminder"
    version: ClassVar[int] = 1
    topic: str
    content: str


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
    """A tool call has its result.

    Attributes:
        call_id: id of the call.
        name: name of the tool as the model wrote it.
        status: how it ended.
        content: what the model reads.
        artifacts: files that the tool made.
        seconds: from the start to the result.
        sub_run: the run of the sub-agent that served the call, if one did.
        same_as: id of the identical call of this turn whose result this is; "" for its own.
    """

    kind: ClassVar[str] = "tool_finished"
    version: ClassVar[int] = 1
    call_id: str
    name: str
    status: ToolStatus
    content: str
    artifacts: tuple[ArtifactRef, ...] = ()
    seconds: float = 0.0
    sub_run: SubRun | None = None
    same_as: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalAsked:
    """A call waits until somebody allows or denies it; `reason` says why it was held."""

    kind: ClassVar[str] = "approval_asked"
    version: ClassVar[int] = 1
    call_id: str
    name: str
    arguments: Mapping[str, Any]
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalAnswered:
    """The answer to an `ApprovalAsked`.

    Attributes:
        call_id: id of the call.
        name: name of the tool.
        approved: whether the call may run.
        reason: for the model, when it may not.
        remember: whether later calls of this tool in this run need not ask.
        by: who answered: "callback", "caller"; "remembered" for an earlier answer.
    """

    kind: ClassVar[str] = "approval_answered"
    version: ClassVar[int] = 1
    call_id: str
    name: str
    approved: bool
    reason: str = ""
    remember: bool = False
    by: str = "caller"


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """Something that a reader of the log wants to know: a prefix break, a cold cache, a repair."""

    kind: ClassVar[str] = "noted"
    version: ClassVar[int] = 1
    topic: str
    text: str
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPaused:
    """The run waits for something from outside, such as the approval of calls.

    Attributes:
        reason: "approval".
        calls: ids of the calls that wait; those of a sub-agent's run as `run id/call id`.
        sub_runs: the runs of sub-agents in which calls wait, by the id of the call they serve.
    """

    kind: ClassVar[str] = "run_paused"
    version: ClassVar[int] = 1
    reason: str
    calls: tuple[str, ...] = ()
    sub_runs: Mapping[str, SubRun] = field(default_factory=dict[str, SubRun])


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResumed:
    """The run goes on in a new process or after a pause.

    Attributes:
        model: id of the model from here on.
        provider: name of its provider.
        instructions: sha256 handle of the system prompt from here on.
        tools: sha256 handle of the tool list from here on.
        changed: what of these differs from before, by name; the cache is lost where any does.
    """

    kind: ClassVar[str] = "run_resumed"
    version: ClassVar[int] = 1
    model: str
    provider: str
    instructions: str
    tools: str
    changed: tuple[str, ...] = ()


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
    | Reminder
    | Replied
    | ToolStarted
    | ToolFinished
    | ApprovalAsked
    | ApprovalAnswered
    | Offloaded
    | Cleared
    | Compacted
    | Noted
    | RunPaused
    | RunResumed
    | RunInterrupted
    | RunFailed
    | RunFinished
)

BODIES: Mapping[str, type[Body]] = {
    body.kind: body
    for body in (
        RunStarted,
        UserMessage,
        Reminder,
        Replied,
        ToolStarted,
        ToolFinished,
        ApprovalAsked,
        ApprovalAnswered,
        Offloaded,
        Cleared,
        Compacted,
        Noted,
        RunPaused,
        RunResumed,
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
