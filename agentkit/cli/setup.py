"""`agentkit setup`: everything that agentkit needs on this machine, installed step by step.

It also runs as a script on a bare Debian or Ubuntu, before anything is installed:

    python3 agentkit/cli/setup.py [--dev] [--docker auto|require|skip] [--with NAME]

For that, this file and its `setup_*` siblings use the standard library only, and this file has
to load in an older Python too, if only to say that it is too old.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    if not sys.flags.isolated:
        del sys.path[0]  # this folder, where a sibling could pose as a library module
    # The real `agentkit/__init__.py` needs packages that are yet to be installed: empty stand-ins
    # for it and for `agentkit.cli` let the siblings load without it.
    _folder = __file__.rpartition("/")[0] or "."
    for _name, _place in (("agentkit", f"{_folder}/.."), ("agentkit.cli", _folder)):
        _stand_in = type(sys)(_name)
        _stand_in.__path__ = [_place]
        sys.modules[_name] = _stand_in

import argparse
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentkit.cli.setup_host import Host

_OLDEST = (3, 11)
_DOCKER = ("auto", "require", "skip")


def main() -> int:
    """Run as a script; returns the exit code."""
    if sys.version_info < _OLDEST:
        return _go_on_with_newer_python()
    parser = argparse.ArgumentParser(
        prog="setup.py", description="Install what agentkit needs: packages, Docker, sandbox image."
    )
    parser.add_argument("--dev", action="store_true", help="what the tests need, too")
    parser.add_argument("--docker", choices=_DOCKER, default="auto", help="see `agentkit setup`")
    from agentkit.cli.setup_parts import PARTS  # late, as below

    parser.add_argument(
        "--with",
        dest="parts",
        action="append",
        default=[],
        choices=["all", *sorted(PARTS)],
        help="an optional part, too; may be given several times",
    )
    options = parser.parse_args()
    return set_up(dev=options.dev, docker=options.docker, parts=options.parts, own_environment=True)


def set_up(
    *, dev: bool, docker: str, parts: Sequence[str] = (), own_environment: bool = False
) -> int:
    """Do all steps, and tell a person on stderr.

    Args:
        dev: whether to install what the tests need, too.
        docker: "auto" goes on without an engine where none can be had, "require" fails there,
            "skip" does not look for one.
        parts: names of optional parts to have as well, or "all"; with `dev` it goes on without
            one that cannot be had, and its tests are skipped.
        own_environment: make and use `.venv` of the checkout, whatever Python runs this.

    Returns:
        The exit code: 0 when ready, 1 for a problem, 130 after Ctrl-C.
    """
    # Late: these do not load in an older Python, which `main` has turned away.
    from agentkit.cli.setup_host import Host, Problem

    started = time.monotonic()
    try:
        host = Host.here()
        ready = _steps(host, dev=dev, docker=docker, own_environment=own_environment)
        ready += _part_steps(host, dev=dev, parts=parts)
    except Problem as problem:
        sys.stderr.write(f"setup: {problem}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nsetup: interrupted; the same command goes on from here\n")
        return 130
    sys.stderr.write(f"setup: ready in {time.monotonic() - started:.1f} s ({', '.join(ready)})\n")
    return 0


def _steps(host: Host, *, dev: bool, docker: str, own_environment: bool) -> list[str]:
    """Do the steps; returns what is there now, in a few words each."""
    from agentkit.cli.setup_host import Problem
    from agentkit.cli.setup_packages import install, locked

    root = _checkout()
    if root is None or not (own_environment or Path(sys.prefix) == root / ".venv"):
        if dev or own_environment:
            raise Problem(
                "the development tools belong to a checkout's own .venv",
                "run `make setup` in a checkout",
            )
        return [f"packages in {sys.prefix}", *_docker_steps(host, Path(sys.executable), docker)]
    with locked(host, root):
        environment = install(host, root, dev=dev)
        if dev and docker != "skip":
            _bubblewrap(host)
        return [
            f"packages in {environment.folder}",
            *_docker_steps(host, environment.python, docker),
        ]


def _part_steps(host: Host, *, dev: bool, parts: Sequence[str]) -> list[str]:
    from agentkit.cli.setup_parts import PARTS, ensure, ensure_if_possible

    wanted = sorted(PARTS) if "all" in parts else sorted(set(parts))
    (ensure_if_possible if dev else ensure)(host, wanted)
    return wanted


def _docker_steps(host: Host, python: Path, docker: str) -> list[str]:
    from agentkit.cli.setup_docker import Engine, NoEngine, build_image, ensure
    from agentkit.cli.setup_host import Problem

    if docker == "skip":
        return ["without Docker, as asked"]
    try:
        version = ensure(host, Engine())
        build_image(host, python)
    except Problem as problem:
        # Told to install nothing, we stop at what an installation would cure.
        curable = host.no_install and not isinstance(problem, NoEngine)
        if docker == "require" or curable:
            raise
        host.say("docker", f"{problem} Going on without it: code will not run")
        return ["without Docker"]
    return [f"Docker {version}".strip(), "sandbox image"]


def _bubblewrap(host: Host) -> None:
    """Get the second choice of a sandbox, which the tests run; without it they say so."""
    from agentkit.cli.setup_host import Problem

    if host.find("bwrap"):
        return
    try:
        host.apt_install("bubblewrap", ["bubblewrap"], "the tests of the second sandbox need it")
    except Problem as problem:
        host.say("bubblewrap", f"{problem} Going on without it")


def _checkout() -> Path | None:
    """The checkout that this file is in, or None in an installed package."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() and (root / "sandbox").is_dir() else None


def _go_on_with_newer_python() -> int:
    """Hand over to a newer Python on this machine, or say how to get one."""
    for minor in range(19, _OLDEST[1] - 1, -1):
        newer = shutil.which(f"python3.{minor}")
        if newer:
            os.execv(newer, [newer, "-I", os.path.realpath(__file__), *sys.argv[1:]])
    here = ".".join(map(str, sys.version_info[:2]))
    sys.stderr.write(
        f"setup: Python {here} is too old: agentkit needs 3.11 or newer. Way forward: "
        "`apt-get install python3.12` (or 3.11), then run the same command again.\n"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
