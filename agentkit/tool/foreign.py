"""Foreign schemas: validation of arguments against JSON Schema that came from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, cast

from agentkit.errors import ToolDefinitionError
from agentkit.tool.advice import Path, extra, fault, missing, show, wrong
from agentkit.tool.base import Problem, Validate

_SHOWN_MESSAGE = 200


def foreign_validator(name: str, parameters: Mapping[str, Any]) -> Validate:
    """Return what checks a tool's arguments against its JSON Schema.

    The schema is checked now; the validator is prepared at the first call, because jsonschema
    takes tens of milliseconds to import and a server may offer a hundred tools.

    Raises:
        ToolDefinitionError: the schema does not describe an object.
    """
    if parameters.get("type") != "object":
        raise ToolDefinitionError(
            f"Tool {name!r}: its parameters have to be a JSON Schema of type 'object', got "
            f"{show(parameters)}."
        )

    @cache
    def prepared() -> Any:
        # Imported at the first call of such a tool: it costs more than the rest of the package.
        from jsonschema import Draft202012Validator  # noqa: PLC0415
        from jsonschema.validators import validator_for  # noqa: PLC0415

        return validator_for(parameters, default=Draft202012Validator)(parameters)

    def validate(given: Mapping[str, Any]) -> dict[str, Any]:
        errors: list[Any] = list(prepared().iter_errors(given))
        if errors:
            problems = [problem for error in errors for problem in _problems(error, parameters)]
            raise fault(name, problems, parameters)
        return dict(given)

    return validate


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
            words = wanted if isinstance(wanted, str) else " or ".join(wanted)
            yield wrong(path, f"expected {words}", value)
        case "enum":
            yield wrong(path, f"expected {' or '.join(map(show, error.validator_value))}", value)
        case "const":
            yield wrong(path, f"expected {show(error.validator_value)}", value)
        case "anyOf" | "oneOf" if error.context:
            yield wrong(path, "expected one of the forms in the schema", value)
        case _:
            yield wrong(path, str(error.message)[:_SHOWN_MESSAGE], value)
