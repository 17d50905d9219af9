"""What the index remembers of each file, and how that is written."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agentkit_tools.search.chunk import Passage
from agentkit_tools.search.files import Problem, Stamp


@dataclass(frozen=True, slots=True)
class Known:
    """What is remembered of a file.

    Attributes:
        stamp: as it was when the file was read.
        settled: whether the same stamp means the same content.
        digest: sha256 of the bytes; empty when they could not be read.
        problem: why it is not in the index, or None when it is.
    """

    stamp: Stamp
    settled: bool
    digest: bytes
    problem: str | None


@dataclass(frozen=True, slots=True)
class State:
    """Everything that is remembered, as of one generation of the index."""

    generation: int
    known: dict[str, Known]
    problems: tuple[Problem, ...]
    documents: int


@dataclass(frozen=True, slots=True)
class Fresh:
    """What a file turned out to be: passages with their tokens, or a problem.

    Attributes:
        document: id of the document.
        stamp: as for Known.
        settled: as for Known.
        digest: as for Known.
        problem: as for Known.
        body: the text, UTF-8 and zlib-compressed; None when there is a problem.
        passages: with the tokens under which each is found.
    """

    document: str
    stamp: Stamp
    settled: bool
    digest: bytes
    problem: str | None = None
    body: bytes | None = None
    passages: tuple[tuple[Passage, list[str]], ...] = ()


def generation(db: sqlite3.Connection) -> int:
    """Return a number that is another one after each write, and in each new index file."""
    (number,) = db.execute("SELECT value FROM meta WHERE key = 'generation'").fetchone()
    return int(number)


def load(db: sqlite3.Connection) -> State:
    """Read what is remembered of all files."""
    query = """SELECT path, size, mtime_ns, ctime_ns, inode, settled, digest, problem
        FROM documents"""
    known = {
        row[0]: Known(Stamp(*row[1:5]), bool(row[5]), row[6], row[7]) for row in db.execute(query)
    }
    problems = tuple(
        Problem(path, entry.problem) for path, entry in known.items() if entry.problem is not None
    )
    return State(generation(db), known, problems, len(known) - len(problems))


def write(db: sqlite3.Connection, batch: Sequence[Fresh]) -> None:
    """Put documents in place of their former versions."""
    for fresh in batch:
        row = db.execute(
            "SELECT id, digest FROM documents WHERE path = ?", (fresh.document,)
        ).fetchone()
        if row and row[1] == fresh.digest and fresh.digest:
            _touch(db, row[0], fresh)  # the same content, or another process was first
            continue
        if row:
            _delete(db, row[0])
        _insert(db, fresh)
    _next_generation(db)


def forget(db: sqlite3.Connection, documents: Iterable[str]) -> None:
    """Remove documents; those that are not there are no error."""
    for document in documents:
        row = db.execute("SELECT id FROM documents WHERE path = ?", (document,)).fetchone()
        if row:
            _delete(db, row[0])
    _next_generation(db)


def _touch(db: sqlite3.Connection, number: int, fresh: Fresh) -> None:
    db.execute(
        """UPDATE documents SET size = ?, mtime_ns = ?, ctime_ns = ?, inode = ?, settled = ?
        WHERE id = ?""",
        (*fresh.stamp, fresh.settled, number),
    )


def _delete(db: sqlite3.Connection, number: int) -> None:
    db.execute(
        "DELETE FROM words WHERE rowid IN (SELECT id FROM passages WHERE document = ?)", (number,)
    )
    db.execute("DELETE FROM passages WHERE document = ?", (number,))
    db.execute("DELETE FROM bodies WHERE document = ?", (number,))
    db.execute("DELETE FROM documents WHERE id = ?", (number,))


def _insert(db: sqlite3.Connection, fresh: Fresh) -> None:
    number = db.execute(
        "INSERT INTO documents VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)",
        (fresh.document, fresh.digest, *fresh.stamp, fresh.settled, fresh.problem),
    ).lastrowid
    if fresh.body is not None:
        db.execute("INSERT INTO bodies VALUES (?, ?)", (number, fresh.body))
    for passage, tokens in fresh.passages:
        # Equal words under different titles may be different facts, so the titles count.
        digest = hashlib.sha256(f"{passage.heading}\n{passage.text}".encode()).digest()[:16]
        place = (number, passage.start, passage.end, passage.heading, passage.text)
        row = db.execute(
            "INSERT INTO passages VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", (*place, digest, len(tokens))
        ).lastrowid
        db.execute("INSERT INTO words (rowid, tokens) VALUES (?, ?)", (row, " ".join(tokens)))


def _next_generation(db: sqlite3.Connection) -> None:
    db.execute("UPDATE meta SET value = value + 1 WHERE key = 'generation'")
