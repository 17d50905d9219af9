"""What a tool is: a name, a description, a JSON Schema, and a function that is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from agentkit.errors import ToolError


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


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool may return instead of a plain value.

    Attributes:
        content: the text that the model reads.
        artifacts: files for the user; the model sees only what `content` says of them.
        ok: False marks the result as an error that the model should act on.
    """

    content: str
    artifacts: tuple[Artifact, ...] = ()
    ok: bool = True


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
    """

    run_id: str
    call_id: str
    tool: str
    progress: Callable[[str], None]


class ArgumentFault(ToolError):
    """The model's arguments do not fit; the message says what is wrong and what is right."""


Validate = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Turns decoded JSON arguments into keyword arguments, or raises ArgumentFault."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as the dispatcher sees it.

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
        timeout: seconds a call may take; None takes the dispatcher's default.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    function: Callable[..., Any]
    validate: Validate
    is_async: bool
    context_parameter: str | None = None
    group: str | None = None
    read_only: bool = False
    idempotent: bool = False
    timeout: float | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself, as if it had not been made a tool."""
        return self.function(*args, **kwargs)


@runtime_checkable
class Toolset(Protocol):
    """A group of tools that share a life, such as a sandbox or an index.

    `open` is entered once per run and left when the run ends, so that state opened there
    belongs to that run alone. Entering must be quick: start expensive things at the first call.
    """

    def open(self) -> AbstractAsyncContextManager[Sequence[Tool]]:
        """Return a context manager that yields the tools of one run."""
        ...
