"""What summaries cost, as the log has it; apart from the asking, which most runs never need."""

from __future__ import annotations

from agentkit.context.context import SUMMARY
from agentkit.events import Noted
from agentkit.usage import Usage


def spent_on_summary(body: object) -> tuple[Usage, float | None] | None:
    """Return what a logged request for a summary cost, or None for any other event."""
    if not isinstance(body, Noted) or body.topic != SUMMARY or "input" not in body.data:
        return None
    data = body.data
    usage = Usage(data["input"], data["cached"], data["output"], data["thinking"])
    return usage, data["cost_usd"]
