"""GLM's own tool-call text, where a server let it through instead of parsing it.

GLM writes `<tool_call>name<arg_key>key</arg_key><arg_value>value</arg_value></tool_call>`, strings
raw and all else as JSON (chat template of GLM-4.5 to 5.3). A server whose parser is missing or
fails leaves that in the content or in the thinking (vllm#46040, zai-org/GLM-5#84).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final, cast

import orjson

from agentkit.model.declared import Declared

TAGS: Final = re.compile(r"</?(?:tool_call|arg_key|arg_value)>")
_OPEN: Final = "<tool_call>"
_CLOSE: Final = "</tool_call>"
_KEY: Final = "<arg_key>"
_KEY_END: Final = "</arg_key>"
_VALUE: Final = "<arg_value>"
_VALUE_END: Final = "</arg_value>"
_START: Final = re.compile(r"<tool_call>|(?:^|(?<=[\s>]))[a-zA-Z0-9_-]{1,64}\s*(?=<arg_key>)")
_ENDS: Final = re.compile(r"\s*(?:$|</tool_call>|<tool_call>|<\|)")
_NEXT_KEY: Final = re.compile(r"\s*<arg_key>\s*([^<]*?)\s*</arg_key>")
_BOTH_ENDS: Final = re.compile(r"</arg_value>\s*</tool_call>")
_ORPHAN_KEY: Final = re.compile(r"[^<\n]*</arg_key>")
_SPACE: Final = re.compile(r"\s*")
_STOPS: Final = (
    "<|user|>",
    "<|assistant|>",
    "<|observation|>",
    "<|system|>",
    "<|endoftext|>",
    "[gMASK]",
    "<sop>",
    "\ufffd",
)


@dataclass(slots=True)
class Leaked:
    """One call found in text, at `text[start:end]`; `closed` when its end was written."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])
    start: int = 0
    end: int = 0
    closed: bool = False

    def json(self) -> str:
        """Return the arguments as JSON; "" when they cannot be written as such."""
        try:
            text = json.dumps(self.arguments, ensure_ascii=False, separators=(",", ":"))
            orjson.loads(text)
        except (ValueError, RecursionError):
            return ""
        return text


def without_stops(text: str) -> str:
    """Return the text without stop tokens and damaged characters at its end."""
    kept = text
    while True:
        bare = kept.rstrip()
        stop = next((stop for stop in _STOPS if bare.endswith(stop)), None)
        if stop is None:
            return text if len(kept) == len(text) else bare
        kept = bare[: -len(stop)]


def find(text: str, declared: Declared, *, whole: bool) -> list[Leaked]:
    """Return the calls of declared tools that a text holds, in order.

    Text that quotes a call, in a code fence or after a backtick, is left alone.

    Args:
        text: content or thinking of an answer.
        declared: the tools that may be called.
        whole: whether the answer came to its end; if not, an unclosed call is left alone.
    """
    found: list[Leaked] = []
    at = 0
    while match := _START.search(text, at):
        at = match.end()
        if _is_quoted(text, match.start()):
            continue
        opened = match.group() == _OPEN
        call = parse(text, at if opened else match.start(), declared)
        if call is None or not (call.closed or (whole and (opened or call.arguments))):
            continue
        if not call.json():
            continue
        call.start = match.start()
        found.append(call)
        at = max(at, call.end)
    return found


def _is_quoted(text: str, at: int) -> bool:
    return text[at - 1 : at] == "`" or text.count("```", 0, at) % 2 == 1


def parse(text: str, start: int, declared: Declared) -> Leaked | None:
    """Return the call whose name begins at `start`, or None when no declared tool is named."""
    start = _skip(text, start)
    if text.startswith("{", start):
        return _as_json(text, start, declared)
    tag = TAGS.search(text, start)
    end = tag.start() if tag else len(text)
    head = without_stops(text[start:end]).strip()
    first = None
    if tag and tag.group() == _KEY_END:  # vllm PR #47190: the opening key tag is missing
        name = declared.longest_at(head)
        first, end = head[len(name) :].strip(), tag.end()
    else:
        name = head
    if name not in declared:
        return None
    call = Leaked(name, end=end)
    if first:
        _take_value(text, first, call, declared)
    _pairs(text, call, declared)
    return call


def _pairs(text: str, call: Leaked, declared: Declared) -> None:
    """Read keys and values from `call.end` on."""
    while True:
        at = _skip(text, call.end)
        if text.startswith(_CLOSE, at):
            call.end, call.closed = at + len(_CLOSE), True
            return
        if text.startswith(_KEY, at):
            at += len(_KEY)
            tag = TAGS.search(text, _past(text, at, _KEY))
            if tag is None:
                call.end = len(text)
                return
            key = TAGS.sub("", text[at : tag.start()]).strip()
            call.end = tag.end() if tag.group() == _KEY_END else tag.start()
            _take_value(text, key, call, declared)
        elif text.startswith((_VALUE_END, _KEY_END), at):
            call.end = at + len(_KEY_END if text.startswith(_KEY_END, at) else _VALUE_END)
        elif orphan := _ORPHAN_KEY.match(text, at):  # the key's opening tag is missing
            key = orphan.group()[: -len(_KEY_END)].strip()
            call.end = orphan.end()
            _take_value(text, key, call, declared)
        else:
            return


def _take_value(text: str, key: str, call: Leaked, declared: Declared) -> None:
    at = _past(text, call.end, _KEY_END)
    start = _skip(text, at)
    if text.startswith(_VALUE, start):  # vllm#49248: the opening tag may be missing
        at = start + len(_VALUE)
    end, call.end = _value_end(text, at, call.name, declared)
    call.arguments[key] = declared.value(call.name, key, text[at:end])


def _value_end(text: str, start: int, name: str, declared: Declared) -> tuple[int, int]:
    """Return where a value ends and where its closing tag does.

    A value may hold closing tags of its own (code that edits templates): one counts only where
    the grammar can go on after it, and where no call's end follows that has no beginning.
    """
    known = declared.properties(name)
    at, first = start, None
    while (at := text.find(_VALUE_END, at)) >= 0:
        after = at + len(_VALUE_END)
        first = first if first is not None else at
        key = _NEXT_KEY.match(text, after)
        if key:
            if not known or key.group(1) in known:
                return at, after
        elif _ENDS.match(text, after) and not _closes_again(text, after):
            return at, after
        at = after
    if first is not None:
        return first, first + len(_VALUE_END)
    close = text.find(_CLOSE, start)
    if close >= 0:
        return close, close
    return start + len(without_stops(text[start:])), len(text)


def _closes_again(text: str, at: int) -> bool:
    """Whether another end of a call follows before the next beginning."""
    limit = text.find(_OPEN, at)
    start = _skip(text, at) + len(_CLOSE)
    return bool(_BOTH_ENDS.search(text, start, limit if limit >= 0 else len(text)))


def _as_json(text: str, start: int, declared: Declared) -> Leaked | None:
    """Read `{"name": ..., "arguments": {...}}`, the form of other models' templates."""
    try:
        value, end = json.JSONDecoder(strict=False).raw_decode(text, start)
        name: Any = value.get("name")
        arguments: Any = value.get("arguments", value.get("parameters", {}))
        if isinstance(arguments, str):
            arguments = orjson.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return None
    if not isinstance(arguments, dict) or not isinstance(name, str) or name not in declared:
        return None
    after = _skip(text, end)
    closed = text.startswith(_CLOSE, after)
    given = cast("dict[str, Any]", arguments)
    return Leaked(name, given, end=after + len(_CLOSE) if closed else end, closed=True)


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _past(text: str, at: int, tag: str) -> int:
    """Return the position after any repetitions of a tag (vllm PR #54971)."""
    while text.startswith(tag, _skip(text, at)):
        at = _skip(text, at) + len(tag)
    return at


def without(text: str, calls: list[Leaked]) -> str:
    """Return the text without the calls, and without what a lost parse leaves around them."""
    kept: list[str] = []
    at = 0
    for call in calls:
        kept.append(text[at : call.start])
        at = call.end
    kept.append(text[at:])
    parts = [part.strip() for part in kept]
    return "\n\n".join(part for part in parts if part)


_MARK: Final = re.compile(r"<tool_call>|<arg_key>|<\|(?:user|assistant|observation|endoftext)\|>")
_MARKS: Final = (_OPEN, _KEY, "<|user|>", "<|assistant|>", "<|observation|>", "<|endoftext|>")
_LONGEST: Final = max(map(len, _MARKS))
_NAMED: Final = re.compile(r"<tool_call>\s*([^\s<{]+[\s<]|\{)")


class Held:
    """Keeps back, from those who watch a stream, text that may turn out to be a call.

    Everything before the first sign of a call passes at once; a tag that names no declared tool
    is let go as soon as its name is read.
    """

    __slots__ = ("_declared", "_open", "_tail", "size")

    def __init__(self, declared: Declared) -> None:
        self._declared = declared
        self._open = False
        self._tail: str = ""
        self.size = 0

    def push(self, text: str) -> str:
        """Take a piece; return what may be shown now."""
        if self._open:
            self.size += len(text)
            return ""
        text = self._tail + text
        shown = self._until(text)
        self._tail = "" if self._open else text[shown:]
        self.size = len(text) - shown
        return text[:shown]

    def _until(self, text: str) -> int:
        at = 0
        while match := _MARK.search(text, at):
            at = match.end()
            if match.group() == _OPEN:
                named = _NAMED.match(text, match.start())
                if named is None and len(text) - at < 80:
                    return match.start()
                if named and self._names_a_tool(named.group(1)):
                    self._open = True
                    return match.start()
            elif match.group() == _KEY:
                if self._declared:
                    self._open = True
                    return match.start()
            elif not text[at:].strip() or "<" in text[at : at + 2]:
                return match.start()
        tail = text.rfind("<", max(0, len(text) - _LONGEST))
        if tail >= at and any(mark.startswith(text[tail:]) for mark in _MARKS):
            return tail
        return len(text)

    def _names_a_tool(self, word: str) -> bool:
        return word == "{" or bool(self._declared.longest_at(word))
