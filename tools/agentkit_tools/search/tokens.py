"""From text to index tokens, the same for documents and queries of every language.

CJK and other scripts without spaces become character pairs; ASCII words get English stems and
Cyrillic words Russian ones, by script and not by a guessed language, because a short query is
guessed differently from a long document. `GLM-4.7-FlashX` becomes `glm4.7flashx`, `glm`, `4.7`
and `flashx`. A token holds letters, digits, combining marks and full stops, nothing else.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import import_module
from importlib.metadata import version
from itertools import groupby
from typing import Any, Protocol, cast

from agentkit_tools.search.stopwords import STOP_WORDS

MAX_TOKEN = 64
"""Longer words (hashes, base64) are cut: nobody types them whole."""

# Scripts written without spaces: Thai to Myanmar, Khmer, Kana, Han and Hangul, all extensions.
UNSPACED = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1100, 0x11FF), (0x1780, 0x17FF), (0x3005, 0x3007),
    (0x3040, 0x312F), (0x3130, 0x318F), (0x31A0, 0x31BF), (0x31F0, 0x31FF), (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF), (0xA960, 0xA97F), (0xAC00, 0xD7FF), (0xF900, 0xFAFF), (0x1B000, 0x1B16F),
    (0x20000, 0x323AF),
)  # fmt: skip

UNSPACED_RUN = re.compile(f"[{''.join(f'{chr(low)}-{chr(high)}' for low, high in UNSPACED)}]+")

# Letters that Unicode does not take apart, and invisible characters that stand inside words.
LETTERS = str.maketrans(
    {
        "ł": "l", "ø": "o", "đ": "d", "æ": "ae", "œ": "oe", "\u0131": "i",
        "\u00ad": None, "\u200b": None, "\u200c": None, "\u200d": None, "\u2060": None,
        "\ufeff": None, "\u2010": "-", "\u2011": "-", "\u2019": "'", "\u02bc": "'",
    }
)  # fmt: skip

ASCII_COMPOUND = re.compile(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*")
ASCII_ATOM = re.compile(r"\d+(?:\.\d+)*|[a-z]+")
ELISION = re.compile(r"(?<!\w)(?:[a-z]|qu)'(?=\w)|(?<=\w)'(?:s|t|d|m|ll|re|ve)(?!\w)")
THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
# Accents to drop: all but the breve of Cyrillic (group 1), which makes й another letter.
ACCENT = re.compile(r"((?<=[\u0400-\u04ff])\u0306)|[\u0300-\u036f]")
DECIMAL_COMMA = re.compile(r"(?<![\d.,])(\d+),(\d{1,2})(?![\d.,])")


class Stemmer(Protocol):
    """The part of snowballstemmer that is used here."""

    def stemWord(self, word: str, /) -> str:  # noqa: N802 - snowballstemmer's name
        """Return the stem of a lower-case word."""
        ...


@dataclass(frozen=True, slots=True)
class Term:
    """One token of a query.

    Attributes:
        token: as in the index.
        prefix: whether longer tokens match too; so one CJK character finds its pairs.
    """

    token: str
    prefix: bool = False


def index_tokens(text: str) -> list[str]:
    """Return the tokens of a passage in order, repeats included."""
    tokens: list[str] = []
    for run, word in _words(normalized(text)):
        if word:
            tokens.extend(_parts(word))
        else:
            # The last character stands alone too, so that a prefix search finds every character.
            tokens.extend([run[at : at + 2] for at in range(len(run))])
    return tokens


def query_terms(text: str) -> tuple[Term, ...]:
    """Return the distinct terms of a query, without stop words unless it has nothing else."""
    kept: dict[Term, None] = {}
    dropped: dict[Term, None] = {}
    for run, word in _words(normalized(text)):
        if word:
            terms = [Term(token) for token in _parts(word)]
            (dropped if word in STOP_WORDS else kept).update(dict.fromkeys(terms))
        elif len(run) == 1:
            (dropped if run in STOP_WORDS else kept)[Term(run, prefix=True)] = None
        else:
            for at in range(len(run) - 1):
                pair = run[at : at + 2]
                (dropped if pair in STOP_WORDS else kept)[Term(pair)] = None
    return tuple(kept or dropped)


def normalized(text: str) -> str:
    """Fold case, width, diacritics and the ways of writing numbers; line breaks stay."""
    text = text.lower() if text.isascii() else _folded(text)
    if "'" in text:
        text = ELISION.sub(" ", text)
    if "," in text:
        text = THOUSANDS.sub(lambda match: match[0].replace(",", ""), text)
        text = DECIMAL_COMMA.sub(r"\1.\2", text)
    return text


def fingerprint() -> str:
    """Name this tokenizer; an index made by another one has to be rebuilt."""
    return f"tokens-1 snowball-{version('snowballstemmer')} unicode-{unicodedata.unidata_version}"


def unspaced_length(text: str) -> int:
    """Count the characters of scripts that are written without spaces."""
    return 0 if text.isascii() else sum(map(len, UNSPACED_RUN.findall(text)))


def _folded(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).casefold().translate(LETTERS)
    text = unicodedata.normalize("NFKC", text)  # casefold may leave compatibility forms
    return unicodedata.normalize("NFC", ACCENT.sub(r"\1", unicodedata.normalize("NFD", text)))


def _words(text: str) -> list[tuple[str, str]]:
    """Return, in order, runs of scripts without spaces (first) or words and compounds (second)."""
    if text.isascii():
        return [("", word) for word in ASCII_COMPOUND.findall(text)]
    return _patterns()[0].findall(text)


@lru_cache(maxsize=100_000)
def _parts(word: str) -> tuple[str, ...]:
    """Return the stem of a word, or a compound as a whole and in parts."""
    atoms: list[str] = (ASCII_ATOM if word.isascii() else _patterns()[1]).findall(word)
    if len(atoms) == 1:
        return (_stem(atoms[0]),)
    whole = re.sub(r"[-_]|(?<!\d)\.|\.(?!\d)", "", word)
    tokens = [whole] if len(whole) <= MAX_TOKEN else []
    if len(atoms) <= 3 or not word.isalnum():
        # A lone letter is a unit (744b) or half of a name (k2.5): only the whole says anything.
        tokens.extend(_stem(atom) for atom in atoms if len(atom) > 1 or not atom.isalpha())
    return tuple(tokens) or (word[:MAX_TOKEN],)


def _stem(word: str) -> str:
    word = word[:MAX_TOKEN]
    if not word.isalpha():
        return word
    if word.isascii():
        language = "english"
    elif all("\u0400" <= letter <= "\u04ff" for letter in word):
        language = "russian"
    else:
        return word
    stemmer, lock = _stemmer(language)
    with lock:
        return stemmer.stemWord(word) or word


@cache
def _stemmer(language: str) -> tuple[Stemmer, threading.Lock]:
    """Load a stemmer; it works in place on its own state, hence the lock."""
    package: Any = import_module("snowballstemmer")  # optional, untyped, and slow to load
    return cast("Stemmer", package.stemmer(language)), threading.Lock()


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    r"""Build the patterns for words and their parts from Unicode's categories.

    Python's `\w` lacks combining marks and would cut Devanagari inside words. Scripts above
    U+1FFFF are all unspaced ones, so that the walk over the categories can stop there.
    """
    letters, digits, marks = (_class(kind) for kind in "LNM")
    word = f"[{letters}{digits}][{letters}{digits}{marks}]*"
    return (
        re.compile(f"({UNSPACED_RUN.pattern})|({word}(?:[-_.]{word})*)"),
        re.compile(rf"[{digits}]+(?:\.[{digits}]+)*|[{letters}][{letters}{marks}]*"),
    )


@cache
def _categories() -> dict[str, list[tuple[int, int]]]:
    """Return the spans of characters by the first letter of their category, unspaced left out."""
    spans: dict[str, list[tuple[int, int]]] = {}
    edges = [0, *(edge for low, high in UNSPACED[:-1] for edge in (low, high + 1)), UNSPACED[-1][0]]
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        codes = range(begin, end)
        for kind, group in groupby(codes, lambda code: unicodedata.category(chr(code))[0]):
            members = list(group)
            spans.setdefault(kind, []).append((members[0], members[-1]))
    return spans


def _class(kind: str) -> str:
    """Write the characters of a category as the inside of a regex class."""
    return "".join(f"{chr(low)}-{chr(high)}" for low, high in _categories()[kind])
