"""How the host and the supervisor inside a sandbox talk: length-framed JSON with raw bytes.

A frame is two unsigned 32-bit big-endian lengths, a JSON object, and a body of bytes. Both sides
are strict: a length above its cap, or a header that is no JSON object, ends the conversation.
This file is sent into the sandbox, so it imports the standard library only.

Every request carries a fresh "nonce", which each frame of its answer repeats. The host sends one
request at a time; only "cancel" may come while a call is running.

| request (body)          | fields                                   | answer (body)              |
|-------------------------|------------------------------------------|----------------------------|
| hello                   | artifacts, output, preload, idle, network| ready: facts, python       |
| exec (program)          | timeout                                  | output*, artifact*, done   |
| shell (command)         | timeout                                  | output*, artifact*, done   |
| cancel                  | nonce of the running call                | none of its own            |
| put (piece of the file) | name, more: further pieces follow        | after the last one: put    |
| get                     | name, most: bytes                        | artifact*, get: reason     |
| list                    |                                          | list: complete (JSON)      |
| reset, ping             |                                          | reset, pong                |

output (bytes): stream, missing: bytes left out before this piece. artifact (piece of the file):
name, more: further pieces follow, drop: what came of this file so far is void. done: status,
seconds, value, error, exit_code (commands), detail, state_lost, skipped: pairs of name and reason.
A reason is "" where all went well.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, cast

LENGTHS: Final = struct.Struct(">II")
MAX_HEADER: Final = 512 * 1024
MAX_BODY: Final = 16 * 1024 * 1024
MAX_PIECE: Final = 1024 * 1024  # of a file that is sent in pieces


class ProtocolFault(Exception):
    """The other side sent something that is not the protocol."""


class Frame(NamedTuple):
    """One message.

    Attributes:
        header: a JSON object; "op" names what it is.
        body: raw bytes: program text, output or a file.
    """

    header: dict[str, Any]
    body: bytes = b""


def encode(header: Mapping[str, Any], body: bytes = b"") -> bytes:
    """Turn one message into bytes.

    Raises:
        ProtocolFault: the header or the body is above its cap.
    """
    head = json.dumps(header, separators=(",", ":")).encode()  # ASCII, so lone surrogates pass
    if len(head) > MAX_HEADER or len(body) > MAX_BODY:
        raise ProtocolFault(f"A frame of {len(head)} + {len(body)} bytes is above the cap.")
    return LENGTHS.pack(len(head), len(body)) + head + body


class FrameBuffer:
    """Collects bytes and gives back whole frames, however the bytes were cut."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Add bytes and yield each frame that is now complete.

        Raises:
            ProtocolFault: the bytes are not the protocol; the buffer is of no more use.
        """
        self._data += data
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> Frame | None:
        if len(self._data) < LENGTHS.size:
            return None
        head, body = LENGTHS.unpack_from(self._data)
        if head > MAX_HEADER or body > MAX_BODY:
            raise ProtocolFault(f"A frame announces {head} + {body} bytes, above the cap.")
        start, end = LENGTHS.size + head, LENGTHS.size + head + body
        if len(self._data) < end:
            return None
        with memoryview(self._data) as view:  # a slice of the array itself would copy twice
            header, content = bytes(view[LENGTHS.size : start]), bytes(view[start:end])
        frame = Frame(decode_header(header), content)
        del self._data[:end]
        return frame


def decode_header(data: bytes) -> dict[str, Any]:
    """Read a header.

    Raises:
        ProtocolFault: not a JSON object.
    """
    try:
        value: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ProtocolFault("A frame's header is not JSON.") from error
    if not isinstance(value, dict):
        raise ProtocolFault("A frame's header is not a JSON object.")
    return cast("dict[str, Any]", value)
