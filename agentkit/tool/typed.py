"""Typed objects: the JSON Schema of a type as a tool's parameters, and its validator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import to_json

from agentkit.tool.advice import fault, pydantic_problems
from agentkit.tool.compact import compact


def validator(kind: Any, name: str) -> tuple[Mapping[str, Any], Callable[[Mapping[str, Any]], Any]]:
    """Return the JSON Schema of a type whose values are objects, and what makes such a value.

    Args:
        kind: a pydantic model, dataclass, TypedDict, or a union of these.
        name: name of the tool whose arguments it describes, for messages.

    Returns:
        The schema, and a function from decoded JSON to a value of the type; it raises
        ArgumentFault with what is wrong and what is right.
    """
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - only typed output pays

    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    schema = compact(adapter.json_schema())
    if reference := schema.pop("$ref", None):  # a type that contains itself
        schema = {**schema["$defs"][reference.rsplit("/", 1)[-1]], **schema}
    schema.setdefault("type", "object")

    def check(given: Mapping[str, Any]) -> Any:
        try:
            return adapter.validate_json(to_json(given))
        except ValidationError as error:
            raise fault(name, pydantic_problems(error, given, schema), schema) from None

    return schema, check
