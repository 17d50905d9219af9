"""`agentkit documents`: what it prints, where, and with which exit code."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from agentkit_tools.search.cli import documents


@pytest.fixture
def run(folder, tmp_path):
    def call(command, *arguments):
        line = [command, str(folder), *arguments, "--index", str(tmp_path / "cli.db")]
        return CliRunner().invoke(documents, line)

    return call


def test_search_prints_one_hit_a_line_as_json(run, put):
    put("a.md", "# 价格\n\nGLM-5 costs 1.00")
    put("b.md", "GLM-5 is a model")
    result = run("search", "GLM-5 costs", "--top-k", "5", "--json")
    assert result.exit_code == 0
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["document"] for line in lines] == ["a.md", "b.md"]
    assert lines[0] | {"score": 0} == {
        "document": "a.md",
        "start_line": 1,
        "end_line": 3,
        "heading": "价格",
        "score": 0,
        "text": "# 价格\n\nGLM-5 costs 1.00",
    }
    assert lines[0]["score"] > lines[1]["score"] > 0
    assert len(run("search", "GLM-5", "--top-k", "1", "--json").stdout.splitlines()) == 1


def test_search_for_people(run, put):
    put("a.md", "# Price\n\nGLM-5 costs 1.00")
    result = run("search", "GLM-5")
    assert result.stdout.startswith("[1] a.md:1-3 | Price | score ")
    assert "GLM-5 costs 1.00" in result.stdout


def test_no_hit_is_no_output_and_no_error(run, put):
    put("a.md", "alpha")
    result = run("search", "beta", "--json")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no hit in 1 documents" in result.stderr


def test_index_names_what_it_skipped(run, put):
    put("a.md", "alpha")
    put("empty.md", "")
    put("x.png", "")
    result = run("index")
    assert result.exit_code == 0
    assert "1 documents (1 new, 0 changed, 0 removed, 1 skipped)" in result.stdout
    assert "skipped: empty.md is empty" in result.stderr
    assert "1 .png" in result.stderr
    data = json.loads(run("index", "--json").stdout)
    assert data["skipped"] == [{"document": "empty.md", "reason": "is empty"}]


def test_an_index_that_cannot_be_written_is_one_sentence(folder, tmp_path, put):
    put("a.md", "alpha")
    (tmp_path / "file").write_text("in the way")
    line = ["search", str(folder), "alpha", "--index", str(tmp_path / "file" / "i.db")]
    result = CliRunner().invoke(documents, line)
    assert result.exit_code == 1
    assert "index=':memory:'" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_folder_that_is_not_there(tmp_path):
    result = CliRunner().invoke(documents, ["search", str(tmp_path / "no"), "x"])
    assert result.exit_code == 2
    assert "does not exist" in result.stderr
