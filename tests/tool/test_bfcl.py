"""Tasks of the Berkeley function calling leaderboard: objects are right after whole turns."""

import asyncio
import os

import pytest

from benchmarks import bfcl, bfcl_data

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _installed():
    if not bfcl_data.FOLDER.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(bfcl_data.MISSING, pytrace=False)
        pytest.skip(bfcl_data.MISSING)


def sample(category, count):
    """Return entries from all over a category whose ground truth fits BFCL's own schemas."""
    found = [entry for entry in bfcl_data.entries(category) if not bfcl_data.fault(entry)]
    return found[:: len(found) // count][:count]


def busiest(count):
    """Return the entries with the most calls in one turn."""
    entries = bfcl_data.entries("multi_turn_base")
    return sorted(entries, key=lambda entry: -max(map(len, entry.turns)))[:count]


def play(entries, **options):
    return asyncio.run(bfcl.measure(entries, **options))


@pytest.mark.parametrize("category", ["simple", "multiple", "parallel"])
def test_every_function_is_called_as_the_model_wrote_it(category):
    outcomes = play(sample(category, 20))
    assert [(one.id, one.official, one.live) for one in outcomes if one.official or one.live] == []
    assert len(outcomes) == 20


def test_objects_are_right_after_turns_that_call_their_methods_at_once():
    outcomes = play([*sample("multi_turn_base", 30), *busiest(10)], seed=1)
    assert [(one.id, one.official, one.live) for one in outcomes if one.official or one.live] == []
    assert sum(one.calls for one in outcomes) > 100


def test_the_measure_sees_what_goes_wrong_without_an_order():
    outcomes = play(busiest(20), ordered=False)
    assert any(one.official for one in outcomes)
    assert any(one.live for one in outcomes)
