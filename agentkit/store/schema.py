"""The SQLite schema as an ordered list of migrations; an old file is brought forward at opening."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from agentkit.errors import LogUnreadable


def _first(db: sqlite3.Connection) -> None:
    db.execute(
        "CREATE TABLE events (run_id TEXT NOT NULL, seq INTEGER NOT NULL, at TEXT NOT NULL,"
        " kind TEXT NOT NULL, version INTEGER NOT NULL, body TEXT NOT NULL,"
        " PRIMARY KEY (run_id, seq)) WITHOUT ROWID"
    )


def _claims(db: sqlite3.Connection) -> None:
    # A released claim keeps its row without an owner: epochs only grow.
    db.execute(
        "CREATE TABLE claims (run_id TEXT PRIMARY KEY, owner TEXT, epoch INTEGER NOT NULL,"
        " boot TEXT NOT NULL, until REAL NOT NULL) WITHOUT ROWID"
    )


# Append only: a file made by any earlier agentkit is brought forward from where it stands.
MIGRATIONS: Sequence[Callable[[sqlite3.Connection], None]] = (_first, _claims)


def migrate(db: sqlite3.Connection) -> None:
    """Bring the database to the newest version, in one transaction.

    Raises:
        LogUnreadable: the file was written by a newer version of agentkit.
    """
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == len(MIGRATIONS):
        return
    if version > len(MIGRATIONS):
        raise LogUnreadable(
            f"The log has schema version {version}; this agentkit knows up to "
            f"{len(MIGRATIONS)}. Upgrade agentkit to open it."
        )
    db.execute("BEGIN IMMEDIATE")
    try:
        version = db.execute("PRAGMA user_version").fetchone()[0]  # another process may be first
        for step in MIGRATIONS[version:]:
            step(db)
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
