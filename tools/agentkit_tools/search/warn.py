"""Warnings for the operator: structlog as it is configured, else to stderr and never stdout."""

from __future__ import annotations

import sys
from typing import Any


def warn(event: str, **facts: Any) -> None:
    """Log a warning with its facts."""
    import structlog  # noqa: PLC0415 - most searches have nothing to warn of

    if structlog.is_configured():
        logger = structlog.get_logger("agentkit.search")
    else:
        logger = structlog.wrap_logger(structlog.PrintLogger(sys.stderr))
    logger.warning(event, **facts)
