"""SIGKILL at random moments: what was acknowledged stays, what was done is not done again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("crash_lives.py")
ANSWER = "done: " + ", ".join(f"read r{step}, put p{step}" for step in range(4))
KILLS = 200


def lives(folder, *options):
    """Run the program that kills, and return what it says of each run."""
    command = [sys.executable, str(PROGRAM), str(folder), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_killed_at_200_random_moments_loses_nothing_and_repeats_nothing(tmp_path):
    """The seed gives the delays; where in the run they fall is up to the machine."""
    trials = lives(tmp_path, "--kills", str(KILLS), "--seed", "7")
    assert [fault for trial in trials for fault in trial["faults"]] == []
    assert {answer for trial in trials for answer in trial["answers"]} == {ANSWER}
    points = Counter(point for trial in trials for point in trial["points"])
    outcomes = Counter()
    for trial in trials:
        outcomes.update(trial["outcomes"])
    print(f"{len(trials)} runs, killed after: {points}; results: {outcomes}")
    assert points.total() >= KILLS
    # The kills met runs in the middle of things, and calls of each sort while they ran.
    assert {"replied", "tool_started", "tool_finished"} <= points.keys()
    assert outcomes["post unknown"]
    assert outcomes["read ok after it was cut"]
    assert outcomes["put ok after it was cut"]


def test_two_processes_resume_a_killed_run_at_once_and_one_is_told(tmp_path):
    (trial,) = lives(tmp_path, "--rivals")
    assert trial["codes"] == [0, 3]
    assert trial["faults"] == []
    assert trial["answers"] == [ANSWER]
    assert "Another worker has run" in trial["taken"]
