"""What a tool is: a name, a description, a JSON Schema, and a function that is called."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MethodType
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    cast,
    overload,
    runtime_checkable,
)

from agentkit.errors import ConfigError, ToolError
from agentkit.events import SubRun
from agentkit.log import bound
from agentkit.tool.cancelled import Cancelled
from agentkit.usage import Left

if TYPE_CHECKING:
    # With defaults, so that a bare Tool is a tool of any signature; typing has them from 3.13 on.
    from typing_extensions import ParamSpec, TypeVar  # noqa: TC004 - not at run time

    P = ParamSpec("P", default=...)
    R = TypeVar("R", default=Any)
else:
    P = ParamSpec("P")
    R = TypeVar("R")
Q = ParamSpec("Q")


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that a tool made.

    Attributes:
        name: file name without a folder.
        media_type: such as "image/png".
        data: the bytes.
    """

    name: str
    media_type: str
    data: bytes

    def __post_init__(self) -> None:
        """Refuse at once what the store could not keep.

        Raises:
            ConfigError: a name with a folder in it, or no bytes.
        """
        if not self.name or "/" in self.name or "\\" in self.name or "\0" in self.name:
            raise ConfigError(f"Artifact(name={self.name!r}): expected a file name, no folder.")
        data = cast("object", self.data)  # a tool's author may not use a type checker
        if not isinstance(data, bytes):
            raise ConfigError(f"Artifact(data=...): expected bytes, got {type(data).__name__}.")

    @classmethod
    def from_file(cls, path: Path | str) -> Self:
        """Return the file at a path, its media type guessed from its name.

        Raises:
            OSError: it cannot be read.
        """
        file = Path(path)
        media_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        return cls(file.name, media_type, file.read_bytes())


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool may return instead of a plain value.

    Attributes:
        content: the text that the model reads.
        artifacts: files for the user; the model sees only what `content` says of them.
        ok: False marks the result as an error that the model should act on.
        sub_run: the run of the sub-agent that made this result, if one did.
    """

    content: str
    artifacts: tuple[Artifact, ...] = ()
    ok: bool = True
    sub_run: SubRun | None = None


@dataclass(frozen=True, slots=True)
class Postponed:
    """What a tool returns whose call has no result yet: the call stays open and its run pauses.

    A run that is resumed makes the call again, so the tool has to be idempotent.
    """


def unlimited() -> Left:
    """Return limits that limit nothing."""
    return Left()


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool learns about the call it serves.

    A parameter annotated with this type is filled in by the dispatcher and hidden from the
    model.

    Attributes:
        run_id: id of the run.
        call_id: id of the tool call.
        tool: name of the tool.
        progress: tells subscribers how far the call is; costs nothing when nobody listens.
        cancelled: set when the call is to stop: at its timeout and when its run is cancelled.
            A tool that looks at it gets the policy's grace to end by itself, and what it then
            returns reaches the model.
        measure: says what the run may still spend; see `limits_left`.
    """

    run_id: str
    call_id: str
    tool: str
    progress: Callable[[str], None]
    cancelled: Cancelled = field(default_factory=Cancelled)
    measure: Callable[[], Left] = unlimited

    @property
    def limits_left(self) -> Left:
        """What the run may still spend, at this moment; None means no limit."""
        return self.measure()

    @property
    def log(self) -> Any:
        """A structlog logger for the operator, which names the run, the call and the tool."""
        return bound("tool", run_id=self.run_id, call_id=self.call_id, tool=self.tool)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a call's arguments.

    Attributes:
        path: keys and indexes from the arguments to the place.
        text: what is wrong and what is right, without the place.
        kind: "missing", "extra" or "wrong".
        value: what stands at the place; None where nothing stands.
    """

    path: tuple[str | int, ...]
    text: str
    kind: Literal["missing", "extra", "wrong"] = "wrong"
    value: Any = None


class ArgumentFault(ToolError):
    """The model's arguments do not fit; the message says what is wrong and what is right.

    Attributes:
        problems: the same as data; empty when the text is no JSON object at all.
    """

    def __init__(self, message: str, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


REDACTED = "[redacted]"
"""What stands in the log for the value of a parameter that `redact` names."""

Validate = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Turns decoded JSON arguments into keyword arguments, or raises ArgumentFault."""


# Two tools are equal when they are the same: a schema has no hash.
@dataclass(frozen=True, slots=True, eq=False)
class Tool(Generic[P, R]):
    """A tool as the dispatcher sees it; `tool`, `as_tool` and `raw_tool` make one.

    To a type checker, `Tool[P, R]` is called like the function it was made of.

    In a class body it behaves like a function: `instance.method` is a tool bound to the
    instance, `Class.method` is the unbound one.

    Attributes:
        name: matches ^[a-zA-Z0-9_-]{1,64}$ (GLM's rule).
        description: what the model reads.
        parameters: JSON Schema of an object.
        function: called with the validated keyword arguments; plain or async.
        validate: decoded arguments to keyword arguments.
        is_async: whether `function` returns an awaitable; others run in a thread.
        context_parameter: name of the hidden ToolContext parameter, if any.
        group: calls that share a group run one after the other in call order.
        read_only: the tool changes nothing.
        idempotent: calling it twice does no more than calling it once.
        destructive: what it does may not be undone; a hint for approval.
        open_world: it brings data from outside, which the model is told not to trust.
        timeout: seconds a call may take; None takes the dispatcher's default.
        writes: names of resources that a call changes: calls that use one of them run before or
            after it, in call order.
        reads: names of resources that a call reads; readers do not wait for each other.
        priority: when the cap is full, calls with a higher one start first.
        max_concurrency: calls of this tool that run at once; None for the dispatcher's cap.
        retries: how often a call that failed is made again.
        process: whether `function` runs in a process of its own, for work that keeps a core busy.
        concurrent: calls of one object's method need no order: binding makes no group.
        redact: parameters whose values are kept out of the log (`agentkit.tool.redact`).
        receiver: what the unbound method of a class still has to be bound to; None once it is
            bound, and for every other tool.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    function: Callable[P, R]
    validate: Validate
    is_async: bool
    context_parameter: str | None = None
    group: str | None = None
    read_only: bool = False
    idempotent: bool = False
    destructive: bool = False
    open_world: bool = False
    timeout: float | None = None
    writes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    priority: int = 0
    max_concurrency: int | None = None
    retries: int = 0
    process: bool = False
    concurrent: bool = False
    redact: tuple[str, ...] = ()
    receiver: Literal["instance", "class"] | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself, as if it had not been made a tool."""
        return self.function(*args, **kwargs)

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(
        self: Tool[Concatenate[Any, Q], R], instance: object, owner: type | None = None
    ) -> Tool[Q, R]: ...
    def __get__(self, instance: object | None, owner: type | None = None) -> Tool[..., Any]:
        """Bind the tool as Python binds a function that stands in a class."""
        if self.receiver is None or (instance is None and self.receiver == "instance"):
            return self
        return self.bind(instance if self.receiver == "instance" else owner or type(instance))

    def bind(self, target: object) -> Tool[..., Any]:
        """Return the tool of one object; its group, unless concurrent, is that object."""
        return replace(
            self,
            function=MethodType(self.function, target),
            group=self.group or (None if self.concurrent else object_group(target)),
            receiver=None,
        )


def object_group(target: object) -> str:
    """Return the group of an object's methods; it is unique while the object lives."""
    name = target.__name__ if isinstance(target, type) else type(target).__name__
    return f"{name}@{id(target):x}"


@runtime_checkable
class Toolset(Protocol):
    """A group of tools that share a life, such as a sandbox or an index.

    `open` is entered once per run and left when the run ends, so that state opened there
    belongs to that run alone. Entering must be quick: start expensive things at the first call.
    """

    def open(self) -> AbstractAsyncContextManager[Sequence[Tool]]:
        """Return a context manager that yields the tools of one run."""
        ...
