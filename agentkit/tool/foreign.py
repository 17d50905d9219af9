"""Foreign schemas: validation of arguments against JSON Schema that came from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, cast

from agentkit.errors import ToolDefinitionError
from agentkit.tool.advice import extra, fault, missing, show, words, wrong
from agentkit.tool.base import Problem, Validate
from agentkit.tool.shape import Path, values_of

_SHOWN_MESSAGE = 200


def foreign_validator(name: str, parameters: Mapping[str, Any]) -> Validate:
    """Return what checks a tool's arguments against its JSON Schema.

    Draft 2020-12 holds unless `$schema` names another, such as draft-07. A reference to another
    address is never followed.

    The schema's form is checked now; the validator is prepared at the first call, because
    jsonschema takes tens of milliseconds to import and a server may offer a hundred tools.

    Raises:
        ToolDefinitionError: the schema does not describe an object, or a parameter's schema is
            none; the message names it.
    """
    _check(name, parameters)

    @cache
    def prepared() -> Any:
        # Imported at the first call of such a tool: it costs more than the rest of the package.
        from jsonschema import Draft202012Validator  # noqa: PLC0415
        from jsonschema.validators import validator_for  # noqa: PLC0415
        from referencing import Registry  # noqa: PLC0415

        # Without a registry of its own, jsonschema would fetch what a schema refers to.
        registry: Registry[Any] = Registry()
        kind = validator_for(parameters, default=Draft202012Validator)
        return kind(parameters, registry=registry)

    def validate(given: Mapping[str, Any]) -> dict[str, Any]:
        errors: list[Any] = list(prepared().iter_errors(given))
        if errors:
            problems = [problem for error in errors for problem in _problems(error, parameters)]
            raise fault(name, problems, parameters)
        return dict(given)

    return validate


def _check(name: str, parameters: Mapping[str, Any]) -> None:
    if parameters.get("type") != "object":
        raise ToolDefinitionError(
            f"Tool {name!r}: its parameters have to be a JSON Schema of type 'object', got "
            f"{show(parameters)}."
        )
    properties = parameters.get("properties", {})
    if not isinstance(properties, Mapping):
        raise ToolDefinitionError(
            f"Tool {name!r}: 'properties' has to hold a JSON Schema for each parameter, got "
            f"{show(properties)}."
        )
    for key, schema in cast("Mapping[str, object]", properties).items():
        if not isinstance(schema, Mapping | bool):
            raise ToolDefinitionError(
                f"Tool {name!r}: parameter {key!r} has {show(schema)} where a JSON Schema belongs."
            )


def _problems(error: Any, schema: Mapping[str, Any]) -> Iterator[Problem]:
    path: Path = tuple(error.absolute_path)
    value: Any = error.instance
    match error.validator:
        case "required":
            # One error for each missing name, but only the message says which.
            names = [name for name in error.validator_value if name not in value]
            yield from (
                missing((*path, name), schema)
                for name in names
                if error.message.startswith(repr(name))
            )
        case "additionalProperties" if error.validator_value is False:
            known = cast("dict[str, Any]", error.schema.get("properties", {}))
            yield from (
                extra((*path, name), schema, value[name]) for name in value if name not in known
            )
        case "type":
            wanted = error.validator_value
            said = wanted if isinstance(wanted, str) else " or ".join(wanted)
            yield wrong(path, f"expected {said}", value)
        case "enum" | "const":
            values = list(values_of(error.schema))
            yield wrong(path, f"expected {' or '.join(map(show, values))}", value)
        case "anyOf" | "oneOf" if error.context:
            yield from _of_the_meant(error, path, schema)
        case "uniqueItems":
            yield wrong(path, "expected no two equal items", value)
        case _:
            yield wrong(path, str(error.message)[:_SHOWN_MESSAGE], value)


def _of_the_meant(error: Any, path: Path, schema: Mapping[str, Any]) -> Iterator[Problem]:
    """Tell what is wrong with the one alternative whose type fits, or name all alternatives."""
    alternatives: dict[int, list[Any]] = {}
    for one in error.context:
        alternatives.setdefault(one.relative_schema_path[0], []).append(one)
    meant = [found for found in alternatives.values() if not any(map(_of_another_kind, found))]
    if len(meant) == 1:
        for one in meant[0]:
            yield from _problems(one, schema)
    else:
        yield wrong(path, f"expected {words(error.schema, schema)}", error.instance)


def _of_another_kind(error: Any) -> bool:
    """Whether an alternative fails in its type, or in a tag one level below."""
    depth = len(error.relative_path)
    return (depth == 0 and error.validator in ("type", "enum", "const")) or (
        depth == 1 and error.validator == "const"
    )
