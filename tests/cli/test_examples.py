"""The examples that need no Docker run as they stand, without a key."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(name, folder, code=0, **more):
    """Run an example without a key; return what it printed."""
    script = ROOT / "examples" / name
    assert len(script.read_text().splitlines()) < 60
    env = {name: value for name, value in os.environ.items() if not name.startswith("ZAI_")}
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=folder,
        env=env | {"AGENTKIT_HOME": str(folder), **more},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout


def test_the_text_example_gives_data_a_stream_and_a_long_answer(tmp_path):
    printed = run("02_long_document.py", tmp_path)
    assert "City(name='Florence', country='Italy')" in printed
    assert "Florence lies on the Arno." in printed
    assert "parts and" in printed
    assert "5.9 %" in printed
    assert "cached" in printed.splitlines()[-1]


def test_the_mcp_example_starts_a_server_and_answers_its_question(tmp_path):
    printed = run("03_mcp.py", tmp_path)
    assert "shop asks: Order 5 coffee? Yes." in printed
    for line in ("12 tea", "3 coffee", "ordered 5 coffee"):
        assert line in printed.splitlines()
    assert printed.endswith("5 coffee are ordered.\n")


def test_the_automation_example_survives_kill_9_wherever_it_comes(tmp_path):
    for place in ("tool", "between", "model"):
        assert run("04_automation.py", tmp_path, code=-signal.SIGKILL, DIE_AT=place) == ""
    assert run("04_automation.py", tmp_path) == "Prices: tea 3.5; coffee 7\n"
