"""The workspace: AGENTS.md joins the instructions, notes/ are read on demand.

Both are read when a run starts and frozen with its instructions, so that the prefix never moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agentkit.errors import ConfigError
from agentkit.tool import Tool, ToolError, as_tool

AGENTS_FILE = "AGENTS.md"
NOTES_FOLDER = "notes"

_AGENTS_BYTES = 32_768  # about 9,000 tokens; a longer file is refused, not cut in silence
_MOST_NOTES = 100
_TITLE = 80


@dataclass(frozen=True, slots=True)
class Workspace:
    """A project's folder, as far as the context reads it.

    Attributes:
        folder: the folder; None for no workspace.
    """

    folder: Path | None

    def instructions(self, base: str) -> str:
        """Return the instructions with AGENTS.md and the index of the notes behind them.

        Raises:
            ConfigError: the folder is none, or AGENTS.md is no text or too large for a prefix.
        """
        if self.folder is None:
            return base
        if not self.folder.is_dir():
            raise ConfigError(f"ContextPolicy(workspace={str(self.folder)!r}): it is no folder.")
        parts = [base]
        file = self.folder / AGENTS_FILE
        if file.is_file():
            parts.append(f"# {AGENTS_FILE} of the workspace\n\n{_agents(file)}")
        if notes := self.notes():
            index = "\n".join(f"- {name}: {title}" for name, title in notes.items())
            parts.append(f"# Notes of the workspace, opened by read_note\n\n{index}")
        return "\n\n".join(parts)

    def tools(self) -> list[Tool]:
        """Return `read_note`, if there is a note."""
        return [as_tool(self.read_note)] if self.notes() else []

    def notes(self) -> dict[str, str]:
        """Return the first line of each note, by its name in notes/, sorted."""
        if self.folder is None:
            return {}
        root = self.folder / NOTES_FOLDER
        files = sorted(
            file for kind in ("*.md", "*.txt") for file in root.rglob(kind) if self._inside(file)
        )
        return {str(file.relative_to(root)): _title(file) for file in files[:_MOST_NOTES]}

    def read_note(self, name: str) -> str:
        """Open one of the workspace's notes.

        Args:
            name: as the index names it.
        """
        file = (self.folder or Path()) / NOTES_FOLDER / name
        if not self._inside(file):
            known = ", ".join(self.notes()) or "none"
            raise ToolError(f"There is no note {name[:80]!r}. The notes are: {known}.")
        return file.read_text("utf-8", errors="replace")

    def _inside(self, file: Path) -> bool:
        """Whether a file lies in notes/ once all links are followed."""
        root = ((self.folder or Path()) / NOTES_FOLDER).resolve()
        return file.is_file() and file.resolve().is_relative_to(root)


def _agents(file: Path) -> str:
    data = file.read_bytes()
    if len(data) > _AGENTS_BYTES:
        raise ConfigError(
            f"{file} has {len(data):,} bytes; at most {_AGENTS_BYTES:,} join every prompt. Move "
            f"parts of it to {NOTES_FOLDER}/, which are read on demand."
        )
    try:
        return data.decode().strip()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is no UTF-8 text: {error}.") from error


def _title(file: Path) -> str:
    with file.open(encoding="utf-8", errors="replace") as lines:
        first = next((line.strip(" #\n") for line in lines if line.strip(" #\n")), "")
    return first[:_TITLE]
