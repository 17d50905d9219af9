"""Where the tools of a command come from: toolsets by name, a user's own Python, MCP servers."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import shlex
import sys
from collections.abc import Callable, Sequence
from functools import reduce
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import click

from agentkit import plugins
from agentkit.errors import ConfigError
from agentkit.mcp import Elicit, MCPServer, load_mcp_json
from agentkit.tool import Tool, Toolset


def tool_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that choose tools."""
    for option in (
        click.option(
            "--mcp",
            "servers",
            multiple=True,
            metavar="FILE|COMMAND|URL",
            help="MCP servers: an mcp.json, a command line or an address. Several times.",
        ),
        click.option(
            "--tools",
            "names",
            multiple=True,
            metavar="NAME[:ARG]",
            help="A toolset, such as `code` or `documents:DIR`, or your own Python: "
            "`module:function`, `path/to/file.py[:name]`. Several times.",
        ),
    ):
        command = option(command)
    return command


def sources(
    names: Sequence[str], servers: Sequence[str], elicit: Elicit | None = None
) -> list[Any]:
    """Return the tools and toolsets that the options name.

    Args:
        names: each `--tools`.
        servers: each `--mcp`.
        elicit: answers what the servers ask the user.

    Raises:
        ConfigError: one of them is not there, or is no tool.
    """
    found = [one for name in names for one in named(name)]
    return [*found, *(_server(one, elicit) for one in servers)]


def named(name: str, option: str = "--tools") -> Sequence[Any]:
    """Return what an option names.

    Args:
        name: its value.
        option: what an error calls it.

    Raises:
        ConfigError: it is not there, does not take its argument, or is no tool.
    """
    said = f"{option} {name}"
    short, colon, argument = name.partition(":")
    if short.endswith(".py"):
        return _picked(_from_file(short, said), argument, said)
    if colon and short not in plugins.names(plugins.TOOLS):
        return _picked(_imported(short, said), argument, said)
    factory: Callable[..., Any] = plugins.load(plugins.TOOLS, short)
    values = [argument] if colon else []
    try:
        inspect.signature(factory).bind(*values)
    except TypeError as error:
        how = "without an argument" if colon else f"as {short}:ARGUMENT"
        raise ConfigError(f"{said}: {error}. Say it {how}.") from None
    made = factory(*values)
    if not isinstance(made, Toolset):
        raise ConfigError(f"{said}: {short!r} made {type(made).__name__}, no toolset.")
    return [made]


def _picked(module: ModuleType, path: str, said: str) -> Sequence[Any]:
    """Return what a module holds under a dotted name; without one, all tools made with @tool."""
    if not path:
        held: list[object] = list(vars(module).values())
        tools: list[object] = [one for one in held if isinstance(one, Tool)]
        if not tools:
            raise ConfigError(
                f"{said}: nothing in it was made with @tool. Name a function: {said}:NAME."
            )
        return tools
    try:
        found: object = reduce(getattr, path.split("."), module)
    except AttributeError as error:
        raise ConfigError(f"{said}: {error}.") from None
    if isinstance(found, type):
        try:
            found = found()
        except Exception as error:
            raise ConfigError(f"{said}: {type(error).__name__}: {error}.") from error
    if isinstance(found, list | tuple):
        return cast("Sequence[object]", found)
    return [found]


def _from_file(path: str, said: str) -> ModuleType:
    """Import a file as Python runs it: with its folder first in the search path."""
    file = Path(path).resolve()
    if not file.is_file():
        raise ConfigError(f"{said}: there is no file {path}.")
    sys.path.insert(0, str(file.parent))
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module  # dataclasses and pickle look there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise _unimportable(said, error) from error
    return module


def _imported(path: str, said: str) -> ModuleType:
    sys.path.insert(0, str(Path.cwd()))  # as `python -m` does
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{path}.".startswith(f"{error.name}."):
            raise _unimportable(said, error) from error
        known = ", ".join(plugins.names(plugins.TOOLS)) or "none are installed"
        raise ConfigError(
            f"{said}: {path!r} is neither a toolset ({known}) nor a module."
        ) from None
    except Exception as error:
        raise _unimportable(said, error) from error


def _unimportable(said: str, error: Exception) -> ConfigError:
    return ConfigError(f"{said}: importing it failed with {type(error).__name__}: {error}.")


def _server(text: str, elicit: Elicit | None) -> Any:
    if text.startswith(("http://", "https://")):
        return MCPServer(url=text, elicit=elicit)
    if text.endswith(".json"):
        return load_mcp_json(text, elicit=elicit)
    try:
        command = shlex.split(text)
    except ValueError as error:
        raise ConfigError(f"--mcp {text}: no command line: {error}.") from None
    return MCPServer(*command, elicit=elicit)
