"""Tools from functions: the `@tool` decorator and its two relatives."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MethodType
from typing import Any, Literal, cast, overload

from agentkit.errors import ToolDefinitionError
from agentkit.tool.base import Tool, object_group
from agentkit.tool.docstring import parse_docstring
from agentkit.tool.foreign import foreign_validator
from agentkit.tool.unwrap import call_of, under_partials

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class _Options:
    name: str | None = None
    read_only: bool = False
    idempotent: bool = False
    timeout: float | None = None
    concurrent: bool = False
    group: str | None = None


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(
    *,
    name: str | None = None,
    read_only: bool = False,
    idempotent: bool = False,
    timeout: float | None = None,
    concurrent: bool = False,
    group: str | None = None,
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    read_only: bool = False,
    idempotent: bool = False,
    timeout: float | None = None,
    concurrent: bool = False,
    group: str | None = None,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a tool of a function, method, partial or callable object: `@tool` or `@tool(...)`.

    The signature becomes the JSON Schema, the docstring (Google, NumPy, reST or Epytext) the
    descriptions; `Annotated[..., Field(...)]` adds constraints. A parameter annotated with
    ToolContext is hidden from the model and filled in; so is what a partial fixes by keyword. The
    tool stays callable like the function. A function that is not async runs in a thread.

    A generator, async or not, tells how far it is by what it yields: each text it yields is told
    to subscribers at once. Its result is what it returns, else the last value that is no text,
    else the last text.

    What a parameter of type `bytes` gets is the UTF-8 of the text that the model wrote; take
    `pydantic.Base64Bytes` for other bytes.

    In a class, `instance.method` is a tool bound to the instance, and the calls of one
    instance's methods run in call order, because they share its state.

    Args:
        function: what to make a tool of.
        name: what the model calls it. Default: the function's name.
        read_only: the tool changes nothing.
        idempotent: calling it twice does no more than calling it once.
        timeout: seconds a call may take. Default: the dispatcher's.
        concurrent: calls of this method need no order.
        group: calls of all tools with the same group run in call order.

    Raises:
        ToolDefinitionError: a name that GLM does not take, or a parameter that JSON Schema
            cannot describe; the message names it.
    """
    options = _Options(name, read_only, idempotent, timeout, concurrent, group)

    def decorate(target: Callable[..., Any]) -> Tool:
        return _make(target, options)

    return decorate if function is None else decorate(function)


def as_tool(target: object) -> Tool:
    """Return the tool that an object stands for: a Tool itself, or any callable made one.

    Raises:
        ToolDefinitionError: no callable, a class, the unbound method of a class, or a callable
            that cannot become a tool.
    """
    if isinstance(target, MethodType) and isinstance(target.__func__, Tool):
        return target.__func__.bind(target.__self__)
    made = target if isinstance(target, Tool) else _make(target, _Options())
    if made.receiver is not None:
        raise ToolDefinitionError(
            f"Tool {made.name!r} is a method without its {made.receiver}: pass the bound "
            f"method, such as instance.{made.name}."
        )
    return made


def raw_tool(  # noqa: PLR0913 - one keyword for each thing that a signature would have said
    name: str,
    description: str,
    parameters: Mapping[str, Any],
    function: Callable[..., Any],
    *,
    read_only: bool = False,
    idempotent: bool = False,
    timeout: float | None = None,
    group: str | None = None,
) -> Tool:
    """Return a tool from a JSON Schema that came from elsewhere, and a callable.

    Args:
        name: what the model calls it.
        description: what the model reads.
        parameters: JSON Schema of an object; the model sees it as it is. Draft 2020-12 unless
            its `$schema` says otherwise.
        function: plain or async; called with the arguments as keywords.
        read_only: the tool changes nothing.
        idempotent: calling it twice does no more than calling it once.
        timeout: seconds a call may take. Default: the dispatcher's.
        group: calls of all tools with the same group run in call order.

    Raises:
        ToolDefinitionError: a name that GLM does not take, or a schema that is none or does
            not describe an object.
    """
    _check_name(name)
    _check_timeout(name, timeout)
    return Tool(
        name=name,
        description=description,
        parameters=parameters,
        function=function,
        validate=foreign_validator(name, parameters),
        is_async=_is_async(function),
        group=group,
        read_only=read_only,
        idempotent=idempotent,
        timeout=timeout,
    )


def _make(target: object, options: _Options) -> Tool:
    receiver: Literal["instance", "class"] | None = None
    if isinstance(target, classmethod):
        target, receiver = cast("Any", target).__func__, "class"
    if isinstance(target, Tool):
        raise ToolDefinitionError(f"Tool {target.name!r} is a tool already.")
    if isinstance(target, type) or not callable(target):
        hint = "pass an instance or one of its methods" if isinstance(target, type) else "not one"
        raise ToolDefinitionError(
            f"A tool is made of a function or a callable, got {target!r}: {hint}."
        )
    name = options.name or _name_of(target)
    _check_name(name)
    _check_timeout(name, options.timeout)
    if receiver is None and _is_method(target):
        receiver = "class" if _first_parameter(target) == "cls" else "instance"
    # Imported at the first tool: pydantic's types take longer to load than all of agentkit.
    from agentkit.tool.signature import describe  # noqa: PLC0415

    said = parse_docstring(_docstring_of(target))
    described = describe(target, name, said.parameters, skip_first=receiver is not None)
    return Tool(
        name=name,
        description=said.description,
        parameters=described.parameters,
        function=target,
        validate=described.validate,
        is_async=_is_async(target),
        context_parameter=described.context_parameter,
        group=options.group or (None if options.concurrent else _group_of(target)),
        read_only=options.read_only,
        idempotent=options.idempotent,
        timeout=options.timeout,
        concurrent=options.concurrent,
        receiver=receiver,
    )


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ToolDefinitionError(
            f"Tool name {name!r}: GLM takes 1 to 64 of the letters a-z, A-Z, digits, '_' and '-'. "
            "Give another with name=..."
        )


def _check_timeout(name: str, timeout: float | None) -> None:
    if timeout is not None and not timeout > 0:
        raise ToolDefinitionError(f"Tool {name!r}: timeout={timeout!r}, expected seconds above 0.")


def _name_of(target: Any) -> str:
    plain = under_partials(target)
    return getattr(plain, "__name__", None) or type(plain).__name__


def _docstring_of(target: Any) -> str | None:
    plain = under_partials(target)
    if inspect.isroutine(plain):
        return inspect.getdoc(plain)
    # An object's call is described where it is defined, or by its class.
    return inspect.getdoc(call_of(plain)) or inspect.getdoc(plain)


def _first_parameter(target: Any) -> str | None:
    return next(iter(inspect.signature(target).parameters), None)


def _is_method(target: Any) -> bool:
    """Whether a plain function stands in a class body and waits for its object."""
    return (
        inspect.isfunction(target)
        and not inspect.unwrap(target).__qualname__.endswith(f"<locals>.{target.__name__}")
        and "." in inspect.unwrap(target).__qualname__
        and _first_parameter(target) in ("self", "cls")
    )


def _is_async(target: Any) -> bool:
    plain = under_partials(target)
    if isinstance(plain, staticmethod):
        plain = cast("Any", plain).__func__
    if not inspect.isroutine(plain):
        plain = call_of(plain)
    return inspect.iscoroutinefunction(plain) or inspect.isasyncgenfunction(plain)


def _group_of(target: Any) -> str | None:
    """Return the group of the object whose state a callable shares with others, if any."""
    plain = under_partials(target)
    if isinstance(plain, MethodType):
        return object_group(plain.__self__)
    return None if inspect.isroutine(plain) else object_group(plain)
