"""`agentkit setup --with NAME`: optional parts, installed where they are missing."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest

from agentkit.cli import setup_parts
from agentkit.cli.setup_bfcl import bfcl_folder, install_bfcl
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


PIP = """#!{python} -I
import json, os, pathlib, sys
with open({calls!r}, "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
target = pathlib.Path(sys.argv[sys.argv.index("--target") + 1])
(target / "bfcl_eval").mkdir()
sys.exit(int(os.environ.get("PIP_FAILS", "0")))
"""


@pytest.fixture
def pip(host, tmp_path):
    """A Python whose pip tells how it was called."""
    python = tmp_path / "python"
    python.write_text(PIP.format(python=sys.executable, calls=str(tmp_path / "calls")))
    python.chmod(0o755)
    return python


def test_the_leaderboard_is_installed_once_and_without_what_it_requires(host, pip, tmp_path):
    host = replace(host, env={**host.env, "XDG_CACHE_HOME": str(tmp_path / "cache")})
    install_bfcl(host, pip)
    install_bfcl(replace(host, env={**host.env, "AGENTKIT_NO_INSTALL": "1"}), pip)
    (call,) = calls(host)
    assert "--no-deps" in call
    assert [path.name for path in bfcl_folder(host.env).iterdir()] == ["bfcl_eval"]


@pytest.mark.parametrize(
    ("env", "said"), [({"PIP_FAILS": "1"}, "pip install"), ({"AGENTKIT_NO_INSTALL": "1"}, "bfcl")]
)
def test_a_leaderboard_that_cannot_be_installed_leaves_nothing(host, pip, tmp_path, env, said):
    host = replace(host, env={**host.env, **env, "XDG_CACHE_HOME": str(tmp_path / "cache")})
    with pytest.raises(Problem, match=said):
        install_bfcl(host, pip)
    assert list((tmp_path / "cache").glob("agentkit/*")) == []
