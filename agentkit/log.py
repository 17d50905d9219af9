"""The operator's log: structlog as the program configured it, else warnings on stderr.

A library must not write to stdout, and structlog's own default does. It is imported at the first
line, since most runs have nothing to say.
"""

from __future__ import annotations

import sys
from typing import Any


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
    return structlog.wrap_logger(structlog.PrintLogger(sys.stderr), source=name, **facts)


def warn(source: str, event: str, **facts: Any) -> None:
    """Log a warning.

    Args:
        source: the part that speaks, such as "model".
        event: what happened, such as "model.retry"; stable, for searching.
        **facts: details; never a key or another secret.
    """
    bound(source).warning(event, **facts)
