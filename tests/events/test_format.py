"""The format of the log: golden logs load for ever, old versions are brought forward."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from agentkit.errors import LogUnreadable
from agentkit.events import BODIES, UserMessage, codec, dump_line, load_body, load_line
from bodies import EXAMPLES, events

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("*.jsonl"))
AGAIN = "If no release has this kind or version yet, `python tests/golden/make.py` records it."


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_golden_log_loads_and_means_what_it_meant(path):
    lines = path.read_bytes().splitlines()
    assert len(lines) > 30
    for line in lines:
        event = load_line(line)
        recorded = orjson.loads(line)
        if recorded["version"] == event.body.version:
            today = orjson.loads(dump_line(event))
            assert recorded["body"].items() <= today.pop("body").items()
            assert recorded.items() >= today.items()


def test_the_newest_golden_log_has_every_kind_at_its_version():
    lines = [orjson.loads(line) for line in GOLDEN[-1].read_bytes().splitlines()]
    assert {(line["kind"], line["version"]) for line in lines} == {
        (body.kind, body.version) for body in BODIES.values()
    }, AGAIN


def test_every_version_before_todays_has_its_upcaster():
    for body in BODIES.values():
        for version in range(1, body.version):
            assert (body.kind, version) in codec.UPCASTERS


def test_old_bodies_go_through_each_version_to_todays(monkeypatch):
    """Upcasters run in turn, and one may rename its kind."""
    upcasters = {
        ("asked", -1): lambda body: ("said", {"words": body["w"]}),
        ("said", 0): lambda body: ("user_message", {"content": body["words"].strip()}),
    }
    monkeypatch.setattr(codec, "UPCASTERS", upcasters)
    assert load_body("asked", -1, b'{"w": " hi "}') == UserMessage(content="hi")
    assert load_body("said", 0, '{"words": "hi"}') == UserMessage(content="hi")
    assert load_body("user_message", 1, b'{"content": "hi"}') == UserMessage(content="hi")
    with pytest.raises(LogUnreadable, match="damaged"):
        load_body("asked", -1, b"{}")
    with pytest.raises(LogUnreadable, match="damaged"):
        load_body("said", 0, b"[]")


@pytest.mark.parametrize("body", EXAMPLES, ids=lambda body: body.kind)
def test_a_line_comes_back_as_the_event_it_was(body):
    [event] = events("run", body)
    assert load_line(dump_line(event)) == event


@pytest.mark.parametrize(
    "line", ["", "{}", "[]", "7", '{"run_id": "r", "seq": 0}', '{"run_id": "r", "seq": "x"', "\x00"]
)
def test_what_is_no_event_is_told(line):
    with pytest.raises(LogUnreadable, match="no event"):
        load_line(line)


def test_the_contract_names_every_kind():
    from agentkit.events import bodies

    for kind in BODIES:
        assert kind in bodies.__doc__, (
            f"{kind} is missing in the table of agentkit/events/bodies.py"
        )
