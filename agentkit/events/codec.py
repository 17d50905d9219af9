"""The log's spelling: bodies and events as JSON, ids and times."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

import orjson

from agentkit.errors import LogUnreadable
from agentkit.events.bodies import BODIES, Body, Event

if TYPE_CHECKING:
    from pydantic import TypeAdapter


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
    body = BODIES.get(kind)
    if body is None or version > body.version:
        raise LogUnreadable(
            f"The log has an event of kind {kind!r}, version {version}, which this version of "
            "agentkit does not know. Upgrade agentkit to read it."
        )
    try:
        return _adapter(kind).validate_json(data)
    except ValueError as error:  # pydantic's ValidationError is one
        raise LogUnreadable(f"An event of kind {kind!r} is damaged: {error}") from error


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


@cache
def _adapter(kind: str) -> TypeAdapter[Body]:
    from pydantic import TypeAdapter  # noqa: PLC0415 - 20 ms that only readers of logs need

    return TypeAdapter(BODIES[kind])
