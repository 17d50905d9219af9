"""MCP servers as toolsets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from os import PathLike
from typing import Any, cast

from agentkit.errors import ConfigError
from agentkit.mcp.elicitation import Elicit
from agentkit.mcp.names import plain_url, secrets, server_name
from agentkit.tool import Tool

Folder = str | PathLike[str]


@dataclass(frozen=True, slots=True, init=False, repr=False, eq=False)
class MCPServer:
    """A server of the Model Context Protocol, as a toolset.

    `MCPServer("npx", "-y", "@modelcontextprotocol/server-everything")` starts a program for each
    run and ends it, with its children, when the run ends. `MCPServer(url="http://.../mcp")`
    speaks streamable HTTP. Needs the extra `mcp`.

    Its tools are called `name__tool`. They are read once, when the run opens. What a server says
    of a tool (read-only, idempotent, ...) is taken as it is, so use servers that you trust. Calls
    that may change something run alone, in call order; those that only read run in parallel.

    Attributes:
        command: program and arguments; empty with a `url`.
        url: endpoint of a server that runs already.
        name: prefix of the tools; by default a short name from the command or the host.
        env: variables for the program, on top of HOME, LOGNAME, PATH, SHELL, TERM and USER: it
            inherits nothing else.
        cwd: folder that the program runs in.
        headers: sent with every request, such as Authorization.
        auth: an `httpx2.Auth`, such as the mcp package's OAuthClientProvider.
        timeout: seconds that a call may take; None takes the dispatcher's.
        start_timeout: seconds to start, and to introduce itself. Default 60: `npx` may download.
        elicit: answers the server's questions to the user. By default they are declined, and the
            model is told.
        roots: folders that the server is told to keep to. By default it is told nothing.
        concurrent: tools that change something need no order.
    """

    command: tuple[str, ...]
    url: str | None
    name: str
    env: Mapping[str, str]
    cwd: Folder | None
    headers: Mapping[str, str]
    auth: Any
    timeout: float | None
    start_timeout: float
    elicit: Elicit | None
    roots: tuple[Folder, ...]
    concurrent: bool

    def __init__(  # noqa: PLR0913 - one keyword for each attribute
        self,
        *command: str,
        url: str | None = None,
        name: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Folder | None = None,
        headers: Mapping[str, str] | None = None,
        auth: Any = None,
        timeout: float | None = None,
        start_timeout: float = 60.0,
        elicit: Elicit | None = None,
        roots: Sequence[Folder] = (),
        concurrent: bool = False,
    ) -> None:
        """Describe a server; nothing is started.

        Raises:
            ConfigError: neither or both of a command and a url, or what belongs to the other.
        """
        _check(command, url, env=env, cwd=cwd, headers=headers, auth=auth)
        values: dict[str, Any] = {
            "command": command,
            "url": url,
            "name": name or server_name(command, url),
            "env": dict(env or {}),
            "cwd": cwd,
            "headers": dict(headers or {}),
            "auth": auth,
            "timeout": timeout,
            "start_timeout": start_timeout,
            "elicit": elicit,
            "roots": tuple(roots),
            "concurrent": concurrent,
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)

    def __repr__(self) -> str:
        """Name the server, without arguments, variables or headers: they hold keys."""
        where = plain_url(self.url) if self.url is not None else self.command[0]
        return f"MCPServer({self.name!r}, {where!r})"

    @property
    def origin(self) -> str:
        """Where its tools come from, for errors."""
        return f"MCP server {self.name!r}"

    @property
    def secrets(self) -> frozenset[str]:
        """Values that no error, log or result may show."""
        return secrets(self.env, self.headers, self.url)

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Sequence[Tool]]:
        """Start or reach the server and yield its tools.

        Raises:
            ConfigError: it cannot be started or reached, or the extra is not installed.
        """
        async with AsyncExitStack() as stack:
            yield await _start(self, stack)


@dataclass(frozen=True, slots=True)
class MCPServers:
    """Several servers as one toolset: they start at the same time."""

    servers: tuple[MCPServer, ...]

    @property
    def origin(self) -> str:
        """Where the tools come from, for errors."""
        return ", ".join(server.origin for server in self.servers)

    def __iter__(self) -> Iterator[MCPServer]:
        """Iterate over the servers."""
        return iter(self.servers)

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Sequence[Tool]]:
        """Start all servers and yield the tools of all; see `MCPServer.open`."""
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.TaskGroup() as group:
                    # Safe in tasks of their own: a connection's scopes belong to its own task.
                    started = [group.create_task(_start(one, stack)) for one in self.servers]
            except BaseExceptionGroup as errors:
                raise innermost(errors) from None
            yield [tool for task in started for tool in task.result()]


def innermost(error: BaseException) -> BaseException:
    """Return the first cause in groups of errors, which scopes make of one."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error


async def _start(server: MCPServer, stack: AsyncExitStack) -> Sequence[Tool]:
    try:
        # Here: the mcp package takes a second to load, and is an extra.
        from agentkit.mcp.tools import connected_tools  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            f"MCP servers need the extra `mcp`: pip install 'agentkit-glm[mcp]' ({error})."
        ) from error
    return await connected_tools(server, stack)


def _check(command: tuple[str, ...], url: str | None, **given: object) -> None:
    if bool(command) == (url is not None):
        raise ConfigError("MCPServer takes either a command or url=..., such as MCPServer('npx').")
    foreign = ("env", "cwd") if url is not None else ("headers", "auth")
    if wrong := [name for name in foreign if given[name]]:
        kind = "url" if url is not None else "command"
        raise ConfigError(f"MCPServer: {wrong[0]}= does not belong to a server with a {kind}.")
    if url is not None and not url.startswith(("http://", "https://")):
        raise ConfigError("MCPServer(url=...): expected an http(s) address.")
