"""What the answers to a probe mean: findings in words, and the dialect that follows from them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import orjson

from agentkit.model.dialect import Dialect, Switch
from agentkit.model.endpoint import Endpoint
from agentkit.model.probe.observe import Observed
from agentkit.model.providers import Provider

Seen = Mapping[str, Observed]

_TOOL_PARSER = (
    "Start vLLM with --enable-auto-tool-choice --tool-call-parser glm47, SGLang with "
    "--tool-call-parser glm47 (glm45 for GLM-4.5 and 4.6)."
)
_REASONING_PARSER = (
    "Start vLLM or SGLang with --reasoning-parser glm45 (newer vLLM also knows glm47)."
)
_MARKUP = re.compile(r"</?tool_call>|</?arg_key>|</?arg_value>")
_THINK = re.compile(r"</?think>")
_UNIT = 64


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a probe settled.

    Attributes:
        ok: False when the server is set up wrongly; `text` then ends with how to mend it.
        name: what was asked.
        text: what came out, in words.
    """

    ok: bool
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """All findings, and the provider's record with what they changed."""

    findings: tuple[Finding, ...]
    provider: Provider


@dataclass(slots=True)
class _State:
    seen: Seen
    dialect: Dialect


def judge(endpoint: Endpoint, seen: Seen, date: str) -> Verdict:
    """Return what a probe settled, and a provider record for this base URL.

    Args:
        endpoint: who was asked, in the dialect known so far.
        seen: what the calls came to, by their names.
        date: of the probe, such as "2026-11-22".
    """
    state = _State(seen, endpoint.provider.dialect)
    findings = [finding for rule in _RULES for finding in rule(state)]
    told = tuple(f"{one.name}: {one.text}" for one in findings)
    url = urlsplit(endpoint.base_url)
    host = url.hostname or ""
    heading = f"probed {date} with {endpoint.model}"
    provider = replace(
        endpoint.provider,
        name=f"{url.netloc}{url.path}",
        dialect=replace(state.dialect, quirks=(*state.dialect.quirks, heading, *told)),
        hosts=(f"{host}:{url.port}" if url.port else host,),
        path=url.path,
    )
    return Verdict(tuple(findings), provider)


def parsers(seen: Seen) -> Iterator[Finding]:
    """Yield a finding for each parser that a self-hosted server lacks, or has wrongly set."""
    yield from _tool_parser(seen["tools"])
    yield from _reasoning_parser(seen["answer"])


def _tool_parser(tools: Observed) -> Iterator[Finding]:
    text = tools.content + tools.text("reasoning_content") + tools.text("reasoning")
    calls = tools.calls.values()
    names = ["".join(str(piece.get("name") or "") for piece in call) for call in calls]
    said = tools.said.lower()
    if tools.is_refused and ("auto-tool-choice" in said or "tool-call-parser" in said):
        yield Finding(False, "tools", f"the server refuses tools: {tools.said!r}. {_TOOL_PARSER}")
    elif not calls and _MARKUP.search(text):
        yield Finding(False, "tools", f"calls come back as raw markup in the text. {_TOOL_PARSER}")
    elif wrong := [name for name in names if name != "look_up"]:
        yield Finding(False, "tools", f"a call names {wrong[0]!r}, not 'look_up'. {_TOOL_PARSER}")
    elif broken := [call for call in calls if not _is_json(_arguments(call))]:
        text = _arguments(broken[0])
        yield Finding(
            False, "tools", f"arguments come back as {text[:80]!r}, no JSON. {_TOOL_PARSER}"
        )
    elif not tools.is_taken:
        yield Finding(True, "tools", _unsettled(tools))
    elif not calls:
        yield Finding(True, "tools", "not settled: the model made no call")
    else:
        many = "several calls in one turn" if len(calls) > 1 else "one call, not two, in one turn"
        yield Finding(True, "tools", many)


def _reasoning_parser(answer: Observed) -> Iterator[Finding]:
    if _THINK.search(answer.content):
        yield Finding(False, "thinking", f"it stands in the answer's text. {_REASONING_PARSER}")
    elif not answer.content.strip() and answer.finish == "stop" and answer.thinking_field:
        yield Finding(
            False,
            "thinking",
            f"the whole answer stands in {answer.thinking_field}. {_REASONING_PARSER}",
        )
    else:
        field = answer.thinking_field
        yield Finding(True, "thinking", f"comes back in {field}" if field else "none came back")


def _is_json(text: str) -> bool:
    try:
        return isinstance(orjson.loads(text or "{}"), dict)
    except orjson.JSONDecodeError:
        return False


def _arguments(call: list[dict[str, Any]]) -> str:
    pieces = [piece.get("arguments") or "" for piece in call]
    return "".join(one if isinstance(one, str) else orjson.dumps(one).decode() for one in pieces)


def _unsettled(seen: Observed) -> str:
    return f"not settled: HTTP {seen.status}, {seen.said[:200]!r}"


def _parsers(state: _State) -> Iterator[Finding]:
    yield from parsers(state.seen)
    field = state.seen["answer"].thinking_field
    if field and field not in state.dialect.replay:
        state.dialect = replace(state.dialect, replay=(*state.dialect.replay, field))


def _off(state: _State) -> Iterator[Finding]:
    for name, seen in state.seen.items():
        if not name.startswith("off:"):
            continue
        switch: Switch = name.removeprefix("off:")  # pyright: ignore[reportAssignmentType]
        if not seen.is_taken:
            yield Finding(True, f"thinking off ({switch})", _refusal(seen))
            continue
        if seen.thinking_field or _THINK.search(seen.content):
            yield Finding(True, f"thinking off ({switch})", "taken, and the model thinks anyway")
            continue
        if not state.seen["answer"].thinking_field:
            yield Finding(True, f"thinking off ({switch})", "taken; it does not think anyway")
            continue
        yield Finding(True, f"thinking off ({switch})", "works")
        if not state.dialect.can_switch:
            field = {"zai": "thinking", "template": "chat_template_kwargs"}[switch]
            state.dialect = replace(
                state.dialect, thinking=switch, fields=state.dialect.fields | {field}
            )


def _refusal(seen: Observed) -> str:
    if not seen.is_refused:
        return _unsettled(seen)
    code = f" {seen.error.fault.code}" if seen.error and seen.error.fault.code else ""
    return f"refused (HTTP {seen.status}{code}): {seen.said[:200]!r}"


def _fields(state: _State) -> Iterator[Finding]:
    seen = state.seen["unknown"]
    yield Finding(True, "unknown fields", "ignored" if seen.is_taken else _refusal(seen))
    for name in ("tool_stream", "stream_options"):
        seen = state.seen[name]
        if seen.is_refused and state.seen["tools"].is_taken:  # the same without this field
            _drop(state, name)
        text = "taken" if seen.is_taken else _refusal(seen)
        if name == "tool_stream" and seen.is_taken:
            most = max((len(call) for call in seen.calls.values()), default=0)
            text = f"taken; a call's arguments came in {most} pieces"
            if most > 1:
                _add(state, name)
        yield Finding(True, name, text)
    yield _usage(state)


def _usage(state: _State) -> Finding:
    unasked, asked = state.seen["tools"], state.seen["stream_options"]
    if unasked.usage:
        return Finding(True, "usage in streams", "comes without being asked for")
    if asked.usage:
        _add(state, "stream_options")
        return Finding(True, "usage in streams", "comes with stream_options only")
    if not (unasked.is_taken and asked.is_taken):
        return Finding(True, "usage in streams", "not settled")
    return Finding(True, "usage in streams", "none comes: cost and limits in dollars stay at 0")


def _add(state: _State, field: str) -> None:
    state.dialect = replace(state.dialect, fields=state.dialect.fields | {field})


def _drop(state: _State, field: str) -> None:
    state.dialect = replace(state.dialect, fields=state.dialect.fields - {field})


def _tool_choice(state: _State) -> Iterator[Finding]:
    seen = state.seen["tool_choice"]
    others = tuple(one for one in state.dialect.tool_choice if one != "required")
    if seen.is_taken and seen.calls:
        state.dialect = replace(state.dialect, tool_choice=(*others, "required"))
        yield Finding(True, "tool_choice", '"required" works')
        return
    if seen.is_taken or (seen.is_refused and state.seen["tools"].is_taken):
        state.dialect = replace(state.dialect, tool_choice=others)
    text = '"required" is taken and ignored' if seen.is_taken else f'"required" is {_refusal(seen)}'
    yield Finding(True, "tool_choice", text)


def _messages(state: _State) -> Iterator[Finding]:
    names = {"null": "content null beside calls", "system": "system message in mid-run"}
    for name, title in names.items():
        seen = state.seen[name]
        yield Finding(True, title, "taken" if seen.is_taken else _refusal(seen))


def _effort(state: _State) -> Iterator[Finding]:
    low, bogus = state.seen["effort:low"], state.seen["effort:bogus"]
    if low.is_refused:
        if state.dialect.effort == "field":
            _drop(state, "reasoning_effort")
            state.dialect = replace(state.dialect, effort="none")
        yield Finding(True, "effort", _refusal(low))
    elif low.is_taken and bogus.is_refused:
        yield Finding(True, "effort", "taken, and a wrong word is refused")
    elif low.is_taken and bogus.is_taken:
        yield Finding(True, "effort", "taken without a look at the word: it may have no effect")
    else:
        yield Finding(True, "effort", "not settled")


def _kept(state: _State) -> Iterator[Finding]:
    asked = [state.seen[name].prompt_tokens for name in ("kept:default", "kept:true", "kept:false")]
    default, kept, cleared = asked
    if default is None or kept is None or cleared is None:
        yield Finding(True, "earlier thinking", "not settled: no usage came back")
    elif kept == cleared:
        text = f"clear_thinking changes nothing: {kept} prompt tokens either way"
        yield Finding(True, "earlier thinking", text)
    else:
        keeps = default == kept
        state.dialect = replace(state.dialect, keeps_thinking=keeps)
        told = "kept" if keeps else "dropped"
        yield Finding(
            True,
            "earlier thinking",
            f"{told} by default: {kept} prompt tokens with clear_thinking false, {cleared} with "
            f"true, {default} without a word",
        )


def _cache(state: _State) -> Iterator[Finding]:
    names = ("kept:default", "kept:true", "kept:false", "later")
    cached = [state.seen[name].cached_tokens for name in names]
    known = [count for count in cached if count is not None]
    if not known:
        yield Finding(
            True,
            "cache",
            "the server does not say (vLLM does with --enable-prompt-tokens-details)",
        )
        return
    if not any(known[1:]):
        yield Finding(True, "cache", "nothing was served from it within this probe")
        return
    unit = "multiples of 64" if not any(count % _UNIT for count in known) else "any number"
    pause = state.seen["later"].call.pause
    listed = ", ".join(
        f"{name} {count}" for name, count in zip(names, cached, strict=True) if count is not None
    )
    yield Finding(
        True, "cache", f"cached tokens: {listed} ({unit}; the last one {pause:g} s later)"
    )


def _doors(state: _State) -> Iterator[Finding]:
    for name, told in (("models", "a list of models"), ("tokenizer", "a tokenizer")):
        seen = state.seen[name]
        there = "is there" if seen.is_taken else f"is not there (HTTP {seen.status})"
        if name == "tokenizer" and seen.is_taken and seen.prompt_tokens is not None:
            there += f" and counts {seen.prompt_tokens} tokens"
        yield Finding(True, name, f"{told} {there}")


_RULES: tuple[Callable[[_State], Iterator[Finding]], ...] = (
    _parsers,
    _off,
    _fields,
    _tool_choice,
    _messages,
    _effort,
    _kept,
    _cache,
    _doors,
)
