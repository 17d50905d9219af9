"""From a query to passages: candidates by FTS5, order by BM25, equal text once.

FTS5's own BM25 gives a word that stands in more than half of the passages no weight at all. In a
folder of a dozen pages that is most words, so the candidates are scored again with the usual
idf = ln(1 + (N - n + 0.5) / (n + 0.5)), which stays positive.
"""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from agentkit_tools.search.tokens import Term, query_terms

K1, B = 1.2, 0.75
CANDIDATES = 64
MAX_TERMS = 128


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that answers a query.

    Attributes:
        document: id: the path relative to the folder, with slashes.
        start_line: first line of the passage, from 1.
        end_line: last line, included.
        heading: titles above it joined by " > "; empty where there are none.
        score: BM25, higher is better; to be compared within one answer only.
        text: the passage.
        also_in: other places with the same titles and text, as "document:start-end".
    """

    document: str
    start_line: int
    end_line: int
    heading: str
    score: float
    text: str
    also_in: tuple[str, ...] = ()


class Totals:
    """Number and mean length of all passages, counted anew when the index has changed."""

    def __init__(self) -> None:
        self._seen: tuple[object, int, float] = (None, 0, 0.0)

    def of(self, db: sqlite3.Connection) -> tuple[int, float]:
        """Return the number of passages and their mean length in tokens."""
        (generation,) = db.execute("SELECT value FROM meta WHERE key = 'generation'").fetchone()
        if self._seen[0] != generation:
            count, length = db.execute("SELECT count(*), total(length) FROM passages").fetchone()
            self._seen = (generation, count, length / count if count else 0.0)
        return self._seen[1:]


def search(db: sqlite3.Connection, query: str, top_k: int, totals: Totals) -> list[Hit]:
    """Return the best passages, best first."""
    terms = query_terms(query)[:MAX_TERMS]
    if not terms or top_k < 1:
        return []
    match = " OR ".join(f'"{term.token}"{"*" if term.prefix else ""}' for term in terms)
    rows = db.execute(
        "SELECT rowid, tokens FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?",
        (match, max(CANDIDATES, 4 * top_k)),
    ).fetchall()
    scores = _scores(rows, _weights(db, terms, totals), totals.of(db)[1])
    hits: list[Hit] = []
    shown: set[bytes] = set()
    for number in sorted(scores, key=lambda number: (-scores[number], number)):
        hit, digest = _hit(db, number, scores[number])
        if digest not in shown:
            shown.add(digest)
            hits.append(hit)
        if len(hits) == top_k:
            break
    return hits


def _weights(
    db: sqlite3.Connection, terms: Sequence[Term], totals: Totals
) -> list[tuple[Term, float]]:
    count, _ = totals.of(db)
    weights: list[tuple[Term, float]] = []
    for term in terms:
        if term.prefix:
            query = "SELECT total(doc) FROM terms WHERE term >= ? AND term < ? || char(0x10ffff)"
            (holding,) = db.execute(query, (term.token, term.token)).fetchone()
        else:
            row = db.execute("SELECT doc FROM terms WHERE term = ?", (term.token,)).fetchone()
            holding = row[0] if row else 0
        holding = min(holding, count)
        if holding:
            weights.append((term, math.log(1 + (count - holding + 0.5) / (holding + 0.5))))
    return weights


def _scores(
    rows: Sequence[tuple[int, str]], weights: Sequence[tuple[Term, float]], mean: float
) -> dict[int, float]:
    scores: dict[int, float] = {}
    for number, text in rows:
        tokens = text.split(" ")
        counts = Counter(tokens)
        damping = K1 * (1 - B + B * len(tokens) / mean)
        score = 0.0
        for term, weight in weights:
            found = counts[term.token]
            if term.prefix:
                found = sum(n for token, n in counts.items() if token.startswith(term.token))
            score += weight * found * (K1 + 1) / (found + damping)
        scores[number] = score
    return scores


def _hit(db: sqlite3.Connection, number: int, score: float) -> tuple[Hit, bytes]:
    document, start, end, heading, text, digest = db.execute(
        """SELECT d.path, p.start_line, p.end_line, p.heading, p.text, p.digest
        FROM passages p JOIN documents d ON d.id = p.document WHERE p.id = ?""",
        (number,),
    ).fetchone()
    others = db.execute(
        """SELECT d.path, p.start_line, p.end_line FROM passages p
        JOIN documents d ON d.id = p.document
        WHERE p.digest = ? AND p.id != ? ORDER BY d.path, p.start_line""",
        (digest, number),
    ).fetchall()
    also_in = tuple(f"{path}:{first}-{last}" for path, first, last in others)
    return Hit(document, start, end, heading, round(score, 4), text, also_in), digest
