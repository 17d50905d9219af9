"""How long runs are kept: old ones go, the newest and those at work stay."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agentkit.errors import RunTaken
from agentkit.store.base import BLOB_GRACE_SECONDS, RunSummary, Store


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went.

    Attributes:
        runs: the runs that were deleted, newest first.
        bytes: freed from blobs that no event names any more.
    """

    runs: tuple[RunSummary, ...]
    bytes: int


async def prune(
    store: Store,
    *,
    older_than: timedelta | None = None,
    keep: int = 0,
    grace: float = BLOB_GRACE_SECONDS,
    dry_run: bool = False,
) -> Pruned:
    """Delete old runs, then the blobs that no event names any more.

    A run is deleted when its last event is older than `older_than` and `keep` newer runs stay.
    A run of a sub-agent goes with the run it served, and does not count. Runs that a worker has
    claimed stay.

    Args:
        store: where.
        older_than: None: whatever its age.
        keep: so many of the newest runs stay, whatever their age.
        grace: seconds for which a blob waits for the event that will name it.
        dry_run: delete nothing, and say what would go.
    """
    listed = await store.runs(sys.maxsize)
    above = {run.run_id: run.parent_run for run in listed}
    # One whose parent is gone already stands for itself.
    own = [run for run in listed if run.parent_run not in above]
    limit = datetime.now(UTC) - older_than if older_than is not None else None
    going = {
        run.run_id
        for run in own[keep:]
        if limit is None or datetime.fromisoformat(run.last_at) < limit
    }
    gone: list[RunSummary] = []
    for run in listed:
        if _root(run.run_id, above) not in going:
            continue
        try:
            if not dry_run:
                await store.delete(run.run_id)
        except RunTaken:
            continue
        gone.append(run)
    return Pruned(tuple(gone), 0 if dry_run else await store.sweep(grace))


def _root(run_id: str, above: Mapping[str, str | None]) -> str:
    """Return the run at the top of those that a run serves; itself when it serves none here."""
    seen = {run_id}
    while (parent := above[run_id]) in above and parent not in seen:
        assert parent is not None
        seen.add(parent)
        run_id = parent
    return run_id
