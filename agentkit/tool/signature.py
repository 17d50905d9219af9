"""Signatures: from a function's parameters to JSON Schema and a validator, through pydantic."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Annotated, Any, NotRequired, Required, cast, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import to_json, to_jsonable_python
from typing_extensions import TypedDict, Unpack, is_typeddict

from agentkit.errors import ToolDefinitionError
from agentkit.tool.advice import fault, pydantic_problems
from agentkit.tool.base import ToolContext, Validate
from agentkit.tool.compact import compact
from agentkit.tool.exact import Exact, exact_schema
from agentkit.tool.foreign import foreign_validator
from agentkit.tool.unwrap import call_of, under_partials

_NO_MODEL_COULD = {
    inspect.Parameter.POSITIONAL_ONLY: "is positional-only; drop the '/' from the signature",
    inspect.Parameter.VAR_POSITIONAL: "takes any number of values; make it one list parameter",
}


_Adapter = tuple[TypeAdapter[Any], Exact]


@dataclass(frozen=True, slots=True)
class Described:
    """What a signature says: the JSON Schema, the validator and the hidden parameter's name."""

    parameters: dict[str, Any]
    validate: Validate
    context_parameter: str | None


def describe(
    function: Callable[..., Any], name: str, said: Mapping[str, str], *, skip_first: bool = False
) -> Described:
    """Return the JSON Schema of a function's parameters and the validator that belongs to it.

    Args:
        function: any callable with a signature.
        name: name of the tool, for messages.
        said: parameter names to descriptions; a description in a Field comes first.
        skip_first: whether the first parameter is `self` or `cls`.

    Raises:
        ToolDefinitionError: a parameter that JSON Schema cannot describe; named.
    """
    parameters, context_parameter = _visible_parameters(function, name, skip_first=skip_first)
    shape, extras = _shape(parameters, name)
    adapter, exact = _adapter(shape, name)
    schema = exact.schema
    properties: dict[str, Any] = schema.setdefault("properties", {})
    for parameter in parameters:
        if wanted := properties.get(_json_name(shape.get(parameter.name), parameter.name)):
            if words := said.get(parameter.name):
                wanted.setdefault("description", words)
            _tell_default(wanted, parameter.default)
    if extras is not None:
        # Its definitions belong to it alone, so they are put in place first.
        schema["additionalProperties"] = compact(extras[1].schema).get("additionalProperties", True)
    schema = compact(schema)
    validate = _validator((adapter, exact), extras, schema, name)
    if exact.is_loose or (extras is not None and extras[1].is_loose):
        validate = _both(foreign_validator(name, schema), validate)
    return Described(schema, validate, context_parameter)


def _visible_parameters(
    function: Callable[..., Any], name: str, *, skip_first: bool
) -> tuple[list[inspect.Parameter], str | None]:
    """Return the parameters that the model fills in, types resolved, and the hidden one."""
    try:
        found = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise ToolDefinitionError(f"Tool {name!r}: {function!r} has no signature.") from error
    # What functools.partial fixed by keyword may be a secret or a connection.
    fixed: Mapping[str, Any] = getattr(function, "keywords", {})
    visible: list[inspect.Parameter] = []
    context_parameter: str | None = None
    for parameter in found[1:] if skip_first else found:
        if parameter.name in fixed:
            continue
        if reason := _NO_MODEL_COULD.get(parameter.kind):
            raise ToolDefinitionError(f"Tool {name!r}: parameter {parameter.name!r} {reason}.")
        hint = _hint(parameter, function, name)
        if hint is ToolContext or ToolContext in get_args(hint):
            if context_parameter:
                raise ToolDefinitionError(
                    f"Tool {name!r}: {context_parameter!r} and {parameter.name!r} are both a "
                    "ToolContext; one is enough."
                )
            context_parameter = parameter.name
        else:
            visible.append(parameter.replace(annotation=hint))
    return visible, context_parameter


def _hint(parameter: inspect.Parameter, function: Callable[..., Any], name: str) -> Any:
    if parameter.annotation is parameter.empty:
        return Any
    plain: Any = _plain_function(function)
    # One parameter at a time: the error can name it, and a return type only a type checker
    # can see does no harm.
    holder = SimpleNamespace(__annotations__={"it": parameter.annotation})
    names = cast("dict[str, Any]", getattr(plain, "__globals__", {}))

    def resolve(local: Mapping[str, Any]) -> Any:
        hints = get_type_hints(holder, dict(names), dict(local), include_extras=True)
        return hints["it"]

    try:
        try:
            return resolve({})
        except NameError:
            return resolve(_defining_scope(plain))
    except Exception as error:
        raise ToolDefinitionError(
            f"Tool {name!r}: the type of parameter {parameter.name!r}, "
            f"{parameter.annotation!r}, cannot be resolved: {error}."
        ) from error


def _plain_function(function: Any) -> Any:
    """Return the function under partials, bound methods, callables and wrappers."""
    plain = under_partials(function)
    return inspect.unwrap(plain if inspect.isroutine(plain) else call_of(plain))


def _defining_scope(function: Any) -> dict[str, Any]:
    """Return the local names where a function was defined, for types defined in functions."""
    scope = dict[str, Any]()
    outer = getattr(function, "__qualname__", "").rpartition(".<locals>.")[0]
    code = getattr(function, "__code__", None)
    frame = inspect.currentframe()
    while outer and code and frame:
        if frame.f_code.co_qualname == outer and frame.f_code.co_filename == code.co_filename:
            scope.update(frame.f_locals)
            break
        frame = frame.f_back
    if inspect.isfunction(function):
        scope.update(inspect.getclosurevars(function).nonlocals)
    return scope


def _shape(
    parameters: list[inspect.Parameter], name: str
) -> tuple[dict[str, Any], _Adapter | None]:
    """Return the fields of a TypedDict, and the adapter of what **keywords takes."""
    shape: dict[str, Any] = {}
    extras: _Adapter | None = None
    for parameter in parameters:
        hint = parameter.annotation
        if parameter.kind is parameter.VAR_KEYWORD and get_origin(hint) is Unpack:
            shape |= _unpacked(get_args(hint)[0], parameter.name, name)
        elif parameter.kind is parameter.VAR_KEYWORD:
            extras = _one_adapter(dict[str, hint], parameter.name, name)
        elif isinstance(parameter.default, FieldInfo):
            shape[parameter.name] = Annotated[hint, parameter.default]
        elif parameter.default is not parameter.empty:
            # Not required and without a default here: the function's own default holds.
            shape[parameter.name] = NotRequired[hint]
        else:
            shape[parameter.name] = hint
    return shape, extras


def _unpacked(fields: Any, parameter: str, name: str) -> dict[str, Any]:
    """Return the fields of `**options: Unpack[Options]`, each required or not as it says."""
    if not is_typeddict(fields):
        raise ToolDefinitionError(
            f"Tool {name!r}: parameter {parameter!r} unpacks {fields!r}; give it a TypedDict."
        )
    found: dict[str, Any] = {}
    for key, hint in get_type_hints(fields, include_extras=True).items():
        bare = get_args(hint)[0] if get_origin(hint) in (Required, NotRequired) else hint
        found[key] = bare if key in fields.__required_keys__ else NotRequired[bare]
    return found


def _json_name(hint: Any, name: str) -> str:
    """Return the name that the model sees: Field(alias="from") frees a word that Python keeps."""
    bare = get_args(hint)[0] if get_origin(hint) is NotRequired else hint
    for note in getattr(bare, "__metadata__", ()):
        if isinstance(note, FieldInfo) and isinstance(note.validation_alias, str):
            return note.validation_alias
    return name


def _adapter(shape: dict[str, Any], name: str) -> _Adapter:
    """Return adapter and schema of a TypedDict; blame the parameter that has neither."""
    fields = cast("Any", TypedDict)("Arguments", shape)
    fields.__pydantic_config__ = ConfigDict(extra="forbid")
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(fields)
        return adapter, exact_schema(adapter)
    except Exception:
        for parameter, hint in shape.items():
            _one_adapter(hint, parameter, name)
        raise


def _one_adapter(hint: Any, parameter: str, name: str) -> _Adapter:
    bare = get_args(hint)[0] if get_origin(hint) is NotRequired else hint
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(bare)
        return adapter, exact_schema(adapter)
    except Exception as error:  # hooks of foreign types may raise anything
        reason = str(error).split("\n", 1)[0]
        raise ToolDefinitionError(
            f"Tool {name!r}: parameter {parameter!r} has a type that JSON Schema cannot "
            f"describe, {bare!r}: {reason}. Take a str, a number, a list, a dict or a pydantic "
            "model and build the object inside the tool."
        ) from error


def _tell_default(schema: dict[str, Any], default: Any) -> None:
    if default is inspect.Parameter.empty or default is None or isinstance(default, FieldInfo):
        return
    try:
        value = to_jsonable_python(default)
        to_json(value, inf_nan_mode="constants")
    except ValueError:
        return  # the default works without the model knowing it
    schema.setdefault("default", value)


def _validator(
    main: _Adapter, extras: _Adapter | None, schema: Mapping[str, Any], name: str
) -> Validate:
    names = frozenset(schema["properties"])

    # JSON mode, since that is what the schema describes. Strict, since the schema is: what is
    # written in another type is mended first, and the log says so.
    def checked(with_: _Adapter, given: Mapping[str, Any]) -> dict[str, Any]:
        adapter, exact = with_
        extra = "forbid" if exact.is_closed else None
        return adapter.validate_json(to_json(given), strict=True, extra=extra)

    def validate(given: Mapping[str, Any]) -> dict[str, Any]:
        try:
            if extras is None:
                return checked(main, given)
            known = {key: value for key, value in given.items() if key in names}
            others = {key: value for key, value in given.items() if key not in names}
            values = checked(main, known)
            return checked(extras, others) | values
        except ValidationError as error:
            raise fault(name, pydantic_problems(error, given, schema), schema) from None

    return validate


def _both(check: Validate, validate: Validate) -> Validate:
    def checked(given: Mapping[str, Any]) -> dict[str, Any]:
        check(given)
        return validate(given)

    return checked
