"""What is mended before a tool runs, what is refused, and what the model is told."""

import asyncio
import json
from contextlib import suppress
from enum import Enum
from typing import Annotated, Literal

import pytest
from dispatching import call, result_of, turn
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from agentkit.tool import ArgumentFault, bind, raw_tool, tool
from agentkit.tool.lenient import read


class Mode(Enum):
    FAST = "fast"
    DEEP = "deep"


class Filter(BaseModel):
    field: str
    value: float = 0


@tool
async def search(  # noqa: PLR0913, PLR0917 - one of each kind
    query: str,
    top_k: Annotated[int, Field(ge=1, le=50)] = 5,
    mode: Mode = Mode.FAST,
    tags: list[str] = [],  # noqa: B006 - never changed
    filters: list[Filter] | None = None,
    ids: set[int] = set(),  # noqa: B006 - never changed
    level: Literal["A", "a", "b"] = "b",
    exact: bool = False,
) -> str:
    return query


def mended(**arguments):
    bound = bind(search, json.dumps({"query": "q", **arguments}))
    return bound.given, bound.repairs


def refused(text, one=search):
    with pytest.raises(ArgumentFault) as caught:
        bind(one, text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "written", "value", "said"),
    [
        ("top_k", "3", 3, 'top_k: read the text "3" as 3'),
        ("top_k", "3.0", 3, 'top_k: read the text "3.0" as 3'),
        ("exact", "True", True, 'exact: read the text "True" as true'),
        ("mode", "FAST ", "fast", 'mode: read "FAST " as "fast"'),
        ("tags", "news", ["news"], "tags: made a list of the one value"),
        ("tags", "['a', 'b']", ["a", "b"], "tags: decoded JSON that was written as a string"),
        ("tags", [1], ["1"], "tags[0]: read the number 1 as text"),
        ("query", 42, "42", "query: read the number 42 as text"),
        ("ids", [1, 2, 1], [1, 2], "ids: left out 1 of equal items"),
        ("filters", {"field": "a"}, [{"field": "a"}], "filters: made a list of the one value"),
    ],
)
def test_a_slip_with_one_reading_is_mended_and_reported(name, written, value, said):
    given_, repairs = mended(**{name: written})
    assert given_[name] == value
    assert repairs == (said,)


def test_a_slip_inside_a_slip_is_mended_too():
    given_, repairs = mended(filters='[{"field": "a", "value": "1.5"}]')
    assert given_["filters"] == [{"field": "a", "value": 1.5}]
    assert len(repairs) == 2


def test_an_integer_may_be_written_as_a_float_and_nobody_is_told():
    assert mended(top_k=3.0) == ({"query": "q", "top_k": 3}, ())


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("top_k", "3 items"),
        ("top_k", True),
        ("top_k", 3.5),
        ("top_k", "99"),
        ("exact", 1),
        ("exact", "yes"),
        ("query", True),
        ("query", 1.5),
        ("query", {"a": 1}),
        ("mode", "fas"),
        ("level", "B_"),
        ("tags", "a, b"),
        ("Query", "x"),
    ],
)
def test_what_has_no_reading_or_two_is_refused(name, written):
    assert f"- {name}: " in refused(json.dumps({"query": "q", name: written}))


def test_an_enum_member_that_differs_in_case_only_from_two_is_refused():
    assert '- level: expected "A" or "a" or "b", got " a"' in refused(
        '{"query": "q", "level": " a"}'
    )
    assert mended(level="B")[0]["level"] == "b"


def test_a_misspelt_name_is_suggested_and_never_renamed():
    assert "- topK: no such argument; did you mean top_k?" in refused('{"query":"q","topK":3}')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('```json\n{"query": "q"}\n```', "took off a code fence"),
        ('{"query": "q",}', "left out a comma too many"),
        ('{"query": "q"}}', "left out a bracket or comma after the object"),
        ('{"query": "q"} Done!', "left out 'Done!' after the object"),
        ('Sure {"query": "q"}', "left out 'Sure' before the object"),
        ("{'query': 'q'}", "read other quotes as double quotes"),
        ("{“query”: “q”}", "read other quotes as double quotes"),
        ('{query: "q"}', "put quotes around names"),
        ('{"query": "q", "exact": False}', "read Python's True, False and None"),
        ('{"query": "q", "tags": ["a"}', "closed a list that was left open"),
        ('[{"query": "q"}]', "taken out of a list"),
        ('{"arguments": {"query": "q"}}', "taken out of 'arguments'"),
        ('{"name": "search", "arguments": "{\\"query\\": \\"q\\"}"}', "taken out of 'arguments'"),
    ],
)
def test_text_that_is_nearly_json_is_read_and_the_repair_reported(text, said):
    bound = bind(search, text)
    assert bound.given["query"] == "q"
    assert [f"arguments: {said}"] == list(bound.repairs)


@pytest.mark.parametrize(
    "text",
    [
        '{"query": "q", "tags": ["a", "b"',
        '{"query": "q"',
        '{"query": "q"} {"query": "r"}',
        '{"query": "q", "query": "r",}',
        "{'query': 'it's'}",
        '{"query": q}',
        '{"query": "a\\d\\n"}',
        "{'query': 'a\\x41'}",
        'query: {"query": "q"}',
        '{"query": "q" "top_k": 3}',
        '{"name": "other", "arguments": {"query": "q"}}',
        '[{"query": "q"}, {"query": "r"}]',
    ],
)
def test_text_that_may_have_lost_something_or_has_two_readings_is_refused(text):
    assert "search" in refused(text)


def test_backslashes_that_escape_nothing_stand_for_themselves():
    assert bind(search, r'{"query": "\d+\.\w \"x\""}').given["query"] == r'\d+\.\w "x"'
    assert bind(search, r'{"query": "it\'s"}').given["query"] == "it's"


json_objects = st.dictionaries(
    st.text(max_size=3),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        ),
        max_leaves=6,
    ),
    max_size=3,
)


@given(json_objects)
def test_the_lenient_reader_reads_sound_json_as_it_is(value):
    assert read(json.dumps(value)) == (value, [])
    assert read(json.dumps(value, ensure_ascii=False, indent=1)) == (value, [])


@given(json_objects, st.data())
def test_text_that_was_cut_off_is_never_completed(value, data):
    text = json.dumps(value)
    cut = data.draw(st.integers(0, len(text) - 1))
    with pytest.raises(ValueError):
        read(text[:cut])


@given(json_objects)
def test_a_python_dictionary_is_read_whole_or_not_at_all(value):
    try:
        found, _ = read(repr(value))
    except ValueError:
        return
    assert found == value


@given(st.text(alphabet="{}[]\"'`,:\\ntrue0 ", max_size=40))
def test_the_lenient_reader_raises_nothing_but_value_errors(text):
    with suppress(ValueError):
        read(text)


def test_a_foreign_schema_is_mended_alike():
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
            "mode": {"enum": ["fast", "deep"]},
            "pair": {"type": "array", "items": [{"type": "integer"}, {"type": "string"}]},
            "where": {"$ref": "#/definitions/Place"},
            "ids": {"type": "array", "items": {"type": "integer"}, "uniqueItems": True},
            "limit": {"type": ["integer", "null"], "exclusiveMinimum": 0},
        },
        "definitions": {"Place": {"type": "object", "properties": {"x": {"type": "number"}}}},
    }
    one = raw_tool("raw", "", schema, print)
    arguments = {"mode": "Fast", "pair": ["1", 2], "where": '{"x": "0.5"}', "ids": 3, "limit": "2"}
    bound = bind(one, json.dumps(arguments))
    assert bound.keywords == {
        "mode": "fast",
        "pair": [1, "2"],
        "where": {"x": 0.5},
        "ids": [3],
        "limit": 2,
    }
    assert len(bound.repairs) == 7
    assert "- limit: 0 is less than or equal to" in refused('{"limit": "0"}', one)


def test_the_faults_of_the_meant_alternative_are_told():
    forms = [
        {"type": "object", "properties": {"k": {"const": "a"}, "n": {}}, "required": ["k", "n"]},
        {"type": "object", "properties": {"k": {"const": "b"}, "m": {}}, "required": ["k", "m"]},
        {"type": "string"},
    ]
    schema = {"type": "object", "properties": {"x": {"oneOf": forms}}}
    one = raw_tool("raw", "", schema, print)
    assert "- x.n: required, but missing" in refused('{"x": {"k": "a"}}', one)
    assert "- x: expected object or string, got 3.5" in refused('{"x": 3.5}', one)


def test_a_reference_to_an_address_is_never_followed():
    asked = []

    async def serve(reader, writer):
        asked.append(await reader.readline())
        writer.close()

    async def run():
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            schema = {"type": "object", "properties": {"x": {"$ref": f"http://127.0.0.1:{port}/"}}}
            one = raw_tool("raw", "", schema, print)
            return await asyncio.to_thread(refused, '{"x": 1}', one)

    assert "could not be checked" in asyncio.run(run())
    assert asked == []


def test_repairs_are_in_the_log_and_those_that_matter_in_the_result():
    log = asyncio.run(turn([search], [call(search, {"query": "q", "top_k": "3", "tags": "news"})]))
    (started,) = log.started
    assert started.arguments == {"query": "q", "top_k": 3, "tags": ["news"]}
    assert len(started.repairs) == 2
    assert log.result().content == (
        "q\n\n[The arguments were mended before use: tags: made a list of the one value]"
    )
    assert result_of(search, {"query": "q", "top_k": "3"}).content == "q"
