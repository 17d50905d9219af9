"""From the text that the model wrote to keyword arguments, or to advice."""

import json
from typing import Annotated, Any, Literal

import jsonschema
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, field_validator

from agentkit.tool import ArgumentFault, bind, raw_tool, tool


class Filter(BaseModel):
    field: str
    operator: Literal["eq", "lt"] = "eq"


@tool
def search(
    query: str,
    top_k: Annotated[int, Field(ge=1)] = 5,
    mode: Literal["fast", "deep"] = "fast",
    filters: list[Filter] = [],  # noqa: B006 - never changed
    exact: bool = False,
    ratio: float | None = None,
):
    """Search.

    Args:
        query: what to look for.
    """


@tool
def nothing(): ...


def advice(text, one=search):
    with pytest.raises(ArgumentFault) as caught:
        bind(one, text)
    return str(caught.value)


@pytest.mark.parametrize("text", ["", "  \n", "{}", "null"])
def test_a_call_without_arguments_may_be_written_in_any_way(text):
    assert bind(nothing, text).keywords == {}


def test_coercion_takes_numbers_written_as_text():
    bound = bind(search, '{"query": "x", "top_k": "3", "exact": "true"}')
    assert bound.keywords == {"query": "x", "top_k": 3, "exact": True}
    assert bound.repairs == (
        'top_k: read the text "3" as 3',
        'exact: read the text "true" as true',
    )
    assert bound.note == ""


def test_several_problems_are_told_at_once_with_the_right_form():
    text = advice('{"topk": 3, "mode": "slow", "top_k": "many", "filters": [{"feld": 1}]}')
    assert text == (
        "The arguments of search do not fit; nothing was run.\n"
        "- query: required, but missing (string): what to look for.\n"
        '- top_k: expected a valid integer, got "many"\n'
        "- mode: expected 'fast' or 'deep', got \"slow\"\n"
        "- filters[0].field: required, but missing (string)\n"
        "- filters[0].feld: no such argument; did you mean field?\n"
        "- topk: no such argument; did you mean top_k?\n"
        'The right form is {"query":"...","top_k":5,"mode":"fast","filters":[{"field":"..."}]} '
        "(optional: exact, ratio)."
    )


def test_branches_of_a_union_are_one_problem():
    text = advice('{"query": "x", "ratio": []}')
    assert text.count("\n- ") == 1
    assert "- ratio: expected a valid number, got []" in text


def test_an_unknown_argument_without_likeness_is_answered_with_the_names():
    assert "- zzz: no such argument; there are: query, top_k" in advice('{"query": "x", "zzz": 1}')
    assert "- x: no such argument; it takes none" in advice('{"x": 1}', nothing)


def test_a_long_value_is_clipped():
    assert len(advice(json.dumps({"query": "x", "top_k": "y" * 10_000}))) < 500


def test_many_problems_are_clipped():
    assert "- and 92 more" in advice(json.dumps({str(index): 1 for index in range(99)}))


def test_truncated_text_is_told_to_be_truncated():
    text = advice('{"query": "half a sent')
    assert "stop in the middle" in text
    assert "half a sent" in text


def test_broken_text_is_shown_where_it_breaks():
    text = advice('{"query": "x",\n "top_k": three}')
    assert "no valid JSON" in text
    assert '"top_k": three' in text


@pytest.mark.parametrize("text", ["[]", "3", '"words"', "true", '"[1]"'])
def test_anything_but_an_object_is_refused(text):
    assert "one JSON object" in advice(text)


@pytest.mark.parametrize(
    "text",
    ['{"query": NaN}', '{"query": "\\ud800"}', "[" * 5000, '{"query":' + "9" * 9999 + "}", "\0"],
)
def test_what_json_forbids_is_refused(text):
    assert "no valid JSON" in advice(text)


def test_json_text_is_decoded_where_no_string_is_wanted():
    bound = bind(search, json.dumps({"query": "[1]", "filters": '[{"field": "a"}]'}))
    assert bound.given == {"query": "[1]", "filters": [{"field": "a"}]}
    assert bound.keywords["filters"] == [Filter(field="a")]
    assert bound.repairs == ("filters: decoded JSON that was written as a string",)


def test_null_for_an_optional_argument_is_left_out():
    bound = bind(search, '{"query": "x", "top_k": null, "ratio": null}')
    assert bound.keywords == {"query": "x", "ratio": None}
    assert bound.repairs == ("top_k: left out null for an optional argument",)


def test_null_for_a_required_argument_is_a_problem():
    assert "- query: expected a valid string, got null" in advice('{"query": null}')


def test_raw_line_breaks_in_a_string_are_accepted():
    bound = bind(search, '{"query": "a\nb"}')
    assert bound.keywords == {"query": "a\nb"}
    assert "control characters" in bound.repairs[0]


def test_an_object_encoded_twice_is_accepted():
    bound = bind(search, json.dumps(json.dumps({"query": "x"})))
    assert bound.keywords == {"query": "x"}
    assert len(bound.repairs) == 1


def test_a_repair_that_does_not_help_tells_what_is_still_wrong():
    assert "filters[0].field: required" in advice('{"query": "x", "filters": "[{}]"}')


def test_big_integers_reach_the_tool_whole_and_the_log_as_text():
    @tool
    def f(number: int): ...

    bound = bind(f, '{"number": 123456789012345678901234567890}')
    assert bound.keywords == {"number": 123456789012345678901234567890}
    assert bound.given == {"number": "123456789012345678901234567890"}


def test_a_validator_that_fails_oddly_is_told():
    class Odd(BaseModel):
        x: int

        @field_validator("x")
        @classmethod
        def check(cls, value):
            return {}[value]

    @tool
    def f(odd: Odd): ...

    assert "could not be checked: KeyError" in advice('{"odd": {"x": 1}}', f)


foreign = raw_tool(
    "foreign",
    "",
    {
        "type": "object",
        "properties": {
            "a": {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "string"}}]},
            "b": {"type": "object", "required": ["c"], "additionalProperties": False},
        },
        "required": ["b"],
        "additionalProperties": {"type": "number"},
    },
    print,
)

loose = raw_tool(
    "loose",
    "",
    {
        "type": "object",
        "properties": {
            "count": {"type": "integer"},
            "ratio": {"type": ["number", "null"]},
            "exact": {"type": "boolean"},
            "items": {"type": "array", "items": {"type": "integer"}},
            "inner": {"$ref": "#/$defs/Inner"},
            "either": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "name": {"type": "string"},
        },
        "$defs": {"Inner": {"type": "object", "properties": {"n": {"type": "integer"}}}},
    },
    print,
)


@pytest.mark.parametrize(
    ("key", "written", "value"),
    [
        ("count", "3", 3),
        ("ratio", "0.5", 0.5),
        ("ratio", "null", None),
        ("exact", "true", True),
        ("items", "[1, 2]", [1, 2]),
        ("inner", '{"n": 1}', {"n": 1}),
        ("either", "7", 7),
        ("name", "7", "7"),
    ],
)
def test_numbers_booleans_and_lists_written_as_strings_are_read_by_foreign_schemas(
    key, written, value
):
    assert bind(loose, json.dumps({key: written})).keywords == {key: value}


def test_a_nested_number_written_as_a_string_is_read_by_foreign_schemas():
    bound = bind(loose, '{"inner": {"n": "1"}, "items": ["1", 2]}')
    assert bound.keywords == {"inner": {"n": 1}, "items": [1, 2]}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["query", "filters", "field", "a", "b", "c"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)
documents = st.dictionaries(
    st.sampled_from(["query", "top_k", "mode", "filters", "exact", "ratio", "a", "b", "x"]),
    json_values | json_values.map(json.dumps),
).map(json.dumps)


def mutilate(pair):
    text, cut = pair
    return text[: cut % (len(text) + 1)] + text[(cut * 7) % (len(text) + 1) :]


texts = st.text() | documents | st.tuples(documents, st.integers(0, 1000)).map(mutilate)


@settings(max_examples=200, deadline=None)
@given(text=texts, one=st.sampled_from([search, nothing, foreign]))
def test_no_text_raises_anything_but_an_argument_fault(text, one):
    said = ""
    try:
        orjson.dumps(bind(one, text).given)
    except ArgumentFault as fault:
        said = str(fault)
    said.encode()
    assert len(said) < 3000


def function_of(hints, required):
    def f(**_): ...

    names = [f"p{index}" for index in range(len(hints))]
    head = ", ".join(
        f"{name}: hints[{index}]" + ("" if need else " = defaults")
        for index, (name, need) in enumerate(zip(names, required, strict=True))
    )
    scope = {"hints": hints, "defaults": None}
    exec(f"def f(*, {head}): ..." if head else "def f(): ...", scope)
    return tool(scope["f"])


leaves = st.sampled_from(
    [int, float, str, bool, None, Any, Filter, Literal["a", "b"], Annotated[int, Field(ge=0)]]
)
hints = st.recursive(
    leaves,
    lambda inner: (
        inner.map(lambda one: list[one])
        | inner.map(lambda one: dict[str, one])
        | st.tuples(inner, inner).map(lambda pair: pair[0] | pair[1] if all(pair) else pair[0])
    ),
    max_leaves=4,
)
# Integers that a double holds: JSON Schema calls 1e300 an integer, Python does not.
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.sampled_from(["a", "b", "", "eq"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["field", "operator", "a"]), inner, max_size=2)
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_what_the_schema_accepts_validation_accepts(data):
    wanted = data.draw(st.lists(hints, max_size=3))
    required = data.draw(st.lists(st.booleans(), min_size=len(wanted), max_size=len(wanted)))
    one = function_of(wanted, required)
    jsonschema.Draft202012Validator.check_schema(one.parameters)
    names = [f"p{index}" for index in range(len(wanted))]
    arguments = data.draw(st.dictionaries(st.sampled_from([*names, "other"]), values, max_size=4))
    accepted = jsonschema.Draft202012Validator(one.parameters).is_valid(arguments)
    try:
        bound = bind(one, json.dumps(arguments))
    except ArgumentFault:
        assert not accepted
    else:
        # Beyond the schema, only harmless slips are undone; unknown and missing ones are not.
        assert set(bound.keywords) <= set(names)
        assert {name for name, need in zip(names, required, strict=True) if need} <= set(
            bound.keywords
        )
