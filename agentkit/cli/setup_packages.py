"""The virtual environment of a checkout and the packages in it.

Standard library only. A stamp in the environment says what was installed from which
pyproject.toml, so that the second time costs one start of Python and no network.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentkit.cli.setup_host import Host, Problem

_STAMP = "agentkit-setup.json"
_PIP = (25, 1)  # the first pip that knows dependency groups
_VENV_PARTS = {"bin", "include", "lib", "lib64", "share", "pyvenv.cfg", ".gitignore", ".lock"}
_PROBE = """
import sys, pip
if sys.version_info < (3, 11): raise SystemExit("too old")
print(pip.__version__)
"""


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment that works.

    Attributes:
        folder: the environment itself.
        pip: version of its pip, major and minor.
    """

    folder: Path
    pip: tuple[int, int]

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def agentkit(self) -> Path:
        """The command that the installation leaves there."""
        return self.folder / "bin" / "agentkit"


@contextmanager
def locked(host: Host, root: Path) -> Generator[None]:
    """Hold the checkout: `make demo` and `make test` at once must not share one pip."""
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            host.say("lock", "another setup works on this checkout; waiting for it to end")
            fcntl.flock(folder, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks, as some network mounts: go on without
        yield
    finally:
        os.close(folder)


def install(host: Host, root: Path, *, dev: bool) -> Environment:
    """Make `.venv` of the checkout hold agentkit and all that it needs.

    Args:
        host: this machine.
        root: the checkout.
        dev: whether the tools of the tests are wanted too.

    Raises:
        Problem: forbidden, or venv or pip failed.
    """
    folder = root / ".venv"
    wanted = _wanted(root, dev=dev)
    environment = _probe(host, folder)
    stamp = _read_stamp(folder) if environment else {}
    if stamp.get("root", str(root)) != str(root):
        host.say("venv", f"{folder} was moved here from {stamp['root']}, which breaks it")
        environment, stamp = None, {}
    if environment is None:
        environment = _create(host, root, folder)
    if wanted.items() <= stamp.items() and environment.agentkit.exists():
        return environment
    _pip_install(host, root, environment, dev=dev)
    # What an earlier setup installed on top is still there.
    _write_stamp(folder, {**stamp, **wanted})
    return environment


def _wanted(root: Path, *, dev: bool) -> dict[str, str]:
    """What the stamp must say: one digest for agentkit, one for its development tools."""
    project = _pyproject(root)
    hatch = project.get("tool", {}).get("hatch")
    parts: dict[str, object] = {
        "agentkit": [project["project"], project["build-system"], hatch],
    }
    if dev:
        parts["dev"] = project.get("dependency-groups")
    stamp = {"root": str(root)}
    for name, content in parts.items():
        text = json.dumps(content, sort_keys=True)
        stamp[name] = hashlib.sha256(text.encode()).hexdigest()[:16]
    return stamp


def _probe(host: Host, folder: Path) -> Environment | None:
    """The environment if its interpreter starts, is new enough and finds its pip."""
    python = folder / "bin" / "python"
    if not python.exists():
        return None
    done = host.run("venv", [str(python), "-I", "-c", _PROBE])
    version = re.search(r"^(\d+)\.(\d+)", done.text, re.MULTILINE)
    if done.code or version is None:
        return None
    return Environment(folder, (int(version[1]), int(version[2])))


def _create(host: Host, root: Path, folder: Path) -> Environment:
    if host.no_install:
        state = "is broken" if folder.exists() else "does not exist"
        raise Problem(
            f"the virtual environment {folder} {state}, and AGENTKIT_NO_INSTALL is set",
            f"unset it, or run `python3 -m venv --clear {folder}`",
        )
    _require_writable(root)
    if importlib.util.find_spec("ensurepip") is None:
        _get_ensurepip(host)
    if folder.exists() or folder.is_symlink():
        _clear(host, folder)
    with host.timed("venv", f"creating {folder}"):
        # Not sys.executable: that may be the very environment which is being replaced.
        base = getattr(sys, "_base_executable", sys.executable)
        done = host.run("venv", [base, "-I", "-m", "venv", str(folder)])
    environment = None if done.code else _probe(host, folder)
    if environment is None:
        raise host.failure(f"python -m venv {folder}", done)
    return environment


def _get_ensurepip(host: Host) -> None:
    """Debian and Ubuntu keep what venv needs in a package of its own."""
    major, minor = sys.version_info[:2]
    why = f"Python {major}.{minor} at {sys.executable} lacks the venv module's ensurepip"
    if sys.base_prefix != "/usr":
        raise Problem(why, "use another Python: `make demo PYTHON=/usr/bin/python3`")
    host.apt_install("venv", [f"python{major}.{minor}-venv"], why)


def _clear(host: Host, folder: Path) -> None:
    """Remove a broken environment, and nothing that is not one."""
    if folder.is_symlink() or not folder.is_dir():
        raise Problem(f"{folder} is no folder", "move it away, then run this again")
    strangers = {entry.name for entry in folder.iterdir()} - _VENV_PARTS - {_STAMP}
    if strangers and not (folder / "pyvenv.cfg").exists():
        raise Problem(
            f"{folder} is no virtual environment: it holds {min(strangers)!r}",
            "move it away, then run this again",
        )
    host.say("venv", f"{folder} is broken; removing it to make it anew")
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise Problem(
            f"{folder} is broken and cannot be removed ({error.strerror}: {error.filename})",
            f"run `sudo rm -r {folder}`, then this again",
        ) from None


def _pip_install(host: Host, root: Path, environment: Environment, *, dev: bool) -> None:
    if host.no_install:
        raise Problem(
            f"the packages in {environment.folder} are not those of pyproject.toml"
            ", and AGENTKIT_NO_INSTALL is set",
            f"unset it, or let `agentkit setup{' --dev' if dev else ''}` install them once",
        )
    _require_writable(environment.folder)
    (environment.folder / _STAMP).unlink(missing_ok=True)  # void until pip has ended well
    pip = [str(environment.python), "-I", "-m", "pip", "install"]
    # Two retries: enough for a bad line, short enough for no line at all.
    pip += ["--disable-pip-version-check", "--no-input", "--retries", "2"]
    if environment.pip < _PIP:
        upgrade = f"pip>={_PIP[0]}.{_PIP[1]}"
        with host.timed("packages", f"pip installs {upgrade} into {environment.folder}"):
            done = host.run("packages", [*pip, upgrade])
            if done.code:
                raise host.failure(f"pip install {upgrade}", done)
    group = ["--group", "dev"] if dev else []
    what = ", ".join(_direct_dependencies(root, dev=dev))
    with host.timed("packages", f"pip installs into {environment.folder}: {what}"):
        done = host.run("packages", [*pip, "-e", ".[all]", *group], cwd=root)
        if done.code:
            raise host.failure("pip install", done)


def _direct_dependencies(root: Path, *, dev: bool) -> list[str]:
    """Names of what pip is about to install, without what those need in turn."""
    content = _pyproject(root)
    project = content["project"]
    lines: list[Any] = [*project["dependencies"]]  # a group may also include another by a table
    for extra in project.get("optional-dependencies", {}).values():
        lines += extra
    if dev:
        lines += content["dependency-groups"]["dev"]
    names = {re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines if isinstance(line, str)}
    return sorted(names - {project["name"]})


def _pyproject(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


def _require_writable(folder: Path) -> None:
    if not os.access(folder, os.W_OK):
        raise Problem(
            f"{folder} cannot be written",
            "run this as its owner, or on a copy of the checkout in a folder of your own",
        )


def _read_stamp(folder: Path) -> dict[str, str]:
    try:
        return {str(k): str(v) for k, v in json.loads((folder / _STAMP).read_bytes()).items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _write_stamp(folder: Path, stamp: dict[str, str]) -> None:
    fresh = folder / f"{_STAMP}.new"
    fresh.write_text(json.dumps(stamp, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    fresh.replace(folder / _STAMP)
