"""Files that the model may have put into its sandbox: documents, and what earlier calls made."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from agentkit.tool import ToolError
from agentkit_sandbox import File, FileRefused, Sandbox

KEPT_BYTES: Final = 64 * 1024 * 1024
MAX_FILE: Final = 64 * 1024 * 1024


class Inputs:
    """The files of one run, by name.

    Args:
        documents: folder of the user's files, resolved; None has none.
    """

    def __init__(self, documents: Path | None) -> None:
        self._documents = documents
        self._made: dict[str, bytes] = {}

    def keep(self, files: Iterable[File]) -> None:
        """Remember what a call made, the latest first, so that it survives its sandbox."""
        for file in files:
            self._made.pop(file.name, None)
            self._made[file.name] = file.data
        while sum(len(data) for data in self._made.values()) > KEPT_BYTES:
            self._made.pop(next(iter(self._made)))

    async def put(self, sandbox: Sandbox, names: Sequence[str]) -> None:
        """Put files into the workspace, each under its own name without folders.

        Raises:
            ToolError: one is not there, or does not fit; the text says what is.
            SandboxLost: the session is of no more use.
        """
        for name in names:
            data = self._made.get(name)
            if data is None:
                data = await asyncio.to_thread(self._document, name)
            try:
                await sandbox.put(Path(name).name, data)
            except (FileRefused, ValueError) as error:
                raise ToolError(str(error)) from None

    def _document(self, name: str) -> bytes:
        if self._documents is not None:
            try:
                path = (self._documents / name).resolve()
                # By resolution, not by the text: a link or ".." may not lead out.
                if path.is_relative_to(self._documents) and path.is_file():
                    if path.stat().st_size > MAX_FILE:
                        raise ToolError(f"{name!r} is larger than {MAX_FILE >> 20} MiB.")
                    return path.read_bytes()
            except (OSError, ValueError) as error:
                raise ToolError(f"{name!r} could not be read: {type(error).__name__}.") from None
        made = ", ".join(self._made) or "none so far"
        words = "no document of this id, and " if self._documents is not None else ""
        raise ToolError(
            f"There is {words}no file {name!r} from an earlier call (those are: {made}). Leave it "
            "out of `files`, or name one that is there."
        )
