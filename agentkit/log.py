"""The operator's log: structlog as the program configured it, else warnings on stderr.

A library must not write to stdout, and structlog's own default does. It is imported at the first
line, since most runs have nothing to say.

Every line carries the ids of where it came from: run, turn and call. A program that logs with
structlog gets them in its own lines, a tool's included, with `add_ids` among its processors.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

_NONE: Mapping[str, Any] = MappingProxyType({})
_ids: ContextVar[Mapping[str, Any]] = ContextVar("agentkit_ids", default=_NONE)


@contextmanager
def ids(**more: Any) -> Generator[None]:
    """Add ids to every line that is logged inside, tasks and threads started there included.

    Args:
        **more: `run_id`, `turn` or `call_id`.
    """
    token = _ids.set({**_ids.get(), **more})
    try:
        yield
    finally:
        _ids.reset(token)


def mark(**more: Any) -> None:
    """Add ids to every line from here on, until the enclosing `ids` ends."""
    _ids.set({**_ids.get(), **more})


def add_ids(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:  # noqa: ARG001 - structlog's signature
    """Add run, turn and call to a line; a processor for `structlog.configure`."""
    for name, value in _ids.get().items():
        event.setdefault(name, value)
    return event


def bound(source: str, **facts: Any) -> Any:
    """Return a structlog logger whose lines carry some facts.

    Args:
        source: the part that speaks, such as "tool".
        **facts: stand in every line; never a key or another secret.
    """
    import structlog  # noqa: PLC0415 - see above

    name = f"agentkit.{source}"
    if structlog.is_configured():
        return structlog.get_logger(name).bind(**facts)
    ids: dict[str, Any] = {"source": name, **_ids.get(), **facts}
    return structlog.wrap_logger(structlog.PrintLogger(sys.stderr), **ids)


def warn(source: str, event: str, **facts: Any) -> None:
    """Log a warning.

    Args:
        source: the part that speaks, such as "model".
        event: what happened, such as "model.retry"; stable, for searching.
        **facts: details; never a key or another secret.
    """
    bound(source).warning(event, **facts)


def info(source: str, event: str, **facts: Any) -> None:
    """Log what an operator may want to read, such as a server's own log.

    Nothing is written unless the program configured structlog, so that a terminal stays quiet.
    Arguments as for `warn`.
    """
    structlog = sys.modules.get("structlog")
    if structlog is not None and structlog.is_configured():
        bound(source).info(event, **facts)
