"""Toolsets: from a mixture of functions, tools and toolsets to the tool list of one run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import orjson

from agentkit.errors import ConfigError
from agentkit.tool.base import Tool, Toolset
from agentkit.tool.schema import as_tool

MAX_TOOLS = 128
"""Tools that GLM takes in one request (docs.z.ai, chat completion, `tools`)."""


async def collect(
    sources: Iterable[Tool | Toolset | Callable[..., Any]], stack: AsyncExitStack
) -> tuple[Tool, ...]:
    """Return the tools of one run, sorted by name.

    Args:
        sources: functions, bound methods, tools and toolsets in any mixture.
        stack: the toolsets are opened in it, and closed when it closes.

    Raises:
        ConfigError: two tools with one name, more than 128 tools, or something that is no tool.
    """
    tools = await gather(sources, stack)
    if len(tools) > MAX_TOOLS:
        raise ConfigError(
            f"{len(tools)} tools; GLM takes at most {MAX_TOOLS} in one request. Keep those that "
            "are needed with filter_tools(...)."
        )
    return tuple(tools[name][0] for name in sorted(tools))


async def gather(
    sources: Iterable[Tool | Toolset | Callable[..., Any]], stack: AsyncExitStack
) -> dict[str, tuple[Tool, object]]:
    """Return the tools of all sources by name, each with the source that it came from.

    Raises:
        ConfigError: two tools with one name, or something that is no tool.
    """
    tools: dict[str, tuple[Tool, object]] = {}
    for source in sources:
        if isinstance(source, type) and hasattr(source, "open"):
            raise ConfigError(f"{source.__name__} is a class; give an instance of it as a tool.")
        if isinstance(source, Toolset):
            offered: Sequence[Any] = await stack.enter_async_context(source.open())
        else:
            offered = (source,)
        for one in map(as_tool, offered):
            if one.name in tools:
                raise ConfigError(
                    f"Two tools are called {one.name!r}: one from {origin(tools[one.name][1])}, "
                    f"one from {origin(source)}. Give one another name: @tool(name=...), "
                    "rename_tools(...) or prefix_tools(...)."
                )
            tools[one.name] = (one, source)
    return tools


def definitions(tools: Iterable[Tool]) -> bytes:
    """Return the request's `tools` array as canonical JSON: same tools, same bytes."""
    return orjson.dumps(
        [
            {
                "type": "function",
                "function": {
                    "name": one.name,
                    "description": one.description,
                    "parameters": one.parameters,
                },
            }
            for one in sorted(tools, key=lambda one: one.name)
        ],
        option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS,
    )


def origin(source: object) -> str:
    """Return where tools come from, for an error: what a toolset says of itself, or its class."""
    if isinstance(said := getattr(source, "origin", None), str):
        return said
    function = source.function if isinstance(source, Tool) else source
    name = getattr(function, "__qualname__", None) or type(function).__name__
    return f"{getattr(function, '__module__', '?')}.{name}"
