"""What the model is told of a call that was stopped."""

from __future__ import annotations


def why_stopped(timeout: float | None, *, still_runs: bool) -> str:
    """Return what happened to a call.

    Args:
        timeout: seconds after which it timed out; None for one that was cancelled.
        still_runs: whether it had to be abandoned.
    """
    what = "It could not be stopped and may still be running" if still_runs else "It stopped"
    if timeout is None:
        return f"Cancelled before it ended. {what}; part of its work may be done."
    return (
        f"Timed out after {timeout:g} seconds. {what}; part of its work may be done. "
        "Ask for less at once or try another way."
    )
