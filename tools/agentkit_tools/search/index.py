"""An index over one folder that follows its files, and finds passages in it."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from agentkit_tools.search import ranking, records
from agentkit_tools.search.chunk import passages
from agentkit_tools.search.database import Database, SearchError, is_damage
from agentkit_tools.search.decode import Unreadable
from agentkit_tools.search.files import Problem, Stamp, Survey, TooLarge, read, survey
from agentkit_tools.search.location import cache_path
from agentkit_tools.search.parse import ParserMissing, parse
from agentkit_tools.search.policy import Policy
from agentkit_tools.search.ranking import Hit
from agentkit_tools.search.records import Fresh, Known
from agentkit_tools.search.tokens import fingerprint, index_tokens
from agentkit_tools.search.warn import warn

CLOSE_SECONDS = 5.0
"""A stopped refresh ends after one file, which may be a long PDF."""

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
        self._state: records.State | None = None

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
                "SELECT body FROM bodies JOIN documents d ON d.id = document WHERE path = ?",
                (document,),
            ).fetchone()
        )
        return tuple(zlib.decompress(row[0]).decode().split("\n")) if row else None

    def documents(self) -> list[str]:
        """Return the ids of all documents, sorted: paths relative to the folder."""
        self.refresh()
        query = "SELECT path FROM documents WHERE problem IS NULL ORDER BY path"
        return [path for (path,) in self._reading(lambda db: db.execute(query).fetchall())]

    def bodies(self) -> list[tuple[str, bytes]]:
        """Return id and zlib-compressed UTF-8 text of all documents, sorted by id."""
        self.refresh()
        query = """SELECT path, body FROM bodies JOIN documents d ON d.id = document
            ORDER BY path"""
        return self._reading(lambda db: db.execute(query).fetchall())

    def stop(self) -> None:
        """Let all refreshes asked for so far fail after the file they are at.

        What they have read is kept. For calls that nobody waits for any more.
        """
        self._stops += 1

    def close(self) -> None:
        """Close the index file, waiting a little for a refresh; a later call opens it again."""
        waited = self._refreshing.acquire(timeout=CLOSE_SECONDS)
        try:
            self._database.close()
        finally:
            if waited:
                self._refreshing.release()

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
                "see what else uses it, free space, or give another index path"
            ) from error

    def _follow(self, stops: int) -> Report:
        begun = time.monotonic()
        try:
            found = survey(self.root, self.policy)
        except OSError as error:
            raise SearchError(f"cannot list {str(self.root)!r}: {error.strerror}") from error
        known = self._remembered().known
        gone = [document for document in known if document not in found.files]
        if gone:
            with self._database.writing() as db:
                records.forget(db, gone)
        added, changed = self._read_changed(found, known, stops)
        now = self._remembered()
        problems = (*found.problems, *now.problems)
        for problem in problems:
            if problem not in self._warned:
                self._warned.add(problem)
                warn("document skipped", document=problem.document, reason=problem.reason)
        return Report(
            added=added,
            changed=changed,
            removed=len(gone),
            documents=now.documents,
            problems=tuple(sorted(problems, key=lambda problem: problem.document)),
            ignored=tuple(sorted(found.ignored.items())),
            seconds=time.monotonic() - begun,
        )

    def _remembered(self) -> records.State:
        """Return what the index holds, read anew only after somebody has written to it."""
        with self._database.reading() as db:
            if self._state is None or self._state.generation != records.generation(db):
                self._state = records.load(db)
            return self._state

    def _read_changed(self, found: Survey, known: dict[str, Known], stops: int) -> tuple[int, int]:
        added = changed = 0
        batch: list[Fresh] = []
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
                added += fresh.problem is None
            elif before.digest != fresh.digest:
                changed += 1
            batch.append(fresh)
            if len(batch) >= BATCH_DOCUMENTS or time.monotonic() - since > BATCH_SECONDS:
                self._write(batch)
                batch, since = [], time.monotonic()
        self._write(batch)
        return added, changed

    def _write(self, batch: Sequence[Fresh]) -> None:
        if batch:
            with self._database.writing() as db:
                records.write(db, batch)

    def _fresh(self, document: str, stamp: Stamp, before: Known | None) -> Fresh:
        """Read and cut one file; what is wrong with it becomes part of the answer."""
        now = time.time_ns()
        digest = b""
        try:
            data, stamp = read(self.root, document, self.policy)
            digest = hashlib.sha256(data).digest()
            settled = stamp.older_than(now - RACY_NS)
            if before and before.digest == digest:
                return Fresh(document, stamp, settled, digest, before.problem)
            kind = self.policy.kind(Path(document).suffix)
            assert kind is not None, "the survey lists documents only"
            parsed = parse(data, kind)
        except Unreadable as error:
            final = not isinstance(error, ParserMissing) and (
                bool(digest) or isinstance(error, TooLarge)
            )
            settled = final and stamp.older_than(now - RACY_NS)
            return Fresh(document, stamp, settled, digest if final else b"", str(error))
        name = Path(document).with_suffix("").as_posix()
        return Fresh(
            document,
            stamp,
            settled,
            digest,
            body=zlib.compress("\n".join(parsed.lines).encode(), 1),
            passages=tuple(
                (passage, index_tokens(f"{name}\n{passage.heading}\n{passage.text}"))
                for passage in passages(parsed, self.policy)
            ),
        )
