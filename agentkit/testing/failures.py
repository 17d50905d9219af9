"""Every way in which servers of GLM were seen to fail, by name, for `GLMServer`.

Say("It is 12:30.", failures=["glued_frames"])       # one answer
GLMServer(script, failures=["comments", "crlf"])     # every answer
for name, failure in FAILURES.items(): print(name, failure.about)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final

import orjson

from agentkit.testing import damaged_answers, damaged_streams, script
from agentkit.testing.failure import REGISTERED, Failure, Stage
from agentkit.testing.script import Answer, Json, Say

_ = damaged_answers, damaged_streams  # their import registers what they define

FAILURES: Final[Mapping[str, Failure]] = MappingProxyType(REGISTERED)
"""Failures by name; `about` says what the server sends and where that was seen."""


def known(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names.

    Raises:
        ValueError: one is no failure.
    """
    names = tuple(names)
    for name in names:
        if name not in FAILURES:
            near = get_close_matches(name, FAILURES, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"No failure is called {name!r}.{hint} There are: {', '.join(FAILURES)}."
            )
    return names


def damaged(answer: Answer) -> Answer:
    """Return the answer after the failures that change what it says."""
    if not isinstance(answer, Say):
        return answer
    names = known(answer.failures)
    for failure in _of("answer", names):
        changed = failure.change(answer)
        if not isinstance(changed, Say):
            return changed
        answer = replace(changed, failures=names)
    return answer


def completion(request: Json, say: Say, usage: Json) -> Json:
    """Return a damaged answer as a whole completion; failures of streams do not show in it."""
    data = script.completion(request, say, usage)
    choice = data["choices"][0]
    for failure in _of("piece", say.failures):
        choice["message"] = failure.change(choice["message"])
    return data


def frames(request: Json, say: Say, usage: Json, size: int) -> tuple[list[bytes], bool]:
    """Return a damaged answer as the bytes of its events, and whether the body is ended properly.

    Args:
        request: the decoded request.
        say: the answer, as `damaged` gave it.
        usage: what it costs.
        size: characters of text in one chunk.
    """
    chunks = list(script.chunks(request, say, usage, size))
    for failure in _of("piece", say.failures):
        for chunk in chunks:
            for choice in chunk["choices"]:
                choice["delta"] = failure.change(choice["delta"])
    for failure in _of("chunks", say.failures):
        chunks = failure.change(chunks)
    events = [b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in chunks]
    if say.cut is not None and say.cut < len(events):
        return events[: say.cut], False
    events.append(b"data: [DONE]\n\n")
    ends = True
    for failure in _of("frames", say.failures):
        events = failure.change(events)
        ends = ends and not failure.breaks
    return events, ends


def _of(stage: Stage, names: Sequence[str]) -> Iterable[Failure]:
    return (FAILURES[name] for name in names if FAILURES[name].stage == stage)
