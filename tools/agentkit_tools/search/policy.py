"""What may be indexed and how long passages and answers are: one frozen value, no code."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """Limits of an index and of the texts that the model reads.

    Attributes:
        markdown: file name endings read as Markdown.
        text: endings read as plain text.
        html: endings read as HTML.
        pdf: endings read as PDF.
        ignored_folders: folder names that are not entered; nor is any that starts with a dot.
        max_bytes: larger files are skipped with a warning; default 20 MB.
        passage_tokens: estimated tokens that a passage aims at.
        passage_max_tokens: a paragraph up to this size is not cut.
        table_max_tokens: a table up to this size stays in one passage with its header.
        answer_tokens: estimated tokens of all passages in one search result.
        max_top_k: hits that one search may ask for.
        read_lines: lines that one `read_document` shows.
        read_characters: characters that one `read_document` or `grep_documents` shows.
        grep_matches: lines that one `grep_documents` shows.
        grep_seconds: time that one pattern may take over all documents.
    """

    markdown: frozenset[str] = frozenset({".md", ".markdown", ".mdx"})
    text: frozenset[str] = frozenset({".txt", ".text", ".rst", ".adoc", ".org", ".csv", ".tsv"})
    html: frozenset[str] = frozenset({".html", ".htm", ".xhtml"})
    pdf: frozenset[str] = frozenset({".pdf"})
    ignored_folders: frozenset[str] = frozenset({"__pycache__", "node_modules"})
    max_bytes: int = 20_000_000
    passage_tokens: int = 200
    passage_max_tokens: int = 300
    table_max_tokens: int = 500
    answer_tokens: int = 2_000
    max_top_k: int = 20
    read_lines: int = 200
    read_characters: int = 12_000
    grep_matches: int = 50
    grep_seconds: float = 5.0

    def kind(self, suffix: str) -> str | None:
        """Return "markdown", "text", "html" or "pdf" for a file name ending, else None."""
        suffix = suffix.lower()
        if suffix in self.markdown:
            return "markdown"
        if suffix in self.text:
            return "text"
        if suffix in self.html:
            return "html"
        return "pdf" if suffix in self.pdf else None

    def shape(self) -> tuple[int, ...]:
        """Return the numbers that decide how text is cut: an index made with others is rebuilt."""
        return (self.passage_tokens, self.passage_max_tokens, self.table_max_tokens)
