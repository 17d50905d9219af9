"""The shape of an output: the type that an answer has to fit, how it is asked for and read."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import orjson

from agentkit.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import ValidationError

_FENCED = re.compile(r"```(?:json)?\s*\n(.*?)\n\s*```", re.DOTALL | re.IGNORECASE)
_MOST_FAULTS = 5


class Shape:
    """The type that an answer has to fit: how it is asked for, and how it is read.

    Args:
        output: `dict` for any JSON object; or a pydantic model, dataclass, TypedDict, list, union.

    Attributes:
        schema: JSON Schema of an object; a type that is none rides in its property `value`.
        instruction: tells a model to answer with such an object.
        is_wrapped: whether it rides in `value`.

    Raises:
        ConfigError: no JSON schema can describe the type.
    """

    def __init__(self, output: Any) -> None:
        from pydantic import PydanticUserError, TypeAdapter  # noqa: PLC0415 - only typed output pays

        try:
            self._adapter: TypeAdapter[Any] = TypeAdapter(output)
            schema = self._adapter.json_schema()
        except PydanticUserError as error:
            raise ConfigError(
                f"output={output!r} cannot be described to the model ({error}). Expected str, "
                "dict, a pydantic model, a dataclass, a TypedDict or a list of them."
            ) from error
        # JSON mode gives objects only: anything else rides inside one.
        self.is_wrapped = not _is_object(schema, schema)
        asked = "Answer with one JSON object and nothing else"
        if self.is_wrapped:
            definitions = schema.pop("$defs", None)
            schema = {"type": "object", "properties": {"value": schema}, "required": ["value"]}
            schema |= {"$defs": definitions} if definitions else {}
        self.schema: dict[str, Any] = schema
        bare = set(schema) <= {"type", "additionalProperties"}
        described = "." if bare else f". It must match this JSON Schema:\n{_dump(schema)}"
        self.instruction = asked + described

    def read(self, text: str) -> Any:
        """Return the output that the text of a reply holds.

        Raises:
            ValueError: it holds none; the text says what is wrong, for the model to read.
        """
        return self.check(_json(text))

    def check(self, data: Any) -> Any:
        """Return the output that decoded JSON holds.

        Raises:
            ValueError: it does not fit; the text says what is wrong, for the model to read.
        """
        from pydantic import ValidationError  # noqa: PLC0415 - loaded already, by the constructor

        if self.is_wrapped and isinstance(data, dict):
            fields = cast("dict[str, Any]", data)
            data = fields["value"] if set(fields) == {"value"} else fields
        try:
            return self._adapter.validate_json(orjson.dumps(data))
        except ValidationError as error:
            raise ValueError(_faults(error)) from error


def _is_object(schema: dict[str, Any], root: dict[str, Any]) -> bool:
    if ref := schema.get("$ref"):
        return _is_object(root["$defs"][ref.rsplit("/", 1)[-1]], root)
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return all(_is_object(option, root) for option in options)
    return schema.get("type") == "object"


def _json(text: str) -> Any:
    """Return the JSON of an answer: the whole text, or what stands in its code fence or braces."""
    fenced = _FENCED.search(text)
    inside = text[text.find("{") : text.rfind("}") + 1]
    for candidate in (text, fenced[1] if fenced else "", inside):
        with suppress(orjson.JSONDecodeError):
            return orjson.loads(candidate)
    try:
        return orjson.loads(text.strip())
    except orjson.JSONDecodeError as error:
        raise ValueError(f"The answer is not valid JSON: {error}.") from error


def _faults(error: ValidationError) -> str:
    faults = error.errors(include_url=False, include_context=False)
    lines = [
        f"- {'.'.join(map(str, fault['loc'])) or 'the answer'}: {fault['msg']}, "
        f"got {str(fault['input'])[:80]!r}"
        for fault in faults[:_MOST_FAULTS]
    ]
    more = len(faults) - _MOST_FAULTS
    if more > 0:
        lines.append(f"- and {more} more")
    return "The answer does not fit what was asked for:\n" + "\n".join(lines)


def _dump(schema: dict[str, Any]) -> str:
    return orjson.dumps(schema, option=orjson.OPT_SORT_KEYS).decode()
