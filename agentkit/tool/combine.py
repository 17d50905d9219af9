"""Toolsets from toolsets: some of the tools, under other names, several as one.

Each function takes any source of tools (a function, a tool, a toolset or a sequence of them) and
returns a toolset, so they nest: `prefix_tools(filter_tools(server, "read_*"), "old_")`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, cast

from agentkit.errors import ConfigError
from agentkit.tool.advice import closest, fault
from agentkit.tool.base import ArgumentFault, Tool, Toolset
from agentkit.tool.schema import check_name
from agentkit.tool.toolset import gather, origin

Source = Tool | Toolset | Callable[..., Any] | Sequence[Any]
Change = Callable[[Sequence[Tool]], Sequence[Tool]]


@dataclass(frozen=True, slots=True)
class Changed:
    """A toolset made of other sources; the functions of this module make it.

    Attributes:
        sources: where its tools come from.
        change: what is done to them, each time it is opened.
        how: the same in words, for errors.
    """

    sources: tuple[Any, ...]
    change: Change = field(repr=False)
    how: str

    @property
    def origin(self) -> str:
        """Where its tools come from, in words."""
        return f"{', '.join(map(origin, self.sources))} ({self.how})"

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Sequence[Tool]]:
        """Open the sources and yield the changed tools.

        Raises:
            ConfigError: two tools have one name, or a name or pattern fits no tool.
        """
        async with AsyncExitStack() as stack:
            found = await gather(self.sources, stack)
            try:
                yield self.change([tool for tool, _ in found.values()])
            except _Unfit as unfit:
                raise ConfigError(f"{self.origin}: {unfit}") from None


class _Unfit(Exception):
    """A change that these tools do not allow."""


def combine_tools(*sources: Source) -> Toolset:
    """Return several sources as one toolset."""
    return Changed(_flat(sources), lambda tools: tools, "combined")


def filter_tools(
    source: Source,
    *names: str,
    without: Sequence[str] = (),
    where: Callable[[Tool], bool] | None = None,
) -> Toolset:
    """Return only some of the tools.

    Args:
        source: where the tools come from.
        *names: keep the tools of these names; `*` and `?` are patterns. Without names, all.
        without: leave out the tools of these names, patterns too.
        where: keep the tools for which it is true, such as `lambda tool: tool.read_only`.
    """

    def change(tools: Sequence[Tool]) -> Sequence[Tool]:
        for pattern in (*names, *without):
            if not any(fnmatchcase(tool.name, pattern) for tool in tools):
                raise _unknown(pattern, tools)
        return [
            tool
            for tool in tools
            if (not names or any(fnmatchcase(tool.name, one) for one in names))
            and not any(fnmatchcase(tool.name, one) for one in without)
            and (where is None or where(tool))
        ]

    return Changed(_flat((source,)), change, "filtered")


def prefix_tools(source: Source, prefix: str) -> Toolset:
    """Return the tools with a prefix before each name."""

    def change(tools: Sequence[Tool]) -> Sequence[Tool]:
        return [_named(tool, f"{prefix}{tool.name}") for tool in tools]

    return Changed(_flat((source,)), change, f"prefixed {prefix!r}")


def rename_tools(source: Source, names: Mapping[str, str]) -> Toolset:
    """Return the tools, some under other names: {"old": "new"}. Everything else stays."""
    wanted = dict(names)

    def change(tools: Sequence[Tool]) -> Sequence[Tool]:
        renamed: dict[str, Tool] = {}
        for tool in tools:
            name = wanted.get(tool.name, tool.name)
            if name in renamed:
                raise _Unfit(f"two tools would be called {name!r}.")
            renamed[name] = _named(tool, name)
        if missing := wanted.keys() - {tool.name for tool in tools}:
            raise _unknown(min(missing), tools)
        return [*renamed.values()]

    return Changed(_flat((source,)), change, "renamed")


def _flat(sources: Sequence[Any]) -> tuple[Any, ...]:
    """Return sources with the sequences among them opened up."""
    flat: list[Any] = []
    for source in sources:
        flat += _flat(cast("Sequence[Any]", source)) if isinstance(source, Sequence) else [source]
    return tuple(flat)


def _named(tool: Tool, name: str) -> Tool:
    if name == tool.name:
        return tool
    check_name(name)

    def validate(given: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return tool.validate(given)
        except ArgumentFault as error:
            # The advice names the tool, which the model knows by its new name only.
            if not error.problems:
                raise
            raise fault(name, error.problems, tool.parameters) from None

    return replace(tool, name=name, validate=validate)


def _unknown(name: str, tools: Sequence[Tool]) -> _Unfit:
    known = sorted(tool.name for tool in tools)
    close = closest(name, known)
    hint = f"Did you mean {close!r}?" if close else f"There are: {', '.join(known) or 'none'}."
    return _Unfit(f"no tool is called {name!r}. {hint}")
