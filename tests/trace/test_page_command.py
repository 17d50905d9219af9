"""`agentkit trace` as a person runs it, on a log in SQLite."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest
import stories

from agentkit.store import SQLiteStore

RUN = "f1" * 12


@pytest.fixture
def home(tmp_path):
    async def main():
        store = SQLiteStore(tmp_path / "home")
        await stories.ended(store, "failed")
        await stories.ended(store, "interrupted")
        await store.close()

    asyncio.run(main())
    return tmp_path


def trace(home, *words):
    env = {name: value for name, value in os.environ.items() if not name.startswith("AGENTKIT")}
    return subprocess.run(
        [sys.executable, "-m", "agentkit.cli.main", "trace", *words],
        cwd=home,
        env={**env, "AGENTKIT_HOME": str(home / "home")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_page_is_written_and_its_path_printed(home):
    done = trace(home, "f1", "-o", "run.html")
    assert (done.returncode, done.stdout, done.stderr) == (0, "run.html\n", "")
    first = (home / "run.html").read_bytes()
    assert b"BalanceExhausted" in first
    done = trace(home, "f1")
    assert done.stdout == "run-f1.html\n"
    assert (home / "run-f1.html").read_bytes() == first
    assert sorted(path.name for path in home.iterdir()) == ["home", "run-f1.html", "run.html"]


@pytest.mark.parametrize(
    ("words", "code", "phrase"),
    [
        (["0000"], 1, "begins with '0000'"),
        (["f"], 1, "begin with 'f'"),
        ([RUN, "-o", "nowhere/run.html"], 2, "Name another file"),
        ([RUN, "-o", "home"], 2, "directory"),
        ([], 2, "RUN"),
    ],
)
def test_a_failure_is_one_sentence_and_leaves_nothing_behind(home, words, code, phrase):
    done = trace(home, *words)
    assert done.returncode == code
    assert phrase in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert [path.name for path in home.iterdir()] == ["home"]
