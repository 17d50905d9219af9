"""Docker's attached streams as a channel."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

MAX_WORDS: Final = 4096
ATTACH: Final = "/containers/{}/attach?stdin=1&stdout=1&stderr=1&stream=1"
_HEADER: Final = struct.Struct(">BxxxI")


class Demultiplexer:
    """Reads what Docker sends without a terminal: pieces of stdout and stderr, each with a header.

    A header is 8 bytes: the stream's number, three zero bytes and a big-endian length.
    """

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._number = self._left = 0

    async def read(self) -> tuple[int, bytes]:
        """Return the stream's number (1 stdout, 2 stderr) and bytes; (0, b"") at the end."""
        try:
            while not self._left:
                header = await self._reader.readexactly(_HEADER.size)
                self._number, self._left = _HEADER.unpack(header)
        except asyncio.IncompleteReadError:
            return 0, b""
        data = await self._reader.read(min(self._left, 1 << 20))
        self._left -= len(data)
        return (self._number, data) if data else (0, b"")


class AttachedChannel:
    """The attached streams of a container. See `agentkit_sandbox.session.Channel`.

    Args:
        reader: of the attached stream.
        writer: of the same.
        remove: removes the container and what belongs to it, within bounded time.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        remove: Callable[[], Awaitable[None]],
    ) -> None:
        self._source, self._writer, self._remove = Demultiplexer(reader), writer, remove
        self._words = bytearray()

    async def send(self, data: bytes) -> None:
        """Send bytes to the supervisor's standard input."""
        self._writer.write(data)
        await self._writer.drain()

    async def receive(self) -> bytes:
        """Return bytes of its standard output, or b"" at the end."""
        while True:
            number, data = await self._source.read()
            if number != 2:
                return data
            self._words += data[: MAX_WORDS - len(self._words)]

    async def close(self) -> str:
        """Remove the container, within bounded time; return what it wrote to standard error."""
        self._writer.close()
        await self._remove()
        with suppress(OSError):
            await self._writer.wait_closed()
        return self._words.decode("utf-8", "replace").strip()
