"""Where an index is kept when the caller does not say."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from agentkit_tools.search.warn import warn


def cache_path(root: Path) -> str:
    """Return the index file of a resolved folder in the user's cache, or ":memory:".

    Memory is the way out where the cache folder cannot be written, as in a read-only container;
    it costs a full indexing per process, which a warning says.
    """
    # agentkit.config, the usual reader of the environment, is out of reach for tools.
    chosen = os.environ.get("XDG_CACHE_HOME", "")  # noqa: TID251
    try:
        base = Path(chosen) if Path(chosen).is_absolute() else Path.home() / ".cache"
        folder = base / "agentkit" / "documents"
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK | os.X_OK)
    except (OSError, RuntimeError):
        writable, folder = False, Path()
    if not writable:
        warn("no cache folder that can be written, the index is kept in memory", folder=str(folder))
        return ":memory:"
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:32]
    return str(folder / f"{name}.db")
