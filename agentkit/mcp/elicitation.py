"""Elicitation: a question that a server asks the user in the middle of a call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Elicitation:
    """What a server wants to know. It is untrusted: show which server asks.

    Attributes:
        server: name of the server.
        message: the question.
        schema: JSON Schema of the answer, an object of flat fields; empty with a `url`.
        url: a page that the user is asked to visit instead, such as a sign-in.
        calls: ids of the tool calls that the server works on, usually one.
    """

    server: str
    message: str
    schema: Mapping[str, Any]
    url: str | None = None
    calls: tuple[str, ...] = ()


Elicit = Callable[[Elicitation], Awaitable[Mapping[str, Any] | None]]
"""Answers with the fields of `schema` ({} for a page that was visited), or None to decline."""
