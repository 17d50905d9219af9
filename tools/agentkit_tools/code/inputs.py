"""Files that the model may have put into its sandbox: documents, and what its run keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agentkit.tool import ToolContext, ToolError, UnknownHandle
from agentkit_sandbox import FileRefused, Sandbox

MAX_FILE: Final = 64 * 1024 * 1024


class Inputs:
    """The files that may be put in.

    Args:
        documents: folder of the user's files, resolved; None has none.
    """

    def __init__(self, documents: Path | None) -> None:
        self._documents = documents

    async def put(self, sandbox: Sandbox, names: Sequence[str], context: ToolContext) -> None:
        """Put files into the workspace, each under its own name without folders.

        What the run keeps comes before a document of the same name: it is newer.

        Args:
            sandbox: where they are put.
            names: names of artifacts, handles, or ids of documents; a handle is the file's name.
            context: of the call, which opens what the run keeps.

        Raises:
            ToolError: one is not there, or does not fit; the text says what is right.
            SandboxLost: the session is of no more use.
        """
        for name in names:
            try:
                data = await context.open(name)
            except UnknownHandle as unknown:
                data = await asyncio.to_thread(self._document, name, str(unknown))
            try:
                await sandbox.put(Path(name).name, data)
            except (FileRefused, ValueError) as error:
                raise ToolError(str(error)) from None

    def _document(self, name: str, otherwise: str) -> bytes:
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
        also = " There is no document of this id either." if self._documents is not None else ""
        raise ToolError(f"{otherwise}{also} Leave it out of `files`, or name one that is there.")
