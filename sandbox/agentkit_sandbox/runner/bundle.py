"""Joins the runner's files into one program for `python3 -I -c PROGRAM` (host side)."""

from __future__ import annotations

import functools
from importlib import resources
from typing import Final

PACKAGES: Final = ("agentkit_sandbox", "agentkit_sandbox.runner")
# In the order in which they import each other.
MODULES: Final = (
    "protocol",
    "runner.seccomp",
    "runner.processes",
    "runner.files",
    "runner.figures",
    "runner.trace",
    "runner.confine",
    "runner.call",
    "runner.kernel",
    "runner.shell",
    "runner.child",
    "runner.streams",
    "runner.transfer",
    "runner.verdict",
    "runner.supervisor",
)
MAX_ARGUMENT: Final = 128 * 1024 - 1  # Linux: MAX_ARG_STRLEN, with its final zero byte

_PROGRAM: Final = """\
import sys, types
packages, modules = {packages!r}, {modules!r}
for name in packages:
    module = types.ModuleType(name)
    module.__path__ = []
    sys.modules[name] = module
for name, source in modules.items():
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile(source, "<" + name + ">", "exec", dont_inherit=True), module.__dict__)
supervisor = sys.modules["agentkit_sandbox.runner.supervisor"]
del packages, modules, name, module, source
supervisor.main()
"""


@functools.cache
def program() -> str:
    """Return the supervisor's program text.

    Raises:
        RuntimeError: it has grown above what Linux takes as one argument.
    """
    root = resources.files("agentkit_sandbox")
    sources: dict[str, str] = {}
    for name in MODULES:
        *folders, stem = name.split(".")
        sources[f"agentkit_sandbox.{name}"] = root.joinpath(*folders, f"{stem}.py").read_text(
            "utf-8"
        )
    text = _PROGRAM.format(packages=PACKAGES, modules=sources)
    if len(text.encode()) > MAX_ARGUMENT:
        raise RuntimeError(
            f"The runner has {len(text.encode())} bytes, above the {MAX_ARGUMENT} that Linux takes "
            "as one argument: shorten it."
        )
    return text
