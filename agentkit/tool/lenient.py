"""Reading JSON that a model wrote almost right: only what has one reading, and all of it.

Nothing is dropped but words around the object, and those are quoted in what is reported. Text that
stops before its object is closed is never completed: what it lost cannot be known.
"""

from __future__ import annotations

import re
from typing import Any, Final, NoReturn, cast

from pydantic_core import from_json

_DEEPEST: Final = 100
_FENCE: Final = re.compile(r"\s*```[\w-]*[ \t]*\n(.*?)\n?[ \t]*```\s*", re.DOTALL)
_SPACE: Final = re.compile(r"\s*")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![\w.])")
_WORD: Final = re.compile(r"[A-Za-z_$][\w$-]*")
_WORDS: Final = {"true": True, "false": False, "null": None}
_PYTHON: Final = {"True": True, "False": False, "None": None}
_CLOSING: Final = {'"': '"', "'": "'", "\u201c": "\u201d"}
_STRINGS: Final = {
    quote: re.compile(rf"[^\\{end}]*(?:\\.[^\\{end}]*)*{end}", re.DOTALL)
    for quote, end in _CLOSING.items()
}
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_LETTERS: Final = frozenset("bfnrtu")
_JSON_ESCAPES: Final = frozenset('"\\/') | _LETTERS
_PYTHON_ESCAPES: Final = frozenset("xUNav01234567\n")
"""Escapes that mean something else in Python, from which models borrow."""

_DATA: Final = frozenset("{}[]\"':=")
"""Characters that may carry data: words around the object must not hold them."""


def read(text: str) -> tuple[Any, list[str]]:
    """Return the JSON value that a text means, and in words what was mended to read it.

    Mended are: a code fence, words before or after the object, raw control characters and
    backslashes that escape nothing in a string, single or curly quotes, keys without quotes,
    Python's True, False and None, commas too many, and a list or object that is closed only by
    the bracket of the one around it.

    Raises:
        ValueError: the text has no reading, or more than one.
    """
    text.encode()  # half a surrogate pair cannot be sent on
    said: list[str] = []
    if fenced := _FENCE.fullmatch(text):
        text = fenced[1]
        said.append("took off a code fence")
    start = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=0)
    if before := text[:start].strip(" \t\r\n\ufeff"):
        if _DATA & set(before):
            raise ValueError(f"{before[:40]!r} stands before the object")
        said.append(f"left out {_clipped(before)} before the object")
    reader = _Reader(text, start, said)
    value = reader.value(0)
    if after := text[reader.at :].strip().lstrip("}],; \t\r\n"):
        if _DATA & set(after):
            raise ValueError(f"{after[:40]!r} stands after the object")
        said.append(f"left out {_clipped(after)} after the object")
    elif text[reader.at :].strip():
        said.append("left out a bracket or comma after the object")
    return value, list(dict.fromkeys(said))


def _clipped(text: str) -> str:
    return repr(text) if len(text) <= 200 else f"{text[:200]!r}... ({len(text)} characters)"


class _Reader:
    """A recursive descent over one text."""

    def __init__(self, text: str, at: int, said: list[str]) -> None:
        self.text = text
        self.at = at
        self.said = said
        self._open: list[str] = []

    def value(self, depth: int) -> Any:
        if depth > _DEEPEST:
            self._fail("it is nested too deep")
        match self._next():
            case "{":
                return self._object(depth)
            case "[":
                return self._list(depth)
            case quote if quote in _CLOSING:
                return self._string(quote)
            case _:
                return self._scalar()

    def _next(self) -> str:
        space = _SPACE.match(self.text, self.at)
        assert space is not None
        self.at = space.end()
        return self.text[self.at : self.at + 1]

    def _fail(self, why: str) -> NoReturn:
        raise ValueError(f"{why}, near {self.text[max(0, self.at - 20) : self.at + 20]!r}")

    def _object(self, depth: int) -> dict[str, Any]:
        self._enter("}")
        found: dict[str, Any] = {}
        while not self._closed("}"):
            key = self._key()
            if self._next() != ":":
                self._fail("a ':' is missing after a name")
            self.at += 1
            if key in found:
                self._fail(f"{key!r} has two values")
            found[key] = self.value(depth + 1)
            self._separate("}")
        return found

    def _list(self, depth: int) -> list[Any]:
        self._enter("]")
        found: list[Any] = []
        while not self._closed("]"):
            found.append(self.value(depth + 1))
            self._separate("]")
        return found

    def _enter(self, closing: str) -> None:
        self.at += 1
        self._open.append(closing)

    def _closed(self, closing: str) -> bool:
        """Whether the list or object ends here, by its own bracket or by the one around it."""
        here = self._next()
        if here == closing:
            self.at += 1
        elif here and here in "}]" and here in self._open:
            kind = "an object" if closing == "}" else "a list"
            self.said.append(f"closed {kind} that was left open")
        else:
            return False
        self._open.pop()
        return True

    def _separate(self, closing: str) -> None:
        here = self._next()
        if here == ",":
            self.at += 1
            if self._next() == closing:
                self.said.append("left out a comma too many")
        elif not here or here not in "}]":
            self._fail("a ',' or a closing bracket is missing")

    def _key(self) -> str:
        if (quote := self._next()) in _CLOSING:
            return self._string(quote)
        word = _WORD.match(self.text, self.at)
        if word is None:
            self._fail("a name is missing")
        self.at = word.end()
        self.said.append("put quotes around names")
        return word[0]

    def _scalar(self) -> Any:
        if number := _NUMBER.match(self.text, self.at):
            self.at = number.end()
            return from_json(number[0], allow_inf_nan=False)
        word = _WORD.match(self.text, self.at)
        if word is None or word[0] not in {**_WORDS, **_PYTHON}:
            self._fail("a value is missing or has no quotes")
        self.at = word.end()
        if word[0] in _PYTHON:
            self.said.append("read Python's True, False and None")
            return _PYTHON[word[0]]
        return _WORDS[word[0]]

    def _string(self, quote: str) -> str:
        found = _STRINGS[quote].match(self.text, self.at + 1)
        if found is None:
            self._fail("a string has no end")
        body = found[0][:-1]
        if quote != '"':
            self.said.append("read other quotes as double quotes")
            body = body.replace("\\'", "'") if quote == "'" else body
            body = re.sub(r'(\\.)|"', lambda one: one[1] or '\\"', body, flags=re.DOTALL)
        body = self._mended_escapes(body)
        if re.search(r"[\x00-\x1f]", body):
            self.said.append("accepted raw control characters inside a string")
            body = re.sub(r"[\x00-\x1f]", lambda one: f"\\u{ord(one[0]):04x}", body)
        self.at = found.end()
        return cast("str", from_json(f'"{body}"'))

    def _mended_escapes(self, body: str) -> str:
        """Return a string's body with escapes that JSON knows."""
        escapes = set(_ESCAPE.findall(body))
        strange = escapes - _JSON_ESCAPES
        if not strange:
            return body
        # Where one backslash stands for itself, a \n beside it may be a letter or a line break.
        if strange & _PYTHON_ESCAPES or (strange - {"'"} and escapes & _LETTERS):
            self._fail("a backslash escapes nothing, so what was meant is in doubt")
        self.said.append("took backslashes that escape nothing as they are")
        return _ESCAPE.sub(_as_json_escape, body)


def _as_json_escape(found: re.Match[str]) -> str:
    if found[1] == "'":
        return "'"
    return found[0] if found[1] in _JSON_ESCAPES else f"\\\\{found[1]}"
