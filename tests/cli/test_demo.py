"""The main job: research, a chart from the sandbox, an answer with sources."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = ROOT / "examples" / "documents"


def demo(tmp_path, *words, **environment):
    return shell(tmp_path, "demo", "--artifacts", str(tmp_path), *words, **environment)


def shell(tmp_path, *words, **environment):
    import os

    env = {name: value for name, value in os.environ.items() if not name.startswith("ZAI_")}
    env |= {"AGENTKIT_HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    return subprocess.run(
        [sys.executable, "-m", "agentkit.cli.main", *words],
        cwd=ROOT,
        env=env | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.docker
def test_the_demo_searches_in_parallel_reads_plots_and_answers_with_true_sources(tmp_path):
    done = demo(tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    first = next(event["body"]["message"] for event in events if event["kind"] == "replied")
    names = [call["name"] for call in first["tool_calls"]]
    assert names.count("search_documents") >= 2
    used = [event["body"]["name"] for event in events if event["kind"] == "tool_started"]
    assert {"update_plan", "search_documents", "read_document", "execute_code"} <= set(used)
    last = events[-1]
    assert last["kind"] == "run_finished"
    (artifact,) = last["body"]["artifacts"]
    picture = Path(artifact["path"]).read_bytes()
    assert picture.startswith(b"\x89PNG\r\n")
    assert len(picture) == artifact["size"] > 10_000
    check_sources(last["body"]["output"])


def check_sources(answer):
    """Check that each row's figures stand on the lines that it names as their source."""
    rows = re.findall(r"^\| (.+) \| ([^|]+), lines? (\d+)(?:-(\d+))? \|$", answer, re.MULTILINE)
    assert len(rows) >= 6
    for cells, document, start, end in rows:
        lines = (DOCUMENTS / document).read_text("utf-8").splitlines()
        source = "\n".join(lines[int(start) - 1 : int(end or start)])
        for number in re.findall(r"(?<=\| )\d+(?:\.\d+)?", cells):
            assert re.search(rf"\b{re.escape(number.rstrip('0').rstrip('.'))}", source), number


def test_without_a_daemon_the_demo_gives_tables_and_says_what_was_missing(tmp_path):
    done = demo(tmp_path, DOCKER_HOST=f"unix://{tmp_path}/no.sock")
    assert done.returncode == 0, done.stderr
    assert "No key is set" in done.stderr.splitlines()[0]
    assert "There is no chart" in done.stdout
    check_sources(done.stdout)
    last = done.stderr.strip().splitlines()[-1]
    assert "No chart was drawn" in last
    assert "Docker" in last
    assert re.search(
        r"\d+ turns · [\d,]+ tokens in \(\d+% cached\).*\$0\.\d+ · [\d.]+ s", done.stderr
    )
    run = re.search(r"run ([0-9a-f]{24})$", done.stderr, re.MULTILINE)[1]
    again = shell(tmp_path, "replay", run)
    assert (again.returncode, again.stdout) == (0, done.stdout), again.stderr
    assert "different: 0" in again.stderr


def test_documents_without_any_figure_lead_to_an_honest_answer(tmp_path):
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "note.md").write_text("# GLM-5\n\nA note about GLM-5 without any benchmark figure.\n")
    done = demo(tmp_path, "--documents", str(folder), DOCKER_HOST=f"unix://{tmp_path}/no.sock")
    assert done.returncode == 0, done.stderr
    assert "no table" in done.stdout
    assert "note.md" in done.stdout


@pytest.mark.docker
def test_the_first_example_does_the_main_job_in_under_60_lines(tmp_path):
    script = ROOT / "examples" / "01_research_and_plot.py"
    assert len(script.read_text().splitlines()) < 60
    import os

    env = {name: value for name, value in os.environ.items() if not name.startswith("ZAI_")}
    env |= {"AGENTKIT_HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    check_sources(done.stdout)
    (picture,) = (tmp_path / "artifacts").glob("*.png")
    assert f"saved artifacts/{picture.name}" in done.stdout
