"""From a function to the schema that the model reads."""

from __future__ import annotations

import asyncio
import functools
import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple
from uuid import UUID

import pytest
from dispatching import result_of
from pydantic import Base64Bytes, BaseModel, Field
from typing_extensions import TypedDict, Unpack

from agentkit.errors import ToolDefinitionError
from agentkit.tool import Tool, ToolContext, as_tool, bind, raw_tool, tool

if TYPE_CHECKING:
    from nowhere import Unseen


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Point(BaseModel):
    """A place on a map."""

    x: float
    y: float = 0


class Node(BaseModel):
    title: str
    children: list[Node] = []


@dataclass
class Step:
    title: str
    done: bool = False


class Movie(TypedDict):
    name: str


class Pair(NamedTuple):
    left: int
    right: int


def parameters(function):
    return tool(function).parameters


def properties(function):
    return parameters(function)["properties"]


def test_a_function_becomes_a_compact_schema():
    @tool
    async def search(query: str, top_k: Annotated[int, Field(ge=1, le=50)] = 5) -> str:
        """Search the documents.

        Args:
            query: what to look for.
            top_k: how many hits.
        """
        return query

    assert search.name == "search"
    assert search.description == "Search the documents."
    assert search.is_async
    assert search.parameters == {
        "type": "object",
        "properties": {
            "query": {"type": "string", "description": "what to look for."},
            "top_k": {
                "type": "integer",
                "minimum": 1,
                "maximum": 50,
                "default": 5,
                "description": "how many hits.",
            },
        },
        "required": ["query"],
        "additionalProperties": False,
    }
    assert asyncio.run(search("x")) == "x"


def test_options_are_kept():
    @tool(name="look-up", read_only=True, idempotent=True, timeout=3, group="web")
    def look(): ...

    assert look.name == "look-up"
    assert (look.read_only, look.idempotent, look.timeout, look.group) == (True, True, 3, "web")
    assert not look.is_async


def test_a_description_in_a_field_comes_before_the_docstring():
    def f(x: Annotated[int, Field(description="from the field")], y: int):
        """Do.

        Args:
            x: from the docstring.
            y: from the docstring.
        """

    assert properties(f)["x"]["description"] == "from the field"
    assert properties(f)["y"]["description"] == "from the docstring."


def test_a_field_as_default_value_gives_its_default():
    @tool
    async def f(x: int = Field(5, description="a number")):
        return x

    assert f.parameters["properties"]["x"]["default"] == 5
    assert "required" not in f.parameters
    assert result_of(f).content == "5"


def test_titles_are_dropped_but_a_parameter_called_title_stays():
    def f(title: str, steps: list[Step]): ...

    text = json.dumps(parameters(f))
    assert properties(f)["title"] == {"type": "string"}
    assert text.count('"title"') == 2 + 2
    assert "$defs" not in text


def test_models_are_put_in_place_and_the_parameters_description_wins():
    def f(where: Point, other: Point):
        """Go.

        :param where: the goal
        """

    assert "$defs" not in parameters(f)
    assert properties(f)["where"]["description"] == "the goal"
    assert properties(f)["other"]["description"] == "A place on a map."
    assert properties(f)["where"]["required"] == ["x"]


def test_a_recursive_model_keeps_one_definition():
    def f(tree: Node): ...

    assert list(parameters(f)["$defs"]) == ["Node"]
    assert properties(f)["tree"] == {"$ref": "#/$defs/Node"}


def test_a_default_of_none_is_not_worth_a_word():
    def f(x: int | None = None): ...

    assert properties(f)["x"] == {"anyOf": [{"type": "integer"}, {"type": "null"}]}


def test_a_default_that_json_cannot_hold_is_left_out():
    def f(x: Any = object(), y: float = math.inf): ...  # noqa: B008 - the point of the test

    assert properties(f)["x"] == {}


def test_the_schema_is_the_same_in_every_process():
    program = (
        "from typing import *\nfrom agentkit.tool import tool, definitions\n"
        "def f(a: Literal['x','y','z'], b: set[str], c: dict[str, int] | None = None): 'Do.'\n"
        "print(definitions([tool(f)]).decode())"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            check=True,
            text=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1


@pytest.mark.parametrize(
    ("hint", "text", "value"),
    [
        (int, "3", 3),
        (float, "3", 3.0),
        (Literal["a", 1], '"a"', "a"),
        (Colour, '"red"', Colour.RED),
        (date, '"2026-01-02"', date(2026, 1, 2)),
        (Decimal, '"1.50"', Decimal("1.50")),
        (
            UUID,
            '"12345678-1234-5678-1234-567812345678"',
            UUID(int=0x12345678123456781234567812345678),
        ),
        (Path, '"a/b"', Path("a/b")),
        (bytes, '"abc"', b"abc"),
        (Point, '{"x": 1}', Point(x=1)),
        (Step, '{"title": "t"}', Step("t")),
        (Movie, '{"name": "m"}', {"name": "m"}),
        (Pair, '{"left": 1, "right": 2}', Pair(1, 2)),
        (list[Point], '[{"x": 1}]', [Point(x=1)]),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (set[int], "[1, 1]", {1}),
        (tuple[int, str], '[1, "a"]', (1, "a")),
        (int | str, '"a"', "a"),
        (Any, "[null]", [None]),
    ],
)
def test_each_type_arrives_as_what_it_was_annotated(hint, text, value):
    def f(x): ...

    f.__annotations__["x"] = hint
    assert bind(tool(f), f'{{"x": {text}}}').keywords == {"x": value}


def test_types_defined_in_a_function_are_found():
    class Local(BaseModel):
        size: int

    @tool
    def f(x: Local): ...

    assert f.parameters["properties"]["x"]["required"] == ["size"]


def test_a_return_type_that_only_a_type_checker_sees_does_no_harm():
    @tool
    def f(x: int) -> Unseen: ...

    assert list(f.parameters["properties"]) == ["x"]


def test_the_context_parameter_is_hidden():
    @tool
    def f(x: int, context: ToolContext | None = None): ...

    assert f.context_parameter == "context"
    assert list(f.parameters["properties"]) == ["x"]


def test_extra_keywords_are_taken_and_checked():
    @tool
    async def f(x: int, **rest: int):
        return rest

    assert f.parameters["additionalProperties"] == {"type": "integer"}
    assert result_of(f, {"x": 1, "a": 2}).content == '{"a":2}'
    assert "- a: expected a valid integer" in result_of(f, {"x": 1, "a": "b"}).content


def test_what_a_partial_fixes_is_hidden_from_the_model():
    def ask(connection: object, question: str, key: str):
        """Ask it."""
        return f"{connection} {question} {key}"

    one = as_tool(functools.partial(ask, "db", key="secret"))
    assert one.name == "ask"
    assert one.description == "Ask it."
    assert list(one.parameters["properties"]) == ["question"]
    assert result_of(one, {"question": "q"}).content == "db q secret"
    assert "key: no such argument" in result_of(one, {"question": "q", "key": "k"}).content


def test_a_callable_object_is_a_tool_with_an_order_of_its_own():
    class Adder:
        async def __call__(self, x: int) -> int:
            """Add one."""
            return x + 1

    one, two = as_tool(Adder()), as_tool(Adder())
    assert (one.name, one.description, one.is_async) == ("Adder", "Add one.", True)
    assert one.group is not None
    assert one.group != two.group
    assert result_of(one, {"x": 1}).content == "2"


class Notebook:
    def __init__(self):
        self.lines = []

    @tool
    def write(self, line: str) -> int:
        """Write a line."""
        self.lines.append(line)
        return len(self.lines)

    @tool(concurrent=True)
    async def read(self) -> list[str]:
        return self.lines

    @tool(group="disk")
    def save(self): ...

    @classmethod
    @tool
    def kind(cls) -> str:
        return cls.__name__

    @tool
    @classmethod
    def other_kind(cls) -> str:
        return cls.__name__

    @tool
    @staticmethod
    def twice(x: int) -> int:
        return 2 * x

    def plain(self, line: str) -> int:
        return self.write(line)


def test_a_method_is_a_tool_of_its_object():
    one, two = Notebook(), Notebook()
    assert one.write("a") == 1
    assert two.write("b") == 1
    assert result_of(one.write, {"line": "c"}).content == "2"
    assert one.lines == ["a", "c"]
    assert list(one.write.parameters["properties"]) == ["line"]


def test_methods_of_one_object_share_a_group_and_others_do_not():
    one, two = Notebook(), Notebook()
    assert one.write.group == as_tool(one.plain).group
    assert one.write.group != two.write.group
    assert one.read.group is None
    assert one.save.group == two.save.group == "disk"


def test_class_and_static_methods_are_tools():
    for one in (Notebook.kind, Notebook.other_kind, Notebook().kind, Notebook().other_kind):
        assert result_of(as_tool(one)).content == "Notebook"
    assert Notebook.twice(2) == 4
    assert result_of(Notebook().twice, {"x": 3}).content == "6"


def test_the_class_gives_the_unbound_method_which_is_no_tool_yet():
    notebook = Notebook()
    assert isinstance(Notebook.write, Tool)
    assert Notebook.write(notebook, "x") == 1
    for unbound in (Notebook.write, Notebook.plain):
        with pytest.raises(ToolDefinitionError, match=r"pass the bound method"):
            as_tool(unbound)


def test_a_tool_is_a_tool_and_any_function_becomes_one():
    def f(): ...

    one = as_tool(f)
    assert as_tool(one) is one


class Opaque: ...


def positional(x, /): ...
def starred(*x: int): ...
def opaque(x: Opaque): ...
def call_back(x: Callable[[int], int]): ...
def missing_type(x: Nowhere): ...  # noqa: F821 - the point of the test
def two_contexts(a: ToolContext, x: ToolContext): ...


@pytest.mark.parametrize(
    "function", [positional, starred, opaque, call_back, missing_type, two_contexts]
)
def test_what_cannot_be_described_is_an_error_that_names_the_parameter(function):
    with pytest.raises(ToolDefinitionError, match=f"{function.__name__}.*'x'"):
        tool(function)


def test_what_is_no_function_with_a_name_is_an_error():
    for target in (Notebook, 3, lambda: None, max):
        with pytest.raises(ToolDefinitionError):
            as_tool(target)


@pytest.mark.parametrize("name", ["", "a b", "é", "x" * 65, "a.b", "a\n"])
def test_a_name_that_glm_does_not_take_is_an_error(name):
    with pytest.raises(ToolDefinitionError, match="GLM takes"):
        raw_tool(name, "", {"type": "object"}, print)


def test_a_timeout_is_a_positive_number():
    with pytest.raises(ToolDefinitionError, match="timeout"):
        tool(timeout=0)(positional)


def test_a_raw_schema_reaches_the_model_unchanged_and_checks_arguments():
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "title": "T",
        "properties": {
            "n": {"type": "integer", "minimum": 1},
            "mode": {"enum": ["fast", "deep"]},
            "deep": {"type": "object", "properties": {"k": {}}, "additionalProperties": False},
        },
        "required": ["n"],
    }

    async def function(**given):
        return given

    one = raw_tool("raw", "Do it.", schema, function)
    assert one.parameters is schema
    assert result_of(one, {"n": "3", "deep": '{"k": 1}'}).content == '{"n":3,"deep":{"k":1}}'
    said = result_of(one, {"n": 0, "mode": "slow", "deep": {"kk": 1}}).content
    assert "- n: 0 is less than the minimum of 1" in said
    assert '- mode: expected "fast" or "deep", got "slow"' in said
    assert "- deep.kk: no such argument; did you mean k?" in said
    assert "- n: required, but missing (integer)" in result_of(one, {}).content


def test_a_raw_schema_that_is_broken_is_told_and_ends_nothing():
    schema = {"type": "object", "properties": {"x": {"$ref": "#/nowhere"}}}
    result = result_of(raw_tool("raw", "", schema, print), {"x": 1})
    assert result.status == "error"
    assert "could not be checked" in result.content


def test_a_raw_schema_has_to_describe_an_object():
    with pytest.raises(ToolDefinitionError, match="type 'object'"):
        raw_tool("raw", "", {"type": "string"}, print)


def test_importing_the_package_does_not_import_jsonschema():
    program = "import sys, agentkit.tool; sys.exit('jsonschema' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_nested_names_that_a_model_does_not_have_are_refused_unless_it_takes_them():
    class Open(BaseModel, extra="allow"):
        x: int

    @tool
    def strict(where: Point): ...

    @tool
    def free(where: Open): ...

    assert "where.z: no such argument" in result_of(strict, {"where": {"x": 1, "z": 2}}).content
    assert bind(free, '{"where": {"x": 1, "z": 2}}').keywords["where"].z == 2


def test_keywords_that_unpack_a_typed_dict_are_parameters():
    class Options(TypedDict, total=False):
        depth: Annotated[int, Field(ge=1)]
        strict: bool

    @tool
    async def f(x: int, **options: Unpack[Options]):
        return options

    assert f.parameters["properties"]["depth"] == {"type": "integer", "minimum": 1}
    assert f.parameters["required"] == ["x"]
    assert f.parameters["additionalProperties"] is False
    assert result_of(f, {"x": 1, "strict": True}).content == '{"strict":true}'


def test_an_alias_is_what_the_model_sees():
    @tool
    async def f(from_: Annotated[str, Field(alias="from")]):
        """Go.

        Args:
            from_: the start.
        """
        return from_

    assert f.parameters["properties"] == {"from": {"type": "string", "description": "the start."}}
    assert result_of(f, {"from": "here"}).content == "here"


def test_the_tag_of_a_union_is_required_even_where_it_has_a_default():
    class Cat(BaseModel):
        kind: Literal["cat"] = "cat"

    class Dog(BaseModel):
        kind: Literal["dog"] = "dog"

    def f(pet: Annotated[Cat | Dog, Field(discriminator="kind")]): ...

    assert [one["required"] for one in properties(f)["pet"]["oneOf"]] == [["kind"], ["kind"]]


def test_bytes_are_the_text_that_the_model_wrote_or_base64():
    def f(text: bytes, data: Base64Bytes): ...

    assert properties(f)["text"] == {
        "type": "string",
        "contentMediaType": "text/plain; charset=utf-8",
    }
    assert properties(f)["data"] == {"type": "string", "format": "base64"}
    assert bind(tool(f), '{"text": "é", "data": "aGk="}').keywords == {
        "text": "é".encode(),
        "data": b"hi",
    }


class Corner(Enum):
    LEFT = (0, 0)


def lazy(x: Iterable[int]): ...
def unnamed(x: Corner): ...
def starred_options(**x: Unpack[Opaque]): ...


@pytest.mark.parametrize("function", [lazy, unnamed, starred_options])
def test_what_could_not_be_checked_is_an_error_that_names_the_parameter(function):
    with pytest.raises(ToolDefinitionError, match=f"{function.__name__}.*'x'"):
        tool(function)


@pytest.mark.parametrize("properties_", [[], {"x": 3}])
def test_a_raw_schema_whose_properties_are_none_is_an_error(properties_):
    with pytest.raises(ToolDefinitionError, match="JSON Schema"):
        raw_tool("raw", "", {"type": "object", "properties": properties_}, print)
