"""What can still be read of a damaged stream event.

Z.ai's gateway glues events: one is cut anywhere, even inside its first key, and the next begins on
the same line with its own `data: ` (zai-org/GLM-5#66, Kilo-Org/kilocode#9432). Valid JSON never
comes here, so a model may write `data: {...}` as it likes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final, cast

import orjson

_Json = dict[str, Any]

_BEGIN: Final = re.compile(r"data:\s*(?=\{|\[DONE\])")
_HIGH: Final = rb"\\u[dD][89abAB][0-9a-fA-F]{2}"
_LOW: Final = rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_SURROGATES: Final = re.compile(rb"(%b)(%b)?|(%b)" % (_HIGH, _LOW, _LOW))
_MARKS: Final = frozenset({"choices", "error", "usage"})


@dataclass(slots=True)
class Salvaged:
    """What a damaged event holds.

    Attributes:
        chunks: that are whole.
        text: what the cut one had begun to say, as a delta.
        done: whether it says [DONE].
        clean: whether it was one whole chunk after all.
    """

    chunks: list[_Json] = field(default_factory=list[_Json])
    text: _Json = field(default_factory=_Json)
    done: bool = False
    clean: bool = False


def salvage(payload: bytes) -> Salvaged:
    """Return what a damaged event still holds; no chunks when it cannot be read at all."""
    found = Salvaged()
    try:
        whole = orjson.loads(payload)
    except orjson.JSONDecodeError:
        pass
    else:
        found.clean = isinstance(whole, dict)
        found.chunks = [cast("_Json", whole)] if found.clean else []
        return found
    decoder = json.JSONDecoder(strict=False)
    for number, part in enumerate(_BEGIN.split(payload.decode("utf-8", "replace"))):
        text, at = part.strip(), 0
        while at < len(text):
            if text.startswith("[DONE]", at):
                found.done = True
                break
            try:
                chunk, at = decoder.raw_decode(text, at)
            except (ValueError, RecursionError):
                if number == 0 and at == 0:
                    found.text = _begun(text)
                break
            if isinstance(chunk, dict) and chunk.keys() & _MARKS:
                found.chunks.append(cast("_Json", chunk))
            while text[at : at + 1].isspace():
                at += 1
    return found


def paired(payload: bytes, half: bytes) -> tuple[bytes, bytes]:
    """Return a payload without half surrogate pairs, and the half that the next may complete.

    A server that counts UTF-16 units cuts an emoji in two; JSON has no word for half of one.

    Args:
        payload: of one event.
        half: what the last event left, as its JSON escape, or b"".
    """
    left = b""

    def whole(match: re.Match[bytes]) -> bytes:
        nonlocal half, left
        first, second, alone = match.groups()
        if second:
            return match.group()
        if alone:
            before, half = half, b""
            return before + alone if before else b"\\ufffd"
        left = first
        return b""

    return _SURROGATES.sub(whole, payload), left


def dump(value: Any) -> str:
    """Return JSON of a value that came as JSON."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # an integer beyond 64 bits
        return json.dumps(value)


def _begun(text: str) -> _Json:
    """Return the content and thinking that a cut chunk had begun; nothing else of it is sure."""
    from pydantic_core import from_json  # noqa: PLC0415 - only damage needs it

    try:
        chunk: Any = from_json(text, allow_partial="trailing-strings")
        delta = chunk["choices"][0]["delta"]
        found = {name: delta.get(name) for name in ("content", "reasoning_content", "reasoning")}
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return {}
    return {name: said for name, said in found.items() if isinstance(said, str) and said}


def text_of(value: Any) -> str:
    """Return the text of a content that is no string: parts as vision models get them."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(text_of, cast("list[object]", value)))
    if isinstance(value, dict):
        return text_of(cast("_Json", value).get("text") or "")
    return ""
