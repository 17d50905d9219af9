"""Results: from whatever a tool returned or raised to text that the model can read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import SupportsFloat, SupportsIndex, cast

from pydantic_core import to_json

from agentkit.errors import ToolError
from agentkit.events import SubRun, ToolStatus
from agentkit.tool.base import Artifact, ToolResult
from agentkit.tool.media import artifact_of, data_of, is_data, text_of

NOTHING = "Done. The tool returned nothing."
_HEAD = 0.7
"""Share of an over-long text that is kept from its beginning; the rest is kept from its end."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended; one that is `postponed` has no result yet, and nothing of it is logged."""

    status: ToolStatus
    content: str
    artifacts: tuple[Artifact, ...] = ()
    sub_run: SubRun | None = None
    postponed: bool = False


def returned(value: object, limit: int) -> Outcome:
    """Return the outcome of a tool that returned.

    A str is taken as it is, None becomes a short word. Bytes, and what can draw itself (a PIL
    image, a matplotlib figure), become an artifact, and bytes that are text are shown too. A list
    with files in it is told item by item. Everything else becomes JSON, so a Path is its text:
    return `Artifact.from_file(path)` for the file. What JSON cannot hold is an error that says so.

    Args:
        value: what the tool returned.
        limit: characters; longer text loses its middle.
    """
    match value:
        case str():
            return Outcome("ok", clip(value, limit))
        case None:
            return Outcome("ok", NOTHING)
        case ToolResult(content=content, artifacts=artifacts, ok=ok, sub_run=sub_run):
            inner = returned(content, limit)
            status = inner.status if ok else "error"
            return Outcome(status, inner.content, (*inner.artifacts, *artifacts), sub_run)
        case Artifact():
            return Outcome("ok", _made(value), (value,))
        case list() | tuple() if any(map(_is_file, items := cast("Sequence[object]", value))):
            return _joined([returned(item, limit) for item in items], limit)
        case _:
            data = data_of(value)
            return _as_json(value, limit) if data is None else _as_file(data, limit)


def raised(error: BaseException, limit: int) -> Outcome:
    """Return the outcome of a tool that raised; a traceback is nothing for a model."""
    if isinstance(error, ToolError):
        return Outcome("error", clip(str(error) or type(error).__name__, limit))
    hint = "Check the arguments; if they are right, try another way."
    return Outcome("error", clip(f"{describe(error)}\n{hint}", limit))


def describe(error: BaseException) -> str:
    """Return type and message of an exception; those inside a group too."""
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - a foreign __str__ may raise anything
        message = ""
    text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return "\n".join([text, *(f"- {describe(inner)}" for inner in group.exceptions[:8])])
    return text


def clip(text: str, limit: int) -> str:
    """Return text that UTF-8 can hold, of about `limit` characters at most.

    The head and the tail stay, because a table's header stands first and an error stands last.
    """
    if len(text) > limit:  # cut first: of a gigabyte no second copy is made
        head = int(limit * _HEAD)
        note = (
            f"\n\n[... {len(text) - limit} of {len(text)} characters left out here; ask for less "
            "at once to see them ...]\n\n"
        )
        text = f"{text[:head]}{note}{text[len(text) - limit + head :]}"
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode(errors="backslashreplace").decode()
    return text


def _made(artifact: Artifact) -> str:
    return f"Made the file {artifact.name} ({artifact.media_type}, {len(artifact.data)} bytes)."


def _as_file(data: bytes, limit: int) -> Outcome:
    artifact = artifact_of(data)
    text = text_of(data)
    said = _made(artifact) if text is None else f"{_made(artifact)}\n{text}"
    return Outcome("ok", clip(said, limit), (artifact,))


def _is_file(value: object) -> bool:
    if isinstance(value, ToolResult):
        return bool(value.artifacts)
    return isinstance(value, Artifact) or is_data(value)


def _joined(outcomes: Sequence[Outcome], limit: int) -> Outcome:
    status: ToolStatus = "ok" if all(one.status == "ok" for one in outcomes) else "error"
    text = "\n".join(one.content for one in outcomes)
    return Outcome(
        status, clip(text, limit), tuple(file for one in outcomes for file in one.artifacts)
    )


def _plain(value: object) -> object:
    """Return the plain values of a numpy array, or of a number of somebody's, such as mpmath's.

    Raises:
        TypeError: it is something else.
    """
    listed: Callable[[], object] | None = getattr(value, "tolist", None)
    if listed is not None:
        return listed()
    if isinstance(value, SupportsIndex):
        return int(value)
    if isinstance(value, SupportsFloat):
        return float(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _as_json(value: object, limit: int) -> Outcome:
    kind = type(value).__name__
    if isinstance(value, Iterator):
        return Outcome("error", _unfit("an iterator, which was not read", kind))
    try:
        text = to_json(value, inf_nan_mode="strings", fallback=_plain).decode()
    except Exception as error:  # noqa: BLE001 - foreign serializers may raise anything
        return Outcome("error", _unfit(f"a value that JSON cannot hold ({describe(error)})", kind))
    return Outcome("ok", clip(text, limit))


def _unfit(what: str, kind: str) -> str:
    return (
        f"The tool ran, but it returned {what[:300]} (type {kind}), so its result cannot be "
        "shown. Calling it again gives the same; go on without it. (For its author: return text, "
        "JSON values or a ToolResult with artifacts.)"
    )
