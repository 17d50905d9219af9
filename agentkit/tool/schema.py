"""Tools from functions: the `@tool` decorator and its two relatives."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MethodType
from typing import Any, Literal, Unpack, cast, overload

from agentkit.errors import ToolDefinitionError
from agentkit.tool.base import P, R, Tool, object_group
from agentkit.tool.docstring import parse_docstring
from agentkit.tool.flags import Flags, check_process, checked
from agentkit.tool.foreign import foreign_validator
from agentkit.tool.unwrap import call_of, under_partials

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class _Options:
    name: str | None = None
    concurrent: bool = False
    flags: Flags = field(default_factory=Flags)


@overload
def tool(function: Callable[P, R], /) -> Tool[P, R]: ...
@overload
def tool(
    *,
    name: str | None = None,
    concurrent: bool = False,
    **flags: Unpack[Flags],
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    concurrent: bool = False,
    **flags: Unpack[Flags],
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
        concurrent: calls of this method need no order.
        **flags: what its calls do and how they run; see `agentkit.tool.flags.Flags`.

    Raises:
        ToolDefinitionError: a name that GLM does not take, a parameter that JSON Schema cannot
            describe, or a flag that does not fit; the message names it.
    """
    options = _Options(name, concurrent, flags)

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
        unbound = cast("Tool", target.__func__)  # pyright: ignore[reportUnknownMemberType]
        return unbound.bind(target.__self__)
    made = cast("Tool", target) if isinstance(target, Tool) else _make(target, _Options())
    if made.receiver is not None:
        raise ToolDefinitionError(
            f"Tool {made.name!r} is a method without its {made.receiver}: pass the bound "
            f"method, such as instance.{made.name}."
        )
    return made


def raw_tool(
    name: str,
    description: str,
    parameters: Mapping[str, Any],
    function: Callable[..., Any],
    **flags: Unpack[Flags],
) -> Tool:
    """Return a tool from a JSON Schema that came from elsewhere, and a callable.

    Args:
        name: what the model calls it.
        description: what the model reads.
        parameters: JSON Schema of an object; the model sees it as it is. Draft 2020-12 unless
            its `$schema` says otherwise.
        function: plain or async; called with the arguments as keywords.
        **flags: what its calls do and how they run; see `agentkit.tool.flags.Flags`.

    Raises:
        ToolDefinitionError: a name that GLM does not take, a flag that does not fit, or a schema
            that is none or does not describe an object.
    """
    check_name(name)
    fields = checked(name, **flags)
    _check_redact(name, fields.get("redact", ()), parameters)
    if flags.get("process"):
        check_process(name, function, None)
    return Tool(
        name=name,
        description=description,
        parameters=parameters,
        function=function,
        validate=foreign_validator(name, parameters),
        is_async=_is_async(function),
        **fields,
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
    check_name(name)
    fields = checked(name, **options.flags)
    if receiver is None and _is_method(target):
        receiver = "class" if _first_parameter(target) == "cls" else "instance"
    # Imported at the first tool: pydantic's types take longer to load than all of agentkit.
    from agentkit.tool.signature import describe  # noqa: PLC0415

    said = parse_docstring(_docstring_of(target))
    described = describe(target, name, said.parameters, skip_first=receiver is not None)
    if options.flags.get("process"):
        check_process(name, target, described.context_parameter)
    fields["group"] = options.flags.get("group") or (
        None if options.concurrent else _group_of(target)
    )
    _check_redact(name, fields.get("redact", ()), described.parameters)
    return Tool(
        name=name,
        description=said.description,
        parameters=described.parameters,
        function=target,
        validate=described.validate,
        is_async=_is_async(target),
        context_parameter=described.context_parameter,
        concurrent=options.concurrent,
        receiver=receiver,
        **fields,
    )


def check_name(name: str) -> None:
    """Raise ToolDefinitionError unless GLM takes the name."""
    if not _NAME.fullmatch(name):
        raise ToolDefinitionError(
            f"Tool name {name!r}: GLM takes 1 to 64 of the letters a-z, A-Z, digits, '_' and '-'. "
            "Give another with name=..."
        )


def _check_redact(name: str, redact: tuple[str, ...], schema: Mapping[str, Any]) -> None:
    for parameter in redact:
        if parameter not in schema.get("properties", {}):
            raise ToolDefinitionError(
                f"Tool {name!r}: redact={redact!r}, but it has no parameter {parameter!r}. The "
                f"model fills in {sorted(schema.get('properties', {}))}."
            )


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
