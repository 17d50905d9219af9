"""What type checkers say of tools: a tool is called like the function it was made of.

pyright checks this file, and that each call which it should refuse is refused.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true
from __future__ import annotations

from typing import assert_type

from agentkit import Tool, tool


@tool
async def rate(base: str, days: int = 1) -> float:
    """Return a rate."""
    return float(len(base) * days)


@tool(read_only=True)
def names(prefix: str) -> list[str]:
    """Return names."""
    return [prefix]


class Notebook:
    """Has methods that are tools."""

    @tool
    def write(self, line: str) -> int:
        """Write a line."""
        return len(line)


async def calls() -> None:
    """Call them rightly, then wrongly."""
    assert_type(await rate("EUR"), float)
    assert_type(names("a"), list[str])
    assert_type(Notebook().write("a"), int)
    await rate(3)  # pyright: ignore[reportArgumentType]
    names()  # pyright: ignore[reportCallIssue]
    Notebook().write(3)  # pyright: ignore[reportArgumentType]


TOOLS: list[Tool] = [rate, names, Notebook().write]
