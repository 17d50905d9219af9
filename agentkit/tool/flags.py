"""Flags: what the author of a tool says of its calls, by which they are ordered and bounded."""

from __future__ import annotations

import inspect
from typing import Any, TypedDict, Unpack, cast

from agentkit.errors import ToolDefinitionError


class Flags(TypedDict, total=False):
    """Keywords of `@tool` and `raw_tool`.

    Attributes:
        read_only: the tool changes nothing. Its call may start while the model still writes, and
            the same call twice in one turn runs once.
        idempotent: calling it twice does no more than calling it once.
        destructive: what it does may not be undone; a hint for approval.
        open_world: it brings data from outside; the model is told where they begin and end, and
            not to take orders from them.
        timeout: seconds a call may take. Default: the dispatcher's.
        group: calls of all tools with the same group run in call order; the same as `writes`.
        writes: resources that a call changes, such as "repo": it runs before or after every call
            that uses one of them, in call order. A name means the same in all runs of the event
            loop, so say "repo:" and a path where each run has its own; a sub-agent's calls do not
            wait for the call that it serves.
        reads: resources that a call only reads; readers do not wait for each other.
        priority: when more calls are ready than may run, higher ones start first. Default 0.
        max_concurrency: calls of this function that run at once in all runs of the event loop.
        retries: how often a call that raised anything but ToolError is made again, after a short
            pause; for tools that are read_only or idempotent.
        redact: parameters whose values are secrets: the log does not keep them, at a price when
            the run is resumed (`agentkit.tool.redact`).
        process: run the function in a process of its own, which is killed at the timeout. For
            module-level functions whose arguments and result can be pickled.
    """

    read_only: bool
    idempotent: bool
    destructive: bool
    open_world: bool
    timeout: float | None
    group: str | None
    writes: str | tuple[str, ...]
    reads: str | tuple[str, ...]
    priority: int
    max_concurrency: int | None
    retries: int
    process: bool
    redact: str | tuple[str, ...]


def checked(name: str, **flags: Unpack[Flags]) -> dict[str, Any]:
    """Return the flags as fields of a Tool.

    Raises:
        ToolDefinitionError: a flag that there is not, or with a value that makes no sense.
    """
    fields: dict[str, Any] = {**flags}
    if unknown := fields.keys() - Flags.__annotations__.keys():
        raise ToolDefinitionError(
            f"Tool {name!r}: there is no option {', '.join(sorted(unknown))}. The options are: "
            f"{', '.join(Flags.__annotations__)}."
        )
    for key in ("writes", "reads", "redact"):
        if key in fields:
            fields[key] = _names(name, key, fields[key])
    timeout = flags.get("timeout")
    if timeout is not None and not timeout > 0:
        raise ToolDefinitionError(f"Tool {name!r}: timeout={timeout!r}, expected seconds above 0.")
    most = flags.get("max_concurrency")
    if most is not None and not most >= 1:
        raise ToolDefinitionError(f"Tool {name!r}: max_concurrency={most!r}, expected 1 or more.")
    _check_retries(name, flags)
    return fields


def check_process(name: str, function: object, context_parameter: str | None) -> None:
    """Refuse a function that another process could not find or run.

    Raises:
        ToolDefinitionError: with the reason.
    """
    if context_parameter is not None:
        why = f"its parameter {context_parameter!r} is a ToolContext, which stays in this process"
    elif not inspect.isfunction(function):
        why = f"it is a {type(function).__name__}, not a function"
    elif inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        why = "it is async; make it a plain function"
    elif inspect.isgeneratorfunction(function):
        why = "it is a generator, and what it yields would not arrive; return the result"
    elif function.__qualname__ != function.__name__ or function.__name__ == "<lambda>":
        why = f"{function.__qualname__} is not at the top level of its module"
    else:
        return
    raise ToolDefinitionError(
        f"Tool {name!r} cannot run in a process of its own: {why}. Leave out process=True, or "
        "give a module-level function."
    )


def _names(name: str, key: str, given: Any) -> tuple[str, ...]:
    names = cast("tuple[object, ...]", given if isinstance(given, tuple) else (given,))
    if not all(isinstance(one, str) and one for one in names):
        raise ToolDefinitionError(
            f"Tool {name!r}: {key}={given!r}, expected a name or a tuple of names."
        )
    return cast("tuple[str, ...]", names)


def _check_retries(name: str, flags: Flags) -> None:
    retries = flags.get("retries", 0)
    if retries < 0:
        raise ToolDefinitionError(f"Tool {name!r}: retries={retries!r}, expected 0 or more.")
    if retries and not (flags.get("read_only") or flags.get("idempotent")):
        raise ToolDefinitionError(
            f"Tool {name!r}: retries={retries!r}, but a call that failed may have done half of its "
            "work. Say read_only=True or idempotent=True if it is safe to make it again."
        )
