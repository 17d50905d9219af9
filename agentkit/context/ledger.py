"""The ledger: what a run must never forget, kept by code from the log and never summarised.

The user's words, constraints, approvals, the plan, files, artifacts, and where large texts lie.
Running processes stand in no ledger because there are none: what a call of ours leaves running is
killed at its end, and its result says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from agentkit.context.constraints import constraints
from agentkit.context.policy import Files
from agentkit.events import (
    ApprovalAnswered,
    ApprovalAsked,
    ArtifactRef,
    Body,
    Cleared,
    Compacted,
    Offloaded,
    Replied,
    ToolFinished,
    ToolStarted,
    ToolStatus,
    UserMessage,
)
from agentkit.messages import plain_text

USER_MESSAGES = "user_messages"
"""The handle under which `read_result` shows all that the user said."""

_ARGUMENT = 60  # characters of a call's argument that the ledger repeats
_WORTH = 400  # bytes from which a text is worth a handle


@dataclass(frozen=True, slots=True)
class Said:
    """One message of the user.

    Attributes:
        turn: replies before it.
        text: verbatim.
        constraints: its sentences that bind.
    """

    turn: int
    text: str
    constraints: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """Handle of the text, once it is in a blob."""
        return hashlib.sha256(self.text.encode(errors="replace")).hexdigest()


@dataclass(frozen=True, slots=True)
class Called:
    """One tool call, as far as the ledger needs it.

    Attributes:
        name: of the tool.
        turn: number of the reply that called.
        given: its arguments.
        path: the file it was about, or None.
        writes: whether it creates or changes that file.
        written: sha256 of what it wrote, "" if the arguments do not say.
        status: how it ended; "unknown" until then.
        handle: sha256 of the result as the tool gave it; "" until then.
        size: bytes of that result.
    """

    name: str
    turn: int
    given: Mapping[str, Any] = field(default_factory=dict[str, Any])
    path: str | None = None
    writes: bool = False
    written: str = ""
    status: ToolStatus = "unknown"
    handle: str = ""
    size: int = 0

    @property
    def arguments(self) -> str:
        """The first arguments, short, for a person or a model to know the call by."""
        return _brief(self.given)


@dataclass(frozen=True, slots=True)
class FileState:
    """What the run did to a file last: "read", "wrote"; sha256 of what it then saw or wrote."""

    did: str
    sha256: str
    turn: int


class Ledger:
    """A fold over the log; reading it never changes it.

    Attributes:
        turn: replies so far.
        said: the user's messages, in order.
        approvals: answers to approvals, as lines.
        plan: the last plan as the tool's arguments gave it.
        files: by path.
        artifacts: by name, the newest of each.
        calls: by call id.
        standing: by sha256 of a result, the call whose result stands in the prompt.
        cleared: calls whose result has only a placeholder left.
        handles: what `read_result` may open, by sha256: "" for a blob, else the id of the call
            whose result stands in the log, or the seat of a message in `said` as "user:3".
        previews: by sha256 of a result that is shown in part, whether it was opened since.
        summary: the items of the summary that stands in the prompt.
    """

    def __init__(self, files: Files | None = None) -> None:
        self._files = files or Files()
        self._offloaded: dict[str, tuple[str, int]] = {}
        self._asked: dict[str, str] = {}
        self.turn = 0
        self.said: list[Said] = []
        self.approvals: dict[str, None] = {}
        self.plan: tuple[tuple[str, str], ...] = ()
        self.files: dict[str, FileState] = {}
        self.artifacts: dict[str, ArtifactRef] = {}
        self.calls: dict[str, Called] = {}
        self.standing: dict[str, str] = {}
        self.cleared: set[str] = set()
        self.handles: dict[str, str] = {}
        self.previews: dict[str, bool] = {}
        self.summary: Mapping[str, str] = {}

    def apply(self, body: Body) -> None:
        """Take the next event."""
        match body:
            case ToolStarted():
                self._start(body)
            case ToolFinished():
                self._finish(body)
            case Replied():
                self.turn += 1
            case UserMessage(content=content):
                self._say(plain_text(content))
            case Offloaded(call_id=call_id, handle=handle, size=size, same_as=same):
                self.handles[handle] = ""
                if call_id and not same:
                    self.previews.setdefault(handle, False)
                self._offloaded[call_id] = (handle, size)
            case Cleared(results=results):
                self.cleared.update(results)
                self.standing = {k: v for k, v in self.standing.items() if v not in results}
            case Compacted(summary=summary):
                self.summary = summary
            case ApprovalAsked() | ApprovalAnswered():
                self._approve(body)
            case _:
                pass

    def keep_standing(self, call_ids: set[str]) -> None:
        """Forget the standing of results that are in the prompt no more."""
        self.standing = {k: v for k, v in self.standing.items() if v in call_ids}

    def _say(self, text: str) -> None:
        said = Said(self.turn, text, constraints(text))
        if len(text) >= _WORTH:
            self.handles.setdefault(said.sha256, f"user:{len(self.said)}")
        self.said.append(said)

    def _start(self, body: ToolStarted) -> None:
        arguments = body.arguments
        if body.name == "update_plan":
            self.plan = _plan(arguments)
        elif body.name == "read_result":
            wanted = str(arguments.get("handle", ""))
            opened = [one for one in self.previews if wanted and one.startswith(wanted)]
            self.previews.update(dict.fromkeys(opened, True))
        path = self.path_of(arguments)
        words = body.name.lower()
        writes = path is not None and any(word in words for word in self._files.writes)
        written = ""
        if writes:
            content = arguments.get("content") or arguments.get("text")
            written = _sha256(content) if isinstance(content, str) else ""
        self.calls[body.call_id] = Called(body.name, self.turn, arguments, path, writes, written)

    def _finish(self, body: ToolFinished) -> None:
        handle, size = self._offloaded.pop(body.call_id, ("", 0))
        if not handle:
            data = body.content.encode(errors="replace")
            handle, size = hashlib.sha256(data).hexdigest(), len(data)
            if size >= _WORTH:
                self.handles.setdefault(handle, body.call_id)
        known = self.calls.get(body.call_id) or Called(body.name, self.turn)
        called = Called(
            known.name,
            known.turn,
            known.given,
            known.path,
            known.writes,
            known.written,
            body.status,
            handle,
            size,
        )
        self.calls[body.call_id] = called
        if body.status == "ok":
            self.standing.setdefault(handle, body.call_id)
            if called.path is not None:
                seen = called.written if called.writes else handle
                did = "wrote" if called.writes else "read"
                self.files.pop(called.path, None)  # the newest last
                self.files[called.path] = FileState(did, seen, called.turn)
        for ref in body.artifacts:
            self.artifacts[ref.name] = ref
            self.handles[ref.sha256] = ""

    def path_of(self, arguments: Mapping[str, Any]) -> str | None:
        """Return the file that a call's arguments name, or None."""
        for name in self._files.arguments:
            if name in arguments and isinstance(value := arguments[name], str) and value:
                return value
        return None

    def _approve(self, body: ApprovalAsked | ApprovalAnswered) -> None:
        if isinstance(body, ApprovalAsked):
            self._asked[body.call_id] = _brief(body.arguments)
            return
        word = "allowed" if body.approved else "denied"
        more = f": {body.reason}" if body.reason else ""
        always = ", for the rest of the run" if body.remember else ""
        what = f"{body.name}({self._asked.pop(body.call_id, '')})"
        self.approvals[f"{word} {what}{always}{more}"] = None


def _plan(arguments: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    steps: Any = arguments.get("steps") or ()
    plain: list[dict[str, Any]] = [
        step if isinstance(step, dict) else asdict(step) for step in steps
    ]
    return tuple((str(step["title"]), str(step.get("status", "pending"))) for step in plain)


def _brief(arguments: Mapping[str, Any]) -> str:
    parts: list[str] = []
    for name, value in list(arguments.items())[:3]:
        text = value if isinstance(value, str) else _json(value)
        text = " ".join(text[: 2 * _ARGUMENT].split())
        parts.append(f"{name}={text[:_ARGUMENT]}{'...' if len(text) > _ARGUMENT else ''}")
    return ", ".join(parts)


def _json(value: object) -> str:
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
