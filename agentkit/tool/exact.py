"""JSON Schema that says what validation takes, and whether it could say all of it.

A schema that promises less or more than the validator keeps is paid for in turns: the model is
refused what it was offered, or never offered what it needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, cast

from pydantic import TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

_INTEGER_KEY: Final = "^-?[0-9]+$"


@dataclass(frozen=True, slots=True)
class Exact:
    """The JSON Schema of a type, and how to validate so that it holds.

    Attributes:
        schema: as pydantic makes it, with titles and `$defs`.
        is_loose: pydantic takes more than the schema says, so the schema has to be checked too.
        is_closed: models are described as taking no other fields, so validate with
            `extra="forbid"`.
    """

    schema: JsonSchemaValue
    is_loose: bool
    is_closed: bool


def exact_schema(adapter: TypeAdapter[Any]) -> Exact:
    """Return the JSON Schema of a type.

    A model takes no fields but its own, because a misspelt one that is dropped in silence gives a
    wrong result; unless a model in the type says with `ConfigDict(extra=...)` what it takes.

    Raises:
        PydanticInvalidForJsonSchema: JSON Schema cannot describe the type.
    """
    generator = _Exact(is_closed=True)
    schema = generator.generate(adapter.core_schema)
    if generator.has_own_rule:
        generator = _Exact(is_closed=False)
        schema = generator.generate(adapter.core_schema)
    return Exact(schema, generator.is_loose, generator.is_closed)


class _Exact(GenerateJsonSchema):
    """Pydantic's schemas, made exact where a version of pydantic is not.

    Attributes:
        is_loose: validation takes more than the schema says.
        is_closed: models are to take no other fields.
        has_own_rule: a model says itself which other fields it takes.
    """

    # The default works without the model knowing it; a choice that JSON cannot hold is no choice.
    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 - theirs

    def __init__(self, *, is_closed: bool) -> None:
        super().__init__()
        self.is_loose = False
        self.is_closed = is_closed
        self.has_own_rule = False

    def model_schema(self, schema: Any) -> JsonSchemaValue:
        """Describe a model; other fields are its own affair only where it says so."""
        made = super().model_schema(schema)
        if "extra" in schema["cls"].model_config:
            self.has_own_rule = True
        elif self.is_closed and "properties" in made:
            made.setdefault("additionalProperties", False)
        return made

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
