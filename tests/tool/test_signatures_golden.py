"""The table of hard signatures: each schema stays what it is, byte for byte."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from agentkit.tool import definitions
from benchmarks.signatures import schemas, tools

GOLDEN = Path(__file__).parents[1] / "golden" / "signatures.json"
"""Written by this file when it is run as a program; read the difference before you commit it."""

FOUND = schemas()


def text(found):
    return json.dumps(found, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


@pytest.mark.parametrize("name", FOUND)
def test_a_hard_signature_has_the_schema_of_the_table(name):
    assert FOUND[name] == json.loads(GOLDEN.read_text(encoding="utf-8"))[name]


def test_the_table_is_whole_and_each_schema_is_one_that_glm_takes():
    assert text(FOUND) == GOLDEN.read_text(encoding="utf-8")
    for name, schema in FOUND.items():
        assert re.fullmatch("[a-zA-Z0-9_-]{1,64}", name)
        assert schema["type"] == "object"
        jsonschema.Draft202012Validator.check_schema(schema)
        assert '"title":' not in json.dumps(schema).replace('"title": {', "")
    assert len(FOUND) == len(tools()) <= 128


def test_the_request_is_the_same_bytes_each_time():
    assert definitions(tools()) == definitions(reversed(tools()))


if __name__ == "__main__":
    GOLDEN.write_text(text(FOUND), encoding="utf-8")
