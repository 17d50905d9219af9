"""What a failure of the test server is, and how one is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

Stage = Literal["answer", "piece", "chunks", "frames"]


@dataclass(frozen=True, slots=True)
class Failure:
    """One way in which servers damage an answer.

    Attributes:
        name: what `Say(failures=...)` and `GLMServer(failures=...)` take.
        about: what the server sends, and who was seen to do it.
        rows: rows of the protocol page's list of failure modes; empty for a mere oddity.
        stage: what is changed: the scripted answer, each delta or message, the chunks of the
            stream, or its bytes.
        change: changes it.
        breaks: whether the connection ends after the last frame, without the end of the body.
    """

    name: str
    about: str
    rows: tuple[int, ...]
    stage: Stage
    change: Callable[[Any], Any]
    breaks: bool = False


REGISTERED: Final[dict[str, Failure]] = {}


def failure(
    stage: Stage, *rows: int, breaks: bool = False
) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    """Register a function as the failure that its name and docstring describe."""

    def register(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
        name, about = change.__name__, " ".join((change.__doc__ or "").split())
        REGISTERED[name] = Failure(name, about, rows, stage, change, breaks)
        return change

    return register
