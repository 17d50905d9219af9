"""A provider's own reasoning blocks (`reasoning_details`), gathered to be sent back unmodified."""

from __future__ import annotations

from typing import Any, cast

import orjson

_GROWING = ("text", "summary", "data", "signature")
"""Fields that a stream sends in pieces; the others come whole."""


class ReasoningBlocks:
    """Gathers the blocks of one answer.

    In a stream the pieces of one block share index and type, and are joined into the block that an
    unstreamed answer would hold; OpenRouter's recorded second requests carry them so.
    """

    __slots__ = ("_blocks", "_places")

    def __init__(self) -> None:
        self._blocks: list[dict[str, Any]] = []
        self._places: dict[tuple[Any, Any], int] = {}

    def add(self, pieces: object, *, streamed: bool) -> None:
        """Take the `reasoning_details` of a delta, or of a whole message."""
        if not isinstance(pieces, list):
            return
        for piece in cast("list[Any]", pieces):
            if isinstance(piece, dict):
                self._take(cast("dict[str, Any]", piece), streamed=streamed)

    def _take(self, piece: dict[str, Any], *, streamed: bool) -> None:
        key = (piece.get("index"), piece.get("type"))
        place = self._places.get(key) if streamed else None
        if place is None:
            self._places[key] = len(self._blocks)
            self._blocks.append(dict(piece))
            return
        block = self._blocks[place]
        for name, value in piece.items():
            before = block.get(name)
            if name in _GROWING and isinstance(before, str) and isinstance(value, str):
                block[name] = before + value
            elif value is not None:
                block[name] = value

    def json(self) -> str:
        """Return the blocks as JSON text, or "" when there are none."""
        return orjson.dumps(self._blocks).decode() if self._blocks else ""
