"""Mending the calls that servers damage; what stays broken is kept as the model wrote it.

Only what has one reading is mended. A call that is still broken gets a tool result that says what
is wrong, which costs a turn; a wrong guess would run something nobody asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final, cast

import orjson

from agentkit.messages import ToolCall
from agentkit.model.declared import Declared
from agentkit.model.leaked import TAGS, parse, without_stops

Mended = list[tuple[str, str]]
"""Calls as name and arguments: one for each that a server's call turns out to be."""

_MOST_UNQUOTED: Final = 20
_NEXT_MEMBER: Final = re.compile(r',\s*"[^"\\]*"\s*:')
_BARE_START: Final = re.compile(r'":\s*([^"{}\[\],:]*)$')
_LAST: Final = re.compile(r"\s*\}\s*$")
_LITERALS: Final = {"True": "true", "False": "false", "None": "null"}
_SHORTEST_NAME: Final = 3


def mend(
    name: str, pieces: Sequence[str], declared: Declared, *, whole: bool
) -> tuple[Mended, list[str]]:
    """Return the calls that a server's call stands for, and in words what was mended.

    Args:
        name: as the server sent it.
        pieces: of the arguments' text, as they came.
        declared: the request's tools.
        whole: whether the answer came to its end, so that a missing brace was lost, not cut off.
    """
    arguments = "".join(pieces)
    if "<" not in name and _is_sound(arguments):
        return _with_whole_name(name, arguments, declared)
    faults: list[str] = []
    if "<" in name:
        name, arguments = _tagged_name(name, arguments, declared, faults)
    texts = _arguments(arguments, pieces, faults, whole=whole)
    if any(TAGS.search(text) for text in texts):
        texts = [_untagged(name, text, declared, faults) for text in texts]
    calls: Mended = []
    for text in texts:
        done, said = _with_whole_name(name, text, declared)
        calls += done
        faults += said
    return calls, list(dict.fromkeys(faults))


def _is_sound(text: str) -> bool:
    if not text or text.isspace():
        return True
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return isinstance(value, dict) and ("arg_" not in text and "tool_call>" not in text)


def _with_whole_name(name: str, arguments: str, declared: Declared) -> tuple[Mended, list[str]]:
    """Return the call under its declared name, where the server cut the name or padded it."""
    if not declared or name in declared:
        return [(name, arguments)], []
    stripped = name.strip()
    if stripped in declared:
        return [(stripped, arguments)], [f"the name {name!r} had spaces around it"]
    full = declared.completed(stripped) if len(stripped) >= _SHORTEST_NAME else ""
    if full and _fits(full, arguments, declared):
        return [(full, arguments)], [f"the name {stripped!r} was cut short; it is {full}"]
    return [(name, arguments)], []


def _fits(name: str, arguments: str, declared: Declared) -> bool:
    """Whether the arguments are just such as the tool takes, so that its name is no guess."""
    given = _object(arguments or "{}")
    if given is None:
        return False
    return declared.required(name) <= set(given) <= set(declared.properties(name))


def _tagged_name(
    name: str, arguments: str, declared: Declared, faults: list[str]
) -> tuple[str, str]:
    """Split a name that still has template text in it: a stray tag, or the first arguments."""
    call = parse(name.replace("<tool_call>", ""), 0, declared)
    if call is None:
        bare = TAGS.split(name)[0].strip()
        if bare in declared or (bare and not declared):
            faults.append(f"the name {name!r} held a template tag; it is {bare}")
            return bare, arguments
        return name, arguments
    faults.append(f"the name {name!r} held template text; it is {call.name}")
    if not call.arguments:
        return call.name, arguments
    given = _object(arguments or "{}")
    if given is None:
        return call.name, arguments
    call.arguments |= given
    return call.name, call.json() or arguments


def _arguments(
    text: str, pieces: Sequence[str], faults: list[str], *, whole: bool
) -> Sequence[str]:
    """Return the arguments as JSON objects, several for a call that holds several."""
    stripped = without_stops(text).strip()
    if stripped in {"", "null"}:
        return [text]
    if found := _values(stripped):
        return _one_or_several(text, found, faults)
    if mended := _repeated(pieces):
        faults.append("the last piece of the arguments repeated them whole")
    elif whole and (mended := _braced(stripped)):
        faults.append("the arguments lacked an outer brace")
    elif whole and (mended := _quoted(stripped)):
        faults.append("a string among the arguments lacked its quotes")
    return [mended or text]


def _braced(text: str) -> str | None:
    for candidate in (f"{{{text}", f"{text}}}", f"{{{text}}}"):
        if _ends_well(text, candidate) and _object(candidate) is not None:
            return candidate
    return None


def _ends_well(text: str, candidate: str) -> bool:
    """Whether the last value is surely whole: a number may have lost digits, a string not."""
    return text[-1] in '"}]' or text.endswith(("true", "false", "null")) or candidate == "{" + text


def _values(text: str) -> list[dict[str, Any]]:
    """Return the JSON objects that a text consists of, or nothing if there is anything else."""
    decoder = json.JSONDecoder(strict=False, parse_constant=_refuse)
    found: list[dict[str, Any]] = []
    at = 0
    while at < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
            if isinstance(value, str):  # an object that was encoded twice
                value = decoder.decode(value)
        except (ValueError, RecursionError):
            rest = text[at:]
            return found if found and not TAGS.sub("", rest).strip("}] \t\r\n") else []
        if not isinstance(value, dict):
            return []
        found.append(cast("dict[str, Any]", value))
        while at < len(text) and text[at] in ", \t\r\n":
            at += 1
    return found


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _one_or_several(text: str, found: list[dict[str, Any]], faults: list[str]) -> Sequence[str]:
    distinct: list[dict[str, Any]] = []
    for one in found:
        if one not in distinct:
            distinct.append(one)
    distinct = [one for one in distinct if one] or distinct[:1]
    texts = [_dump(one) for one in distinct]
    if not all(texts):
        return [text]
    if len(texts) > 1:
        faults.append(f"the arguments held {len(texts)} JSON objects; each became a call")
    elif len(found) > 1:
        faults.append("the arguments were sent twice")
    elif _object(text) is not None:
        return [text]
    else:
        faults.append("the arguments were an object with something around it, or raw line breaks")
    return texts


def _repeated(pieces: Sequence[str]) -> str | None:
    """Return the last piece where it holds all pieces before it."""
    if len(pieces) < 2 or _object(last := pieces[-1]) is None:
        return None
    before = "".join(pieces[:-1])
    cumulative = all(b.startswith(a) for a, b in pairwise(pieces))
    return last if before.strip() and (last.startswith(before) or cumulative) else None


def _quoted(text: str) -> str | None:
    """Return the object with quotes around its bare strings, or None if that does not mend it."""
    mended: str | None = text if text.startswith("{") else "{" + text
    for _ in range(_MOST_UNQUOTED):
        if mended is None or _object(mended) is not None:
            return mended
        mended = _quote_first(mended)
    return None


def _quote_first(text: str) -> str | None:
    """Return the text with quotes around the first value that is no JSON, or None."""
    try:
        json.loads(text, strict=False)
    except json.JSONDecodeError as error:
        start = _BARE_START.search(text, 0, error.pos)
    except RecursionError:
        return None
    else:
        return None
    if start is None:
        return None
    at = start.start(1)
    end = _NEXT_MEMBER.search(text, at) or _LAST.search(text, at)
    bare = text[at : end.start()] if end else '"'
    value = bare.removesuffix('"')
    if end is None or '"' in value:
        return None
    written = _LITERALS.get(bare) or json.dumps(value, ensure_ascii=False)
    return text[:at] + written + text[end.start() :]


def _untagged(name: str, text: str, declared: Declared, faults: list[str]) -> str:
    """Return the arguments without the template tags that a server left in keys and values.

    A value is touched only where its tags cannot be its own: closing tags at its end that nothing
    in it opens, or a further declared argument behind them.
    """
    given = _object(text)
    if given is None:
        return text
    clean: dict[str, Any] = {}
    for written, value in given.items():
        key = TAGS.sub("", written).strip() if TAGS.search(written) else written
        if isinstance(value, str) and "</" in value and TAGS.search(value):
            clean |= _split_value(name, key, value, declared)
        else:
            clean[key] = value
    if clean == given:
        return text
    faults.append("template tags were taken out of the arguments")
    return _dump(clean) or text


def _split_value(name: str, key: str, value: str, declared: Declared) -> dict[str, Any]:
    first = TAGS.search(value)
    if first is None or not first.group().startswith("</"):
        return {key: value}
    rest = TAGS.sub("", value[first.start() :]).strip()
    if not rest:
        return {key: declared.value(name, key, value[: first.start()])}
    call = parse(f"{name}<arg_key>{key}</arg_key><arg_value>{value}", 0, declared)
    known = declared.properties(name)
    if call and len(call.arguments) > 1 and set(call.arguments) <= set(known):
        return call.arguments
    return {key: value}


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _dump(value: dict[str, Any]) -> str:
    """Return JSON, or "" for a value that JSON cannot hold, such as half a surrogate pair."""
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        orjson.loads(text)
    except (ValueError, RecursionError):
        return ""
    return text


def rejoin(call: ToolCall, rest: str, declared: Declared) -> ToolCall | None:
    """Return a call whose last value goes on in `rest`, up to the end of the call there."""
    given = _object(call.arguments or "{}")
    if not given or not isinstance(list(given.values())[-1], str):
        return None
    *_, (key, value) = given.items()
    written = f"{call.name}<arg_key>{key}</arg_key><arg_value>{value}</arg_value>{rest}"
    found = parse(written, 0, declared)
    if found is None or not found.closed or written[found.end :].strip():
        return None
    text = _dump(given | found.arguments)
    return ToolCall(call.id, call.name, text) if text else None
