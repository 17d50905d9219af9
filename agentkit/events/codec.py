"""The log's spelling: bodies and events as JSON, ids and times; old versions brought forward."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import orjson

from agentkit.errors import LogUnreadable
from agentkit.events.bodies import BODIES, Body, Event

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Upcaster = Callable[[dict[str, Any]], tuple[str, dict[str, Any]]]
"""Takes a body as JSON has it; returns the kind and the body that the next version has."""

UPCASTERS: Mapping[tuple[str, int], Upcaster] = {}
"""By kind and version of what they take. None is ever removed: old logs load for ever.

Each goes one version on, to version + 1 of the kind it returns, so that a kind can be renamed; they
run one after the other until the version is today's.
"""


def new_run_id() -> str:
    """Return a new id: 12 hex digits of the time in milliseconds, 12 random ones."""
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(6).hex()}"


def now() -> str:
    """Return the time as events carry it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def dump_body(body: Body) -> bytes:
    """Return a body as JSON.

    Values that JSON has no word for are stored as their text.
    """
    return orjson.dumps(body, default=str, option=orjson.OPT_NON_STR_KEYS)


def load_body(kind: str, version: int, data: bytes | str) -> Body:
    """Return the body that `dump_body` wrote.

    Raises:
        LogUnreadable: an unknown kind, a newer version, or damaged JSON.
    """
    if (kind, version) in UPCASTERS:
        kind, version, data = _brought_forward(kind, version, data)
    body = BODIES.get(kind)
    if body is None or version != body.version:
        raise LogUnreadable(
            f"The log has an event of kind {kind!r}, version {version}, which this version of "
            "agentkit does not know. Upgrade agentkit to read it."
        )
    try:
        return _adapter(kind).validate_json(data)
    except ValueError as error:  # pydantic's ValidationError is one
        raise LogUnreadable(f"An event of kind {kind!r} is damaged: {error}") from error


def _brought_forward(kind: str, version: int, data: bytes | str) -> tuple[str, int, bytes]:
    try:
        body: dict[str, Any] = orjson.loads(data)
        while upcast := UPCASTERS.get((kind, version)):
            kind, body = upcast(body)
            version += 1
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise LogUnreadable(
            f"An event of kind {kind!r}, version {version}, is damaged: {error!r}"
        ) from error
    return kind, version, orjson.dumps(body)


def dump_line(event: Event) -> bytes:
    """Return an event as one JSON line, the form that `--json` prints."""
    return orjson.dumps(
        {
            "run_id": event.run_id,
            "seq": event.seq,
            "at": event.at,
            "kind": event.body.kind,
            "version": event.body.version,
            "body": event.body,
        },
        default=str,
        option=orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE,
    )


def load_line(line: bytes | str) -> Event:
    """Return the event that `dump_line` wrote.

    Raises:
        LogUnreadable: the line is no event, or from a newer version.
    """
    try:
        found = cast("dict[str, Any]", orjson.loads(line))
        body = load_body(found["kind"], found["version"], orjson.dumps(found["body"]))
        return Event(str(found["run_id"]), int(found["seq"]), str(found["at"]), body)
    except (ValueError, LookupError, TypeError) as error:
        raise LogUnreadable(f"A line of the log is no event: {error!r}") from error


@cache
def _adapter(kind: str) -> TypeAdapter[Body]:
    from pydantic import TypeAdapter  # noqa: PLC0415 - 20 ms that only readers of logs need

    return TypeAdapter(BODIES[kind])
