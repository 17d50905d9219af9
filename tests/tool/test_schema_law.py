"""The law of schemas: what a schema accepts and what validation accepts are the same."""

import json

import jsonschema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from signatures import FORMATS, fitting, function_of, signatures

from agentkit.tool import ArgumentFault, bind


def accepts(schema, value):
    validator = jsonschema.Draft202012Validator(schema, format_checker=FORMATS)
    return validator.is_valid(value)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_the_schema_accepts_exactly_what_validation_accepts(data):
    one = function_of(data.draw(signatures))
    jsonschema.Draft202012Validator.check_schema(one.parameters)
    text = json.dumps(data.draw(fitting(one.parameters, one.parameters)))
    wanted = json.loads(text)
    accepted = isinstance(wanted, dict) and accepts(one.parameters, wanted)
    try:
        bound = bind(one, text)
    except ArgumentFault as fault:
        assert not accepted, str(fault)
    else:
        # A slip may be mended, and is reported then; what is used fits the schema in any case.
        assert accepts(one.parameters, bound.given)
        if isinstance(wanted, dict):
            assert accepted == (bound.repairs == ())
