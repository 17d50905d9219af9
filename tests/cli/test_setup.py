"""`agentkit setup` up to the packages: run as the bare script that a fresh machine runs.

The checkout is a small copy with a stand-in for pip, which records its calls; Docker is left out.
"""

import ast
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CLI = Path(__file__).resolve().parents[2] / "agentkit/cli"
FAKE_PIP = """
import json, os, pathlib, sys, time
calls = pathlib.Path(os.environ["CALLS"])
with calls.open("a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
time.sleep(float(os.environ.get("PIP_TAKES", "0")))
if text := os.environ.get("PIP_SAYS"):
    print(text, file=sys.stderr)
    sys.exit(1)
pathlib.Path(sys.prefix, "bin/agentkit").touch()
"""
PYPROJECT = """
[build-system]
requires = []
build-backend = "none"
[project]
name = "agentkit-glm"
version = "{version}"
dependencies = ["httpx>=0.27", "rich"]
[project.optional-dependencies]
search = ["snowballstemmer"]
all = ["agentkit-glm[search]"]
[dependency-groups]
dev = ["pytest>=8"]
[tool.ruff]
line-length = {line_length}
"""


class Checkout:
    """A small checkout and the environment that setup runs in."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.calls_file = root.parent / "calls.jsonl"
        (root / "agentkit/cli").mkdir(parents=True)
        (root / "sandbox").mkdir()
        (root / "agentkit/__init__.py").write_text("raise ImportError('not yet installable')\n")
        for file in CLI.glob("setup*.py"):
            shutil.copy(file, root / "agentkit/cli")
        self.pyproject()
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(root.parent),
            "CALLS": str(self.calls_file),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "LC_ALL": "C.UTF-8",
        }

    def pyproject(self, *, version: str = "1", line_length: int = 100) -> None:
        text = PYPROJECT.format(version=version, line_length=line_length)
        (self.root / "pyproject.toml").write_text(text)

    def venv(self) -> None:
        """An environment whose pip is the stand-in."""
        run = [sys.executable, "-I", "-m", "venv", "--without-pip", str(self.root / ".venv")]
        subprocess.run(run, check=True)
        pip = next((self.root / ".venv/lib").glob("python3.*")) / "site-packages/pip"
        pip.mkdir()
        (pip / "__init__.py").write_text("__version__ = '25.1'\n")
        (pip / "__main__.py").write_text(FAKE_PIP)

    def start(self, *options: str, **env: str) -> subprocess.Popen[str]:
        script = str(self.root / "agentkit/cli/setup.py")
        return subprocess.Popen(
            [sys.executable, script, "--docker", "skip", *options],
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def setup(self, *options: str, code: int = 0, **env: str) -> str:
        """Run the script; returns what it printed."""
        child = self.start(*options, **env)
        text, _ = child.communicate(timeout=60)
        assert child.returncode == code, text
        assert "Traceback" not in text
        return text

    @property
    def calls(self) -> list[list[str]]:
        if not self.calls_file.exists():
            return []
        return [json.loads(line) for line in self.calls_file.read_text().splitlines()]


@pytest.fixture
def bare(tmp_path):
    return Checkout(tmp_path / "checkout")


@pytest.fixture
def checkout(bare):
    bare.venv()
    return bare


def test_packages_are_named_before_they_are_installed_and_the_second_time_is_silent(checkout):
    first = checkout.setup()
    assert re.search(r"pip installs into \S+: httpx, rich, snowballstemmer\n", first)
    assert re.search(r"done in \d+\.\d s\nsetup: ready in \d+\.\d s \(", first)
    (call,) = checkout.calls
    assert call[-2:] == ["-e", ".[all]"]

    second = checkout.setup()
    assert len(second.splitlines()) == 1
    assert second.startswith("setup: ready in ")
    assert len(checkout.calls) == 1


def test_development_tools_are_added_once_and_then_kept(checkout):
    checkout.setup()
    checkout.setup("--dev")
    checkout.setup("--dev")
    checkout.setup()
    assert len(checkout.calls) == 2
    assert checkout.calls[1][-2:] == ["--group", "dev"]


def test_a_changed_dependency_installs_again_and_a_changed_lint_rule_does_not(checkout):
    checkout.setup()
    checkout.pyproject(line_length=80)
    checkout.setup()
    assert len(checkout.calls) == 1
    checkout.pyproject(version="2")
    checkout.setup()
    assert len(checkout.calls) == 2


def test_no_install_stops_at_a_missing_environment_and_makes_nothing(bare):
    text = bare.setup(code=1, AGENTKIT_NO_INSTALL="1")
    assert "does not exist, and AGENTKIT_NO_INSTALL is set. Way forward: unset it" in text
    assert len(text.splitlines()) == 1
    assert not (bare.root / ".venv").exists()


def test_no_install_stops_at_missing_packages_and_passes_when_all_is_there(checkout):
    text = checkout.setup(code=1, AGENTKIT_NO_INSTALL="1")
    assert "are not those of pyproject.toml, and AGENTKIT_NO_INSTALL is set" in text
    assert checkout.calls == []
    checkout.setup()
    assert "ready" in checkout.setup(AGENTKIT_NO_INSTALL="1")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Failed to establish a new connection: [Errno 111] Connection refused", "cannot be reach"),
        ("[Errno -3] Temporary failure in name resolution", "the package index cannot be reached"),
        ("SSLError: CERTIFICATE_VERIFY_FAILED", "certificate of the package index is not trusted"),
        ("ERROR: No matching distribution found for httpx>=0.27", "has no httpx>=0.27"),
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("noise\nERROR: //me:secret@host/simple is odd\nmore noise", "//***@host/simple is odd"),
    ],
)
def test_a_failed_pip_is_told_in_one_sentence_and_tried_again(checkout, said, told):
    text = checkout.setup(code=1, PIP_SAYS=said)
    (line,) = [line for line in text.splitlines() if "pip install failed: " in line]
    assert told in line
    assert "Way forward: " in line
    assert "secret" not in text
    log = Path(re.search(r"output is in (\S+)\.$", line)[1])
    assert said.splitlines()[0] in log.read_text()
    assert log.stat().st_mode & 0o077 == 0
    checkout.setup()
    assert len(checkout.calls) == 2


def test_ctrl_c_ends_with_130_and_the_next_run_goes_on(checkout):
    child = checkout.start(PIP_TAKES="30")
    _wait_for(lambda: checkout.calls)
    pip = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
    for pid in [child.pid, *map(int, pip)]:  # as a terminal does
        os.kill(pid, signal.SIGINT)
    text, _ = child.communicate(timeout=20)
    assert child.returncode == 130
    assert "Traceback" not in text
    assert text.rstrip().endswith("interrupted; the same command goes on from here")
    assert "ready" in checkout.setup()
    assert len(checkout.calls) == 2


def test_two_setups_at_once_share_one_installation(checkout):
    first = checkout.start(PIP_TAKES="1")
    _wait_for(lambda: checkout.calls)
    second = checkout.setup()
    assert "another setup works on this checkout" in second
    assert first.wait(20) == 0
    first.stdout.close()
    assert len(checkout.calls) == 1


def test_a_broken_environment_is_made_anew_and_without_a_network_pip_says_so(checkout):
    """The real venv and the real pip, which finds no index: the path of a machine offline."""
    for link in (checkout.root / ".venv/bin").glob("python*"):
        link.unlink()
        link.symlink_to("/nowhere/python3")
    text = checkout.setup(code=1)
    assert "is broken; removing it to make it anew" in text
    assert "creating" in text
    assert "the package index has no " in text
    subprocess.run([checkout.root / ".venv/bin/python", "-c", "import pip"], check=True)


def test_a_moved_checkout_is_noticed(checkout):
    checkout.setup()
    moved = checkout.root.with_name("moved")
    checkout.root.rename(moved)
    checkout.root = moved
    text = checkout.setup(code=1, AGENTKIT_NO_INSTALL="1")
    assert "was moved here from" in text


def test_a_folder_that_is_no_environment_is_left_alone(bare):
    precious = bare.root / ".venv/thesis.txt"
    precious.parent.mkdir()
    precious.write_text("years of work")
    text = bare.setup(code=1)
    assert "is no virtual environment: it holds 'thesis.txt'" in text
    assert "move it away" in text
    assert precious.exists()


def test_a_sibling_cannot_pose_as_a_library_module(checkout):
    for name in ("argparse", "types", "json", "select"):
        (checkout.root / f"agentkit/cli/{name}.py").write_text("raise SystemExit('impostor')\n")
    assert "ready" in checkout.setup()


def test_an_older_python_can_read_the_script_and_says_that_it_is_too_old(bare):
    script = bare.root / "agentkit/cli/setup.py"
    ast.parse(script.read_text(), feature_version=(3, 7))
    play = (
        f"import runpy, sys; sys.version_info = (3, 9, 2, 'final', 0); sys.argv = ['setup.py'];"
        f"runpy.run_path({str(script)!r}, run_name='__main__')"
    )
    command = [sys.executable, "-c", play]
    done = subprocess.run(command, check=False, env={"PATH": ""}, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("setup: Python 3.9 is too old: agentkit needs 3.11 or newer.")
    assert "apt-get install python3.12" in done.stderr


def _wait_for(condition) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)
