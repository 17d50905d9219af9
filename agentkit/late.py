"""Names that a package offers and that are imported when somebody asks for them (PEP 562).

A program then pays for what it uses: the command line lists its commands without a model, and a
model answers without an agent. A name that does not exist fails where it is imported, as ever.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def late(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and the `__dir__` of a package.

    Args:
        package: its `__name__`.
        homes: names that it offers, separated by spaces, by the module that has them; a module
            that stands directly in the package is itself offered too.
    """
    found_in = {name: home for home, names in homes.items() for name in names.split()}
    rooms = {home.rpartition(".")[2] for home in homes if home.rpartition(".")[0] == package}

    def get(name: str) -> Any:
        if name in found_in:
            value = getattr(import_module(found_in[name]), name)
        elif name in rooms:
            value = import_module(f"{package}.{name}")
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        setattr(sys.modules[package], name, value)  # so that it is asked for once
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *found_in, *rooms})

    return get, names
