"""Document search over a folder: passages by words, lines by pattern, pages by line number."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentkit_tools.search.toolset import Documents

__all__ = ["Documents"]


def __getattr__(name: str) -> object:
    """Load the toolset when it is first asked for: most programs that import tools need one."""
    if name == "Documents":
        from agentkit_tools.search.toolset import Documents  # noqa: PLC0415 - that is the point

        return Documents
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
