"""`Documents`: search, read and grep over one folder, as tools of an agent."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import AsyncGenerator, Generator, Sequence
from importlib.util import find_spec
from pathlib import Path

from agentkit.tool import Tool, ToolError, tool
from agentkit.tool.grep import InvalidPattern, grep
from agentkit_tools.search.database import SearchError
from agentkit_tools.search.index import Index
from agentkit_tools.search.policy import Policy
from agentkit_tools.search.render import (
    hits_text,
    lines_text,
    matches_text,
    nearest,
    no_hits_text,
)

INDEXING_SECONDS = 600.0
"""Any call may have to index the whole folder first."""


class Documents:
    """A folder of Markdown, text, HTML and PDF files that an agent can look things up in.

    The index is made at the first call and kept in step with the files at every later one. It
    lives in the user's cache folder, so the next process starts with it. Agents, runs and
    processes may share one.

    Args:
        folder: where the documents are; subfolders are included, hidden ones are not.
        index: the index file, ":memory:", or None for one in the user's cache folder.
        policy: what is read, how passages are cut, how long answers are.

    Attributes:
        index: the index behind the tools, for use without a model.

    Raises:
        NotADirectoryError: there is no such folder.
        ModuleNotFoundError: the extra `search` is not installed.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        index: str | Path | None = None,
        policy: Policy | None = None,
    ) -> None:
        self.folder = Path(folder).resolve()
        if not self.folder.is_dir():
            raise NotADirectoryError(
                f"Documents: no folder at {str(self.folder)!r}; "
                "give the folder that holds the documents"
            )
        if find_spec("snowballstemmer") is None:
            raise ModuleNotFoundError(
                "Documents needs the search packages; run: pip install 'agentkit-glm[search]'"
            )
        self.policy = policy or Policy()
        # Made without touching the index file, which is opened at the first call.
        self.index = Index(self.folder, index, self.policy)
        self._open = 0

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncGenerator[Sequence[Tool]]:
        """Yield the three tools; the index is opened at the first call and closed at the end."""
        self._open += 1
        try:
            yield (self.search_documents, self.read_document, self.grep_documents)
        finally:
            self._open -= 1
            if not self._open:
                # A call that was cancelled may still be indexing: it ends after one more file.
                self.index.stop()
                await asyncio.to_thread(self.index.close)

    @tool(read_only=True, idempotent=True, concurrent=True, timeout=INDEXING_SECONDS)
    def search_documents(self, query: str, top_k: int = 5) -> str:
        """Find passages in the documents by words, best first.

        Each passage comes with its document, line range, heading and score. Sources may disagree:
        compare passages, and name the document and the lines of each fact. Several searches in
        one turn run in parallel.

        Args:
            query: words that the passage should contain, in the language of the documents; names
                and numbers help. No single word is required.
            top_k: how many passages, 1 to 20.
        """
        top_k = max(1, min(top_k, self.policy.max_top_k))
        with _told():
            hits = self.index.search(query, top_k)
            if hits:
                return hits_text(hits, self.policy)
            return no_hits_text(query, len(self.index.documents()))

    @tool(read_only=True, idempotent=True, concurrent=True, timeout=INDEXING_SECONDS)
    def read_document(self, id: str, start: int = 1, end: int | None = None) -> str:  # noqa: A002 - the model's word
        """Read lines of one document, each with its number.

        Args:
            id: the document as search_documents and grep_documents name it.
            start: first line, from 1.
            end: last line, included; by default as many as fit into one answer.
        """
        with _told():
            lines = self.index.lines(id)
            if lines is None:
                raise ToolError(self._unknown(id))
        total = len(lines)
        if not 1 <= start <= total:
            raise ToolError(f"{id} has {total} lines; start={start} has to be from 1 to {total}.")
        if end is not None and end < start:
            raise ToolError(f"end={end} lies before start={start}; leave end out or raise it.")
        return lines_text(id, lines, start, total if end is None else end, self.policy)

    @tool(read_only=True, idempotent=True, concurrent=True, timeout=INDEXING_SECONDS)
    def grep_documents(self, pattern: str) -> str:
        """Find lines in all documents by a regular expression; for exact names and numbers.

        Args:
            pattern: Python syntax, matched against each line by itself. Without a capital letter
                in it, case is ignored.
        """
        policy = self.policy
        with _told():
            bodies = self.index.bodies()
            texts = ((document, zlib.decompress(body).decode()) for document, body in bodies)
            try:
                matches = grep(texts, pattern, policy.grep_matches + 1, policy.grep_seconds)
            except InvalidPattern as error:
                raise ToolError(
                    f"{pattern!r} is no regular expression: {error}. "
                    "Put a backslash before characters such as ( [ * + ? that are meant literally."
                ) from error
        return matches_text(matches, pattern, len(bodies), policy)

    def _unknown(self, document: str) -> str:
        known = self.index.documents()
        near = nearest(document, known)
        if near:
            return f"No document {document!r}. Did you mean {', '.join(map(repr, near))}?"
        some = ", ".join(map(repr, known[:10])) + (", ..." if len(known) > 10 else "")
        return f"No document {document!r}. There are {len(known)} documents: {some}"


@contextlib.contextmanager
def _told() -> Generator[None]:
    """Turn a fault of the index into a tool result."""
    try:
        yield
    except SearchError as error:
        raise ToolError(f"The documents cannot be searched: {error}") from error
