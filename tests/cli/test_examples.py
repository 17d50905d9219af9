"""The examples that need no Docker run as they stand, without a key."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_text_example_gives_data_a_stream_and_a_long_answer_in_under_60_lines(tmp_path):
    script = ROOT / "examples" / "02_long_document.py"
    assert len(script.read_text().splitlines()) < 60
    env = {name: value for name, value in os.environ.items() if not name.startswith("ZAI_")}
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=env | {"AGENTKIT_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "City(name='Florence', country='Italy')" in done.stdout
    assert "Florence lies on the Arno." in done.stdout
    assert "parts and" in done.stdout
    assert "5.9 %" in done.stdout
    assert "cached" in done.stdout.splitlines()[-1]
