"""An index over one folder that follows its files, and finds passages in it."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from agentkit_tools.search import ranking
from agentkit_tools.search.chunk import Passage, passages
from agentkit_tools.search.database import Database, SearchError, is_damage
from agentkit_tools.search.decode import Unreadable
from agentkit_tools.search.files import Problem, Stamp, Survey, TooLarge, read, survey
from agentkit_tools.search.location import cache_path
from agentkit_tools.search.parse import ParserMissing, parse
from agentkit_tools.search.policy import Policy
from agentkit_tools.search.ranking import Hit
from agentkit_tools.search.tokens import fingerprint, index_tokens
from agentkit_tools.search.warn import warn

T = TypeVar("T")

FORM = 1
"""Number of the layout of tables and passages; raise it when either changes."""

RACY_NS = 2_000_000_000
"""A file written this shortly before it was read may change again under the same stamp."""

BATCH_DOCUMENTS, BATCH_SECONDS = 100, 1.0
"""A transaction ends after so many documents or so long, so that others get their turn."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a refresh did.

    Attributes:
        added: documents that were not in the index.
        changed: documents whose content is another than before.
        removed: documents that are gone.
        documents: documents in the index now.
        problems: files that are not in it, and why.
        ignored: number of files by ending that is not Markdown, text, HTML or PDF.
        seconds: wall time.
    """

    added: int
    changed: int
    removed: int
    documents: int
    problems: tuple[Problem, ...]
    ignored: tuple[tuple[str, int], ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class _Known:
    """What the index remembers of a file."""

    stamp: Stamp
    settled: bool
    digest: bytes
    problem: str | None


@dataclass(frozen=True, slots=True)
class _Fresh:
    """What a file turned out to be: passages with their tokens, or a problem."""

    document: str
    stamp: Stamp
    settled: bool
    digest: bytes
    problem: str | None = None
    body: bytes | None = None
    line_count: int = 0
    passages: tuple[tuple[Passage, list[str]], ...] = ()


class Index:
    """Passages of all documents under a folder, kept in step with the files.

    Threads may share one object, and processes one index file.

    Args:
        folder: where the documents are.
        path: the index file, ":memory:", or None for one in the user's cache folder.
        policy: what is read and how it is cut.

    Raises:
        NotADirectoryError: there is no such folder.
    """

    def __init__(
        self, folder: str | Path, path: str | Path | None = None, policy: Policy | None = None
    ) -> None:
        self.root = Path(folder).resolve()
        if not self.root.is_dir():
            raise NotADirectoryError(
                f"no folder at {str(self.root)!r}; give the folder that holds the documents"
            )
        self.policy = policy or Policy()
        self._database = Database(
            cache_path(self.root) if path is None else str(path),
            f"{FORM} {fingerprint()} {self.policy.shape()} {self.root}",
        )
        self._refreshing = threading.Lock()
        self._began = 0.0
        self._report: Report | None = None
        self._warned: set[Problem] = set()
        self._stops = 0
        self._totals = ranking.Totals()

    @property
    def path(self) -> str:
        """Where the index is kept."""
        return self._database.path

    def refresh(self) -> Report:
        """Read what is new or changed, forget what is gone, and warn of what cannot be read.

        Calls that wait for one another share a refresh that began after they were made.

        Raises:
            SearchError: the folder is gone, or the index cannot be written.
        """
        asked, stops = time.monotonic(), self._stops
        with self._refreshing:
            if self._report is None or self._began <= asked:
                began = time.monotonic()
                self._database.notice_replacement()
                self._report = self._recovered(lambda: self._follow(stops))
                self._began = began
            return self._report

    def search(self, query: str, top_k: int = 5) -> list[Hit]:
        """Return the best passages for a query, best first, equal passages once.

        Args:
            query: words in any language; each counts by itself.
            top_k: how many at most.

        Raises:
            SearchError: as for `refresh`.
        """
        self.refresh()
        return self._reading(lambda db: ranking.search(db, query, top_k, self._totals))

    def lines(self, document: str) -> tuple[str, ...] | None:
        """Return the text lines of a document by its id, or None when there is none."""
        self.refresh()
        row = self._reading(
            lambda db: db.execute(
                "SELECT body FROM documents WHERE path = ? AND body IS NOT NULL", (document,)
            ).fetchone()
        )
        return _unpacked(row[0]) if row else None

    def documents(self) -> list[str]:
        """Return the ids of all documents, sorted: paths relative to the folder."""
        self.refresh()
        query = "SELECT path FROM documents WHERE body IS NOT NULL ORDER BY path"
        return [path for (path,) in self._reading(lambda db: db.execute(query).fetchall())]

    def bodies(self) -> list[tuple[str, bytes]]:
        """Return id and zlib-compressed UTF-8 text of all documents, sorted by id."""
        self.refresh()
        query = "SELECT path, body FROM documents WHERE body IS NOT NULL ORDER BY path"
        return self._reading(lambda db: db.execute(query).fetchall())

    def stop(self) -> None:
        """Let all refreshes asked for so far fail after the file they are at.

        What they have read is kept. For calls that nobody waits for any more.
        """
        self._stops += 1

    def close(self) -> None:
        """Close the index file; a later call opens it again."""
        with self._refreshing:
            self._database.close()

    def _reading(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def attempt() -> T:
            with self._database.reading() as connection:
                return work(connection)

        try:
            return attempt()
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise SearchError(f"the index {self.path!r} cannot be read: {error}") from error
            self._database.set_aside(error)
        self.refresh()
        return attempt()

    def _recovered(self, work: Callable[[], T]) -> T:
        """Run `work`, once more on an empty index if the file turns out to be damaged."""
        try:
            try:
                return work()
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                self._database.set_aside(error)
            return work()
        except sqlite3.Error as error:
            raise SearchError(
                f"the index {self.path!r} cannot be written: {error}; "
                "free space or give another index path"
            ) from error

    def _follow(self, stops: int) -> Report:
        begun = time.monotonic()
        try:
            found = survey(self.root, self.policy)
        except OSError as error:
            raise SearchError(f"cannot list {str(self.root)!r}: {error.strerror}") from error
        known = self._known()
        gone = [document for document in known if document not in found.files]
        if gone:
            self._forget(gone)
        added, changed = self._read_changed(found, known, stops)
        problems = self._problems(found)
        for problem in problems:
            if problem not in self._warned:
                self._warned.add(problem)
                warn("document skipped", document=problem.document, reason=problem.reason)
        return Report(
            added=added,
            changed=changed,
            removed=len(gone),
            documents=self._count(),
            problems=problems,
            ignored=tuple(sorted(found.ignored.items())),
            seconds=time.monotonic() - begun,
        )

    def _read_changed(self, found: Survey, known: dict[str, _Known], stops: int) -> tuple[int, int]:
        added = changed = 0
        batch: list[_Fresh] = []
        since = time.monotonic()
        for document, stamp in found.files.items():
            before = known.get(document)
            if before and before.settled and before.stamp == stamp:
                continue
            if self._stops != stops:
                self._write(batch)
                raise SearchError("indexing was stopped; the next call goes on from here")
            fresh = self._fresh(document, stamp, before)
            if before is None:
                added += 1
            elif before.digest != fresh.digest:
                changed += 1
            batch.append(fresh)
            if len(batch) >= BATCH_DOCUMENTS or time.monotonic() - since > BATCH_SECONDS:
                self._write(batch)
                batch, since = [], time.monotonic()
        self._write(batch)
        return added, changed

    def _fresh(self, document: str, stamp: Stamp, before: _Known | None) -> _Fresh:
        """Read and cut one file; what is wrong with it becomes part of the answer."""
        now = time.time_ns()
        digest = b""
        try:
            data, stamp = read(self.root, document, self.policy)
            digest = hashlib.sha256(data).digest()
            settled = stamp.older_than(now - RACY_NS)
            if before and before.digest == digest:
                return _Fresh(document, stamp, settled, digest, before.problem)
            kind = self.policy.kind(Path(document).suffix)
            assert kind is not None, "the survey lists documents only"
            parsed = parse(data, kind)
        except Unreadable as error:
            final = not isinstance(error, ParserMissing) and (
                bool(digest) or isinstance(error, TooLarge)
            )
            settled = final and stamp.older_than(now - RACY_NS)
            return _Fresh(document, stamp, settled, digest if final else b"", str(error))
        name = Path(document).with_suffix("").as_posix()
        return _Fresh(
            document,
            stamp,
            settled,
            digest,
            body=zlib.compress("\n".join(parsed.lines).encode(), 1),
            line_count=len(parsed.lines),
            passages=tuple(
                (passage, index_tokens(f"{name}\n{passage.heading}\n{passage.text}"))
                for passage in passages(parsed, self.policy)
            ),
        )

    def _write(self, batch: Sequence[_Fresh]) -> None:
        if not batch:
            return
        with self._database.writing() as connection:
            for fresh in batch:
                row = connection.execute(
                    "SELECT id, digest FROM documents WHERE path = ?", (fresh.document,)
                ).fetchone()
                if row and row[1] == fresh.digest and fresh.digest:
                    _touch(connection, row[0], fresh)  # the same, or another process was first
                    continue
                if row:
                    _delete(connection, row[0])
                _insert(connection, fresh)
            _next_generation(connection)

    def _forget(self, documents: Iterable[str]) -> None:
        with self._database.writing() as connection:
            for document in documents:
                row = connection.execute(
                    "SELECT id FROM documents WHERE path = ?", (document,)
                ).fetchone()
                if row:
                    _delete(connection, row[0])
            _next_generation(connection)

    def _known(self) -> dict[str, _Known]:
        query = """SELECT path, size, mtime_ns, ctime_ns, inode, settled, digest, problem
            FROM documents"""
        with self._database.reading() as connection:
            return {
                row[0]: _Known(Stamp(*row[1:5]), bool(row[5]), row[6], row[7])
                for row in connection.execute(query)
            }

    def _problems(self, found: Survey) -> tuple[Problem, ...]:
        query = "SELECT path, problem FROM documents WHERE problem IS NOT NULL"
        with self._database.reading() as connection:
            stored = [Problem(path, reason) for path, reason in connection.execute(query)]
        return tuple(sorted([*found.problems, *stored], key=lambda problem: problem.document))

    def _count(self) -> int:
        query = "SELECT count(*) FROM documents WHERE body IS NOT NULL"
        with self._database.reading() as connection:
            (count,) = connection.execute(query).fetchone()
        return int(count)


def _touch(connection: sqlite3.Connection, number: int, fresh: _Fresh) -> None:
    stamp = fresh.stamp
    connection.execute(
        """UPDATE documents SET size = ?, mtime_ns = ?, ctime_ns = ?, inode = ?, settled = ?
        WHERE id = ?""",
        (stamp.size, stamp.mtime_ns, stamp.ctime_ns, stamp.inode, fresh.settled, number),
    )


def _delete(connection: sqlite3.Connection, number: int) -> None:
    connection.execute(
        "DELETE FROM words WHERE rowid IN (SELECT id FROM passages WHERE document = ?)", (number,)
    )
    connection.execute("DELETE FROM passages WHERE document = ?", (number,))
    connection.execute("DELETE FROM documents WHERE id = ?", (number,))


def _insert(connection: sqlite3.Connection, fresh: _Fresh) -> None:
    stamp = fresh.stamp
    cursor = connection.execute(
        "INSERT INTO documents VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(fresh.document, fresh.digest),
            *(stamp.size, stamp.mtime_ns, stamp.ctime_ns, stamp.inode, fresh.settled),
            *(fresh.problem, fresh.line_count, fresh.body),
        ),
    )
    number = cursor.lastrowid
    for passage, tokens in fresh.passages:
        # Equal words under different titles may be different facts, so the titles count.
        digest = hashlib.sha256(f"{passage.heading}\n{passage.text}".encode()).digest()[:16]
        cursor = connection.execute(
            "INSERT INTO passages VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(number, passage.start, passage.end),
                *(passage.heading, passage.text, digest, len(tokens)),
            ),
        )
        connection.execute(
            "INSERT INTO words (rowid, tokens) VALUES (?, ?)", (cursor.lastrowid, " ".join(tokens))
        )


def _next_generation(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'generation'")


def _unpacked(body: bytes) -> tuple[str, ...]:
    return tuple(zlib.decompress(body).decode().split("\n"))
