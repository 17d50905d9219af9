"""The index file: its tables, its connections, and what happens when it is damaged.

Several threads and processes use one file at once: SQLite's write-ahead log lets them read while
one writes, and every change is one transaction that first waits for its turn.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Generator
from pathlib import Path

from agentkit_tools.search.warn import warn

APPLICATION = 0x61676B64  # "agkd": tells our files from any other SQLite database
BUSY_SECONDS = 30.0
DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
MEMORY = ":memory:"

TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID",
    """CREATE TABLE documents (
        id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, digest BLOB NOT NULL,
        size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, inode INTEGER,
        settled INTEGER NOT NULL, problem TEXT)""",
    # Apart from the rows that every refresh reads, because they are large.
    "CREATE TABLE bodies (document INTEGER PRIMARY KEY REFERENCES documents, body BLOB NOT NULL)",
    """CREATE TABLE passages (
        id INTEGER PRIMARY KEY, document INTEGER NOT NULL REFERENCES documents,
        start_line INTEGER NOT NULL, end_line INTEGER NOT NULL, heading TEXT NOT NULL,
        text TEXT NOT NULL, digest BLOB NOT NULL, length INTEGER NOT NULL)""",
    "CREATE INDEX passages_document ON passages (document)",
    "CREATE INDEX passages_digest ON passages (digest)",
    # Our tokens are already cut: only spaces part them, since this tokenizer takes every
    # character beyond ASCII for part of a word and a full stop is declared to be one.
    """CREATE VIRTUAL TABLE words USING fts5(tokens, tokenize = "ascii tokenchars '.'")""",
    "CREATE VIRTUAL TABLE terms USING fts5vocab(words, 'row')",
)


class SearchError(Exception):
    """The index cannot be used; the message says why and what to do."""


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error means that the file is broken, and not merely busy or full."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in DAMAGED:
        return True
    return isinstance(error, sqlite3.OperationalError) and "no such " in str(error)


class Database:
    """A SQLite file with the tables above, opened when it is first used.

    Args:
        path: the file, or ":memory:" for an index that lives as long as this object.
        form: names how the content was made; a file with another form is emptied first.
    """

    def __init__(self, path: str, form: str) -> None:
        self.path = path
        self._form = form
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.RLock()
        self._inode: int | None = None

    @contextlib.contextmanager
    def reading(self) -> Generator[sqlite3.Connection]:
        """Lend a connection on which all statements see one and the same state."""
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Generator[sqlite3.Connection]:
        """Lend a connection whose changes all happen, or none does."""
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    def close(self) -> None:
        """Close the idle connections; the next use opens new ones (and an empty memory index)."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    def __del__(self) -> None:
        # Python 3.13 warns of connections that are left to the garbage collector.
        with contextlib.suppress(Exception):
            self.close()

    def set_aside(self, error: sqlite3.Error) -> None:
        """Move a damaged file away, so that the next use starts an empty one.

        It is renamed and not deleted: a caller may have named a file of another kind.
        """
        self.close()
        if self.path == MEMORY:
            return
        with _locked(self.path):
            try:
                inode = Path(self.path).stat().st_ino
            except FileNotFoundError:
                return
            if inode != self._inode:
                return  # another process has already started a new one
            kept = f"{self.path}.damaged"
            warn("index damaged, rebuilding", index=self.path, kept=kept, error=str(error))
            Path(self.path).replace(kept)
            for suffix in ("-wal", "-shm"):
                Path(self.path + suffix).unlink(missing_ok=True)

    def notice_replacement(self) -> None:
        """Let go of connections to a file that was deleted or replaced under them."""
        with self._lock:
            if self.path == MEMORY or not self._idle:
                return
            try:
                inode = Path(self.path).stat().st_ino
            except FileNotFoundError:
                inode = None
            if inode != self._inode:
                self.close()

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Generator[sqlite3.Connection]:
        with self._lent() as connection:
            connection.execute(begin)
            try:
                yield connection
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    @contextlib.contextmanager
    def _lent(self) -> Generator[sqlite3.Connection]:
        if self.path == MEMORY:
            with self._lock:  # one connection holds all there is, so threads take turns
                if not self._idle:
                    self._idle.append(self._opened())
                yield self._idle[0]
            return
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        connection = connection or self._opened()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._idle.append(connection)

    def _opened(self) -> sqlite3.Connection:
        try:
            if self.path != MEMORY:
                Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.OperationalError) as error:
            raise SearchError(
                f"cannot open the index {self.path!r}: {error}; "
                "give a path that can be written, or index=':memory:'"
            ) from error
        try:
            if self.path != MEMORY:
                self._inode = Path(self.path).stat().st_ino
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        _use_write_ahead_log(connection)
        connection.execute("PRAGMA synchronous = NORMAL")  # a lost last change is re-indexed
        if self._is_current(connection):
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            if not self._is_current(connection):
                self._create(connection)
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise

    def _is_current(self, connection: sqlite3.Connection) -> bool:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and application != APPLICATION:
            raise SearchError(
                f"{self.path!r} is a SQLite database of something else; give another index path"
            )
        if not tables:
            return False
        found = connection.execute("SELECT value FROM meta WHERE key = 'form'").fetchone()
        return found is not None and found[0] == self._form

    def _create(self, connection: sqlite3.Connection) -> None:
        for table in ("terms", "words", "passages", "bodies", "documents", "meta"):
            connection.execute(f"DROP TABLE IF EXISTS {table}")
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        for statement in TABLES:
            connection.execute(statement)
        values = [("form", self._form), ("generation", time.time_ns())]  # unlike any other file's
        connection.executemany("INSERT INTO meta VALUES (?, ?)", values)


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch the log on; two processes doing so at once fail without waiting, so try again."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            busy = (error.sqlite_errorcode & 0xFF) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


@contextlib.contextmanager
def _locked(path: str) -> Generator[None]:
    """Hold a lock between processes while a damaged file is moved away."""
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
