"""One file to lines of text: Markdown and plain text as they are, HTML and PDF as extracted."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from importlib import import_module
from typing import Any

from agentkit_tools.search.decode import Unreadable, decode

XML_PROLOGUE = re.compile(r"^\s*<\?xml[^>]*\?>")
PDFIUM = threading.Lock()
"""PDFium keeps process-wide state; two threads in it crash the process."""


QUIET = logging.NullHandler()
"""Keeps trafilatura's remarks off stderr unless the program has set up logging."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A document as text.

    Attributes:
        lines: without line breaks. Line 1 is `lines[0]`; for Markdown and text these are the
            lines of the file.
        style: "markdown", "text" or "pages": where headings come from.
        pages: for "pages", the index into `lines` at which each page begins.
    """

    lines: tuple[str, ...]
    style: str
    pages: tuple[int, ...] = ()


def parse(data: bytes, kind: str) -> Parsed:
    """Extract the text of a file.

    Args:
        data: the whole file.
        kind: "markdown", "text", "html" or "pdf".

    Raises:
        Unreadable: damaged, encrypted, empty, not text, or its parser is not installed.
    """
    parsed = PARSERS[kind](data)
    if not any(line.strip() for line in parsed.lines):
        raise Unreadable("has no text in it (a scan, or pictures only?)")
    return parsed


def _markdown(data: bytes) -> Parsed:
    return Parsed(_lines(decode(data)), "markdown")


def _text(data: bytes) -> Parsed:
    return Parsed(_lines(decode(data)), "text")


def _html(data: bytes) -> Parsed:
    source = XML_PROLOGUE.sub("", decode(data, declared=True))
    try:
        from trafilatura import extract  # noqa: PLC0415 - half a second, for HTML only
    except ImportError as error:
        raise _missing("trafilatura", "HTML") from error
    logging.getLogger("trafilatura").addHandler(QUIET)
    try:
        text = extract(
            source,
            output_format="markdown",
            include_tables=True,
            include_comments=False,
            favor_recall=True,
        )
    except Exception:  # noqa: BLE001 - a foreign parser on foreign data; the plain one still works
        text = None
    return Parsed(_lines(text or _plain(source)), "markdown")


def _plain(source: str) -> str:
    """Take the text of a page that has no main part to find, such as a fragment."""
    stripper = _Stripper()
    stripper.feed(source)
    stripper.close()
    return re.sub(r"\n{3,}", "\n\n", "".join(stripper.pieces)).strip("\n")


class _Stripper(HTMLParser):
    """Keeps text, starts a line at each block, leaves out scripts and styles."""

    silent = frozenset({"script", "style", "template", "noscript", "head"})
    inline = frozenset(
        {"a", "abbr", "b", "code", "em", "i", "mark", "q", "small", "span", "strong"}
    )

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self._depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self._depth += tag in self.silent
        if tag not in self.inline:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._depth = max(0, self._depth - (tag in self.silent))
        if tag not in self.inline:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._depth:
            self.pieces.append(re.sub(r"\s+", " ", data))


def _pdf(data: bytes) -> Parsed:
    if not data.strip():
        raise Unreadable("is empty")
    try:
        pdfium: Any = import_module("pypdfium2")  # optional, untyped, and a library of 7 MB
    except ImportError as error:
        raise _missing("pypdfium2", "PDF") from error
    lines: list[str] = []
    pages: list[int] = []
    with PDFIUM:
        try:
            document = pdfium.PdfDocument(data)
        except pdfium.PdfiumError as error:
            reason = "needs a password" if "password" in str(error).lower() else "is a broken PDF"
            raise Unreadable(f"{reason} ({error})") from error
        try:
            for number in range(len(document)):
                pages.append(len(lines))
                lines.extend(_page(document, number))
        except pdfium.PdfiumError as error:
            raise Unreadable(f"is a broken PDF (page {len(pages)}: {error})") from error
        finally:
            document.close()
    return Parsed(tuple(lines), "pages", tuple(pages))


def _page(document: Any, number: int) -> tuple[str, ...]:
    page = document[number]
    try:
        text = page.get_textpage()
        try:
            # U+FFFE and U+0002 are PDFium's marks for a hyphen at the end of a line.
            return _lines(re.sub("[\ufffe\x02]", "-", text.get_text_range()))
        finally:
            text.close()
    finally:
        page.close()


def _lines(text: str) -> tuple[str, ...]:
    """Split at line feeds only: `str.splitlines` would count form feeds as lines as well."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return tuple(line.rstrip() for line in lines)


def _missing(package: str, format_name: str) -> Unreadable:
    return ParserMissing(
        f"is {format_name}, which needs the package {package}; "
        "run: pip install 'agentkit-glm[search]'"
    )


class ParserMissing(Unreadable):
    """The parser is not installed; unlike other faults this one is tried again each time."""


PARSERS: dict[str, Callable[[bytes], Parsed]] = {
    "markdown": _markdown,
    "text": _text,
    "html": _html,
    "pdf": _pdf,
}
