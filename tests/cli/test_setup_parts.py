"""`agentkit setup --with NAME`: optional parts, installed where they are missing."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest

from agentkit.cli import setup_parts
from agentkit.cli.setup_host import Host, Problem

APT = """#!{python} -I
import json, sys
with open({calls!r}, "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
"""


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A machine without PostgreSQL."""
    part = replace(setup_parts.PARTS["postgres"], elsewhere="")
    monkeypatch.setitem(setup_parts.PARTS, "postgres", part)
    (tmp_path / "bin").mkdir()
    apt = tmp_path / "bin" / "apt-get"
    apt.write_text(APT.format(python=sys.executable, calls=str(tmp_path / "calls")))
    apt.chmod(0o755)
    return Host(
        env={"PATH": str(tmp_path / "bin")},
        root=True,
        log=tmp_path / "setup.log",
        admin_path="",
        apt_lists=tmp_path,
    )


def calls(host):
    path = host.log.parent / "calls"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_what_is_missing_is_installed_and_what_is_there_is_not(host):
    setup_parts.ensure(host, ["postgres"])
    assert [call[-1] for call in calls(host)] == ["update", "postgresql"]
    program = host.log.parent / "bin" / "initdb"
    program.touch(mode=0o755)
    setup_parts.ensure(host, ["postgres"])
    assert len(calls(host)) == 2


def test_a_part_that_was_asked_for_and_cannot_be_had_is_a_problem(host):
    user = replace(host, root=False)
    with pytest.raises(Problem, match="sudo apt-get install --no-install-recommends postgresql"):
        setup_parts.ensure(user, ["postgres"])
    assert calls(host) == []


def test_the_tests_go_on_without_a_part_that_cannot_be_had(host, capsys):
    setup_parts.ensure_if_possible(replace(host, root=False), ["postgres"])
    said = capsys.readouterr().err
    assert "the PostgreSQL server is not installed" in said
    assert "its tests are skipped" in said
