"""JSON Schema that says what validation takes, and whether it could say all of it.

A schema that promises less or more than the validator keeps is paid for in turns: the model is
refused what it was offered, or never offered what it needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final, cast

from pydantic import TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

_INTEGER_KEY: Final = "^-?[0-9]+$"
_TEXT_BYTES: Final = "text/plain; charset=utf-8"


def exact_schema(adapter: TypeAdapter[Any]) -> tuple[JsonSchemaValue, bool]:
    """Return the JSON Schema of a type, and whether pydantic takes more than it says.

    Raises:
        PydanticInvalidForJsonSchema: JSON Schema cannot describe the type.
    """
    generator = _Exact()
    return generator.generate(adapter.core_schema), generator.is_loose


class _Exact(GenerateJsonSchema):
    """Pydantic's schemas, made exact where a version of pydantic is not.

    Attributes:
        is_loose: validation takes more than the schema says, so the schema has to be checked too.
    """

    # The default works without the model knowing it; a choice that JSON cannot hold is no choice.
    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 - theirs

    def __init__(self) -> None:
        super().__init__()
        self.is_loose = False

    def set_schema(self, schema: Any) -> JsonSchemaValue:
        """Describe a set: pydantic merges duplicates, JSON Schema refuses them."""
        self.is_loose = True
        return super().set_schema(schema)

    def frozenset_schema(self, schema: Any) -> JsonSchemaValue:
        """Describe a frozenset, as a set."""
        self.is_loose = True
        return super().frozenset_schema(schema)

    def enum_schema(self, schema: Any) -> JsonSchemaValue:
        """Describe an enum; pydantic takes true for 1, and sums of flags."""
        self._look_at([member.value for member in schema["members"]])
        return super().enum_schema(schema)

    def literal_schema(self, schema: Any) -> JsonSchemaValue:
        """Describe a literal; pydantic takes true for 1."""
        expected = cast("Sequence[Any]", schema["expected"])
        self._look_at([one.value if isinstance(one, Enum) else one for one in expected])
        return super().literal_schema(schema)

    def generator_schema(self, schema: Any) -> JsonSchemaValue:  # noqa: ARG002 - pydantic's door
        """Refuse an iterable: its items would be checked only inside the tool."""
        raise PydanticInvalidForJsonSchema(
            "its items would be checked only when the tool reads them; take a list"
        )

    def bytes_schema(self, schema: Any) -> JsonSchemaValue:
        """Describe bytes: the UTF-8 of a text, unless the type's settings say base64."""
        made = super().bytes_schema(schema)
        if made.get("format") == "binary":
            del made["format"]
            made["contentMediaType"] = _TEXT_BYTES
        return made

    def decimal_schema(self, schema: Any) -> JsonSchemaValue:
        """Describe a Decimal: a number, or text that loses none of its digits."""
        made = super().decimal_schema(schema)
        for one in made.get("anyOf", ()):
            if one.get("type") == "string":
                one.pop("pattern", None)  # a hundred characters in some versions
                one["format"] = "decimal"
        return made

    def dict_schema(self, schema: Any) -> JsonSchemaValue:
        """Describe a dict; keys that are numbers are text in JSON."""
        made = super().dict_schema(schema)
        if schema.get("keys_schema", {}).get("type") == "int":
            self.is_loose = True
            made["propertyNames"] = {"pattern": _INTEGER_KEY}
        return made

    def named_tuple_schema(self, schema: Any) -> JsonSchemaValue:
        """Describe a named tuple as an object: its names are worth more than its order."""
        self.is_loose = True
        properties: dict[str, Any] = {}
        required: list[str] = []
        for field in cast("Sequence[Mapping[str, Any]]", schema["fields"]):
            alias = field.get("validation_alias")
            name = alias if isinstance(alias, str) else str(field["name"])
            properties[name] = self.generate_inner(field["schema"])
            if field["schema"]["type"] != "default":
                required.append(name)
        made: JsonSchemaValue = {"type": "object", "properties": properties}
        if required:
            made["required"] = required
        return {**made, "additionalProperties": False}

    def arguments_schema(self, schema: Any) -> JsonSchemaValue:
        """Describe a named tuple as older versions of pydantic see it: a call of its class."""
        self.is_loose = True
        return super().arguments_schema(cast("Any", {**schema, "metadata": {}}))

    def _look_at(self, values: Sequence[Any]) -> None:
        for value in values:
            if not isinstance(value, str | int | float | bool | None):
                raise PydanticInvalidForJsonSchema(f"no JSON text stands for the value {value!r}")
            self.is_loose |= not isinstance(value, str)
