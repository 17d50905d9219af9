"""The law of schemas: what a schema accepts and what validation accepts are the same."""

import json

import jsonschema
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from signatures import FORMATS, fitting, function_of, signatures

from agentkit.tool import ArgumentFault, bind
from agentkit.tool.example import example

QUICK = settings(deadline=None, suppress_health_check=list(HealthCheck))


def accepts(schema, value):
    validator = jsonschema.Draft202012Validator(schema, format_checker=FORMATS)
    return isinstance(value, dict) and validator.is_valid(value)


def binds(one, text):
    try:
        return bind(one, text)
    except ArgumentFault:
        return None


@settings(QUICK, max_examples=400)
@given(data=st.data())
def test_the_schema_accepts_exactly_what_validation_accepts(data):
    one = function_of(data.draw(signatures))
    jsonschema.Draft202012Validator.check_schema(one.parameters)
    text = json.dumps(data.draw(fitting(one.parameters, one.parameters)))
    accepted = accepts(one.parameters, json.loads(text))
    bound = binds(one, text)
    # A slip may be mended, and is reported then; what is used fits the schema in any case.
    assert accepted == (bound is not None and bound.repairs == ()) or text == "null"
    assert bound is None or accepts(one.parameters, bound.given)


@settings(QUICK, max_examples=150)
@given(data=st.data())
def test_the_example_in_the_advice_is_accepted(data):
    one = function_of(data.draw(signatures))
    assume('"pattern"' not in json.dumps(one.parameters))
    assume(not any(map(_is_narrow, _every(one.parameters))))
    shown = {
        name: example(schema, one.parameters)
        for name, schema in one.parameters["properties"].items()
    }
    assert accepts(one.parameters, shown), shown
    assert bind(one, json.dumps(shown)).repairs == ()


def _every(schema):
    """Yield everything in a schema that is an object."""
    if isinstance(schema, dict):
        yield schema
    for inner in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(inner, dict | list):
            yield from _every(inner)


def _is_narrow(schema):
    """Whether the bounds of a number may leave none between them."""
    low, high = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    low = schema.get("minimum") if low is None else low
    return None not in (low, high) and not isinstance(low, dict) and high - low < 2
