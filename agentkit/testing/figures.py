"""Figures in Markdown tables: what the rehearsal model reads out of search results."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

RIVALS = ("gpt", "claude", "gemini", "kimi", "deepseek", "qwen", "llama", "grok")
_NUMBER = re.compile(r"[~≈$€¥\s]*(-?\d+(?:[.,]\d+)?)\s*[%$]?(?:\s*/\s*M)?(?:\s*USD)?")
_HIT = re.compile(r"^\[\d+\] (?P<document>.*?):(?P<start>\d+)-(?P<end>\d+)(?: \||$)")
_NUMBERED = re.compile(r"^\s*(\d+)\s*[|:\t] ?(.*)$")
_INPUT = re.compile(r"input|entr[ae]d?|entrée|вход|ввод|输入", re.IGNORECASE)
_OUTPUT = re.compile(r"output|salida|sortie|выход|вывод|输出", re.IGNORECASE)
_CACHED = re.compile(r"cach|кэш|缓存", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a document, as a tool result showed it."""

    document: str
    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """A Markdown table: header cells, and rows of cells with the line each stands on."""

    document: str
    start: int
    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]

    @property
    def end(self) -> int:
        """Line of the last row."""
        return self.rows[-1][0] if self.rows else self.start


@dataclass(frozen=True, slots=True)
class Figure:
    """One number with its source.

    Attributes:
        subject: benchmark, or kind of price ("input", "output").
        model: the model that it is about.
        value: per cent, points or USD.
        document: where it stands.
        line: its line there.
    """

    subject: str
    model: str
    value: float
    document: str
    line: int


def hit_lines(output: str) -> Iterator[Line]:
    """Yield the document lines that a `search_documents` result shows."""
    block: list[str] = []
    head: re.Match[str] | None = None
    for text in [*output.splitlines(), "[0] :0-0"]:
        found = _HIT.match(text)
        if not found:
            block.append(text)
            continue
        if head:
            yield from _numbered(head, block)
        head, block = found, []


def _numbered(head: re.Match[str], block: Sequence[str]) -> Iterator[Line]:
    """Number a passage's lines; lines repeated before it (a table's header) count backwards."""
    start, end = int(head["start"]), int(head["end"])
    lines = list(block)
    while lines and not lines[-1].strip():
        lines.pop()
    first = start - max(0, len(lines) - (end - start + 1))
    for number, text in enumerate(lines, first):
        yield Line(head["document"], number, text)


def read_lines(document: str, output: str) -> Iterator[Line]:
    """Yield the document lines that a `read_document` result shows."""
    for text in output.splitlines():
        if found := _NUMBERED.match(text):
            yield Line(document, int(found[1]), found[2])


def tables(lines: Iterable[Line]) -> list[Table]:
    """Return the Markdown tables among lines, in order, each once."""
    found: dict[tuple[str, int], Table] = {}
    block: list[Line] = []
    for line in [*lines, Line("", 0, "")]:
        last = block[-1] if block else None
        follows = last and last.document == line.document and last.number + 1 == line.number
        if block and not (follows and _cells(line.text)):
            _add(found, block)
            block = []
        if _cells(line.text):
            block.append(line)
    return list(found.values())


def scores(table: Table) -> list[Figure]:
    """Return benchmark scores of GLM-5 and its rivals, in points of 0 to 100.

    Empty unless the table has a GLM-5 column and a rival's column.
    """
    models = {
        index: name
        for index, name in enumerate(map(_plain, table.header))
        if index and (name.lower() == "glm-5" or _is_rival(name))
    }
    if len(models) < 2 or "glm-5" not in {name.lower() for name in models.values()}:
        return []
    figures: list[Figure] = []
    for line, cells in table.rows:
        row = [
            Figure(_plain(cells[0]), name, value, table.document, line)
            for index, name in models.items()
            if index < len(cells) and (value := number(cells[index])) is not None
        ]
        about = {figure.model.lower() for figure in row}
        if len(about) > 1 and "glm-5" in about and all(0 < figure.value <= 100 for figure in row):
            figures += row
    return figures


def prices(table: Table) -> list[Figure]:
    """Return input and output prices of GLM-5 and its rivals, in USD per million tokens.

    Empty unless each row is a model and the header names input and output.
    """
    kinds: dict[str, int] = {}
    for index, name in enumerate(table.header):
        if index and not _CACHED.search(name):
            if _INPUT.search(name):
                kinds.setdefault("input", index)
            elif _OUTPUT.search(name):
                kinds.setdefault("output", index)
    if len(kinds) < 2:
        return []
    return [
        Figure(kind, _plain(cells[0]), value, table.document, line)
        for line, cells in table.rows
        for kind, index in kinds.items()
        if (_plain(cells[0]).lower() == "glm-5" or _is_rival(cells[0]))
        and index < len(cells)
        and (value := number(cells[index])) is not None
    ]


def number(cell: str) -> float | None:
    """Return the number that is all a cell holds, or None; a span of two numbers is none."""
    found = _NUMBER.fullmatch(_plain(cell))
    return float(found[1].replace(",", ".")) if found else None


def differences(figures: Sequence[Figure]) -> list[tuple[Figure, Figure]]:
    """Return pairs of figures on the same thing with different values, each pair once.

    Versions of a rival count as one model here ("Claude Opus 4.5" and "4.6"), because a source
    that names another version is just what a reader should be told.
    """
    first: dict[tuple[str, str], Figure] = {}
    found: dict[tuple[str, str, float], tuple[Figure, Figure]] = {}
    for figure in figures:
        key = (_key(figure.subject), _family(figure.model))
        known = first.setdefault(key, figure)
        if known.value != figure.value:
            found.setdefault((*key, figure.value), (known, figure))
    return list(found.values())


def _add(found: dict[tuple[str, int], Table], block: Sequence[Line]) -> None:
    if len(block) < 3 or not re.fullmatch(r"[\s|:-]+", block[1].text):
        return
    head = block[0]
    rows = tuple((line.number, _cells(line.text)) for line in block[2:])
    table = Table(head.document, head.number, _cells(head.text), rows)
    key = (head.document, head.number)
    if key not in found or len(found[key].rows) < len(rows):
        found[key] = table


def _cells(text: str) -> tuple[str, ...]:
    text = text.strip()
    if not (text.startswith("|") and text.endswith("|") and len(text) > 2):
        return ()
    return tuple(cell.strip() for cell in text[1:-1].split("|"))


def _plain(cell: str) -> str:
    return re.sub(r"[*`]", "", cell).strip()


def _is_rival(name: str) -> bool:
    return any(word in name.lower() for word in RIVALS)


def _key(subject: str) -> str:
    name = re.sub(r"[(（].*?[)）]|(w/|with|avec|con) \w+", "", subject.lower().replace("’", "'"))
    name = name.replace("humanity's last exam", "hle").replace("verified", "")
    return re.sub(r"[^a-z]+", "", name) + "".join(re.findall(r"20\d\d", name))


def _family(model: str) -> str:
    return "glm-5" if model.lower() == "glm-5" else re.sub(r"[^a-z]+", "", model.lower())
