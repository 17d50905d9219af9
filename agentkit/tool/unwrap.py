"""Callables: what lies under partials and objects that can be called."""

from __future__ import annotations

import functools
from typing import Any, cast


def under_partials(target: Any) -> Any:
    """Return what lies under any number of functools.partial."""
    while isinstance(target, functools.partial):
        target = cast("functools.partial[Any]", target).func
    return target


def call_of(instance: Any) -> Any:
    """Return the function that runs when an object is called."""
    kind = cast("Any", type(instance))
    return kind.__call__
