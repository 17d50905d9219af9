"""Docstrings: the description of a function and of each parameter, whatever the style.

Google, NumPy, reST (Sphinx) and Epytext are read in one pass, so a mixed docstring works too.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

_PARAMETER_TITLES = frozenset(
    {"args", "arguments", "parameters", "params", "keyword args", "keyword arguments"}
    | {"other parameters", "keyword parameters"}
)
_RETURN_TITLES = frozenset({"returns", "return"})
# What a caller in Python needs and a model does not.
_DROPPED_TITLES = frozenset(
    {"raises", "raise", "except", "exceptions", "warns", "attributes", "see also", "references"}
    | {"yields", "yield", "methods", "todo"}
)
_TITLES = _PARAMETER_TITLES | _RETURN_TITLES | _DROPPED_TITLES

_FIELD = re.compile(r"^[:@](\w+)(?:\s+([^:]*?))?\s*:(?:\s+(.*))?$")
_PARAMETER_FIELDS = frozenset({"param", "parameter", "arg", "argument", "key", "keyword"})
_RETURN_FIELDS = frozenset({"return", "returns"})
_OTHER_FIELDS = frozenset(
    {"type", "rtype", "raise", "raises", "except", "exception", "var", "ivar", "cvar", "vartype"}
)
_FIELDS = _PARAMETER_FIELDS | _RETURN_FIELDS | _OTHER_FIELDS
_GOOGLE_ENTRY = re.compile(r"^\*{0,2}(\w+)\s*(?:\(.*?\))?\s*:(?:\s+(.*))?$")
_NUMPY_ENTRY = re.compile(r"^(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?$")


@dataclass(frozen=True, slots=True)
class Docstring:
    """What a docstring says.

    Attributes:
        description: the text for the model: everything but parameters and errors.
        parameters: name to description, each on one line.
    """

    description: str = ""
    parameters: dict[str, str] = field(default_factory=dict[str, str])


def parse_docstring(text: str | None) -> Docstring:
    """Return what a docstring says; any text is accepted."""
    if not text or not text.strip():
        return Docstring()
    plain: list[str] = []
    returns: list[str] = []
    parameters: dict[str, str] = {}
    for title, numpy, lines in _sections(inspect.cleandoc(text).splitlines()):
        if title is None:
            plain += _read_fields(lines, parameters, returns)
        elif title in _PARAMETER_TITLES:
            _read_parameters(lines, parameters, numpy=numpy)
        elif title in _RETURN_TITLES:
            returns += lines
    description = re.sub(r"\n{3,}", "\n\n", "\n".join(plain)).strip()
    if said := _one_line(returns):
        description = f"{description}\n\nReturns: {said}".strip()
    return Docstring(description, parameters)


def _sections(lines: list[str]) -> Iterator[tuple[str | None, bool, list[str]]]:
    """Yield (title, whether NumPy style, lines); title None is plain text."""
    title: str | None = None
    numpy = False
    block: list[str] = []
    index = 0
    while index < len(lines):
        line = lines[index]
        found = _title_at(lines, index)
        leaves_google = title and not numpy and line and not line[0].isspace()
        if found or leaves_google:
            yield title, numpy, block
            title, numpy, block = None, False, []
        if found:
            title, numpy = found
            index += 2 if numpy else 1
            continue
        block.append(line)
        index += 1
    yield title, numpy, block


def _title_at(lines: list[str], index: int) -> tuple[str | None, bool] | None:
    """Return (title, whether NumPy style) when a section starts here."""
    line = lines[index].rstrip()
    below = lines[index + 1].strip() if index + 1 < len(lines) else ""
    if line and not line[0].isspace() and len(below) >= 3 and set(below) == {"-"}:
        title = line.lower()
        return (title if title in _TITLES else None), True
    if line.endswith(":") and line[:-1].lower() in _TITLES:
        return line[:-1].lower(), False
    return None


def _read_parameters(lines: list[str], parameters: dict[str, str], *, numpy: bool) -> None:
    block = inspect.cleandoc("\n" + "\n".join(lines)).splitlines()
    names: list[str] = []
    said: list[str] = []

    def keep() -> None:
        for name in names:
            parameters.setdefault(name, _one_line(said))

    for line in block:
        entry = None
        if line and not line[0].isspace():
            entry = (_NUMPY_ENTRY if numpy else _GOOGLE_ENTRY).match(line)
        if entry is None:
            said.append(line)
            continue
        keep()
        names = [name.strip().lstrip("*") for name in entry[1].split(",")]
        said = [] if numpy else [entry[2] or ""]
    keep()


def _read_fields(lines: list[str], parameters: dict[str, str], returns: list[str]) -> list[str]:
    """Read the reST and Epytext fields, and return the lines that belong to none."""
    plain: list[str] = []
    fields: list[tuple[str, str, list[str]]] = []
    inside = False
    for line in lines:
        entry = _FIELD.match(line)
        if entry and entry[1] in _FIELDS:
            inside = True
            fields.append((entry[1], entry[2] or "", [entry[3] or ""]))
        elif inside and line[:1].isspace():
            fields[-1][2].append(line)
        else:
            inside = False
            plain.append(line)
    for kind, subject, said in fields:
        if kind in _PARAMETER_FIELDS and subject:
            # ":param int top_k:" carries the type before the name.
            parameters.setdefault(subject.split()[-1].lstrip("*"), _one_line(said))
        elif kind in _RETURN_FIELDS:
            returns += said
    return plain


def _one_line(lines: Iterable[str]) -> str:
    return " ".join(" ".join(lines).split())
