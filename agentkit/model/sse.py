"""An incremental reader of server-sent events over raw bytes.

It survives any chunk boundary: inside a UTF-8 sequence, between CR and LF, inside a field name.
"""

from __future__ import annotations

from agentkit.errors import UnexpectedResponse

MAX_EVENT = 64 * 1024 * 1024
"""Bytes of one event; a server that sends more is not speaking the protocol."""

_BOM = b"\xef\xbb\xbf"
_FIELDS = (b":", b"event", b"id", b"retry")


class EventReader:
    """Turns chunks of bytes into the `data` payloads of complete events.

    Only `data` fields matter to GLM's wire; comments, event names and ids are passed over. A line
    that is no field at all belongs to a `data` line with a raw line break in it, or is JSON that
    a proxy sent bare.
    """

    __slots__ = ("_data", "_size", "_tail")

    def __init__(self) -> None:
        self._tail = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the payloads of the events that this chunk completes.

        Raises:
            UnexpectedResponse: one event is larger than MAX_EVENT.
        """
        if (  # what servers mostly send: one whole event
            chunk.endswith(b"}\n\n")
            and chunk.startswith(b"data: {")
            and not (self._tail or self._data)
            and chunk.count(b"\n") == 2
            and b"\r" not in chunk
        ):
            return [chunk[6:-2]]
        text = self._tail + chunk
        held = b""
        if b"\r" in text:
            if text.endswith(b"\r"):  # its LF may be in the next chunk
                text, held = text[:-1], b"\r"
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = text.split(b"\n")
        self._tail = lines.pop() + held
        if self._size + len(self._tail) > MAX_EVENT:
            raise UnexpectedResponse(
                f"One event of the stream is larger than {MAX_EVENT} bytes; expected lines of "
                "JSON. Check that the base URL points at a chat-completions endpoint."
            )
        return self._lines(lines)

    def finish(self) -> list[bytes]:
        """Return the payload of a last event that the server did not end with a blank line."""
        lines = [*self._tail.rstrip(b"\r").split(b"\n"), b""]
        self._tail = b""
        return self._lines(lines)

    def _lines(self, lines: list[bytes]) -> list[bytes]:
        events: list[bytes] = []
        for line in lines:
            if not line:
                if self._data:
                    events.append(b"\n".join(self._data))
                    self._data.clear()
                    self._size = 0
            elif line.startswith(b"data:"):
                value = line[6:] if line.startswith(b"data: ") else line[5:]
                self._data.append(value)
                self._size += len(value)
            elif line.startswith(_BOM):
                events += self._lines([line[len(_BOM) :]])
            elif (self._data or line.startswith(b"{")) and not line.startswith(_FIELDS):
                self._data.append(line)
                self._size += len(line)
        return events
