"""mcp.json: the file in which most programs keep their servers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from agentkit.config import variable
from agentkit.errors import ConfigError
from agentkit.log import warn
from agentkit.mcp.server import MCPServer, MCPServers

_REFERENCE = re.compile(r"\$\{(?:(?P<kind>\w+):(?!-))?(?P<name>[^}:]+)(?::-(?P<default>[^}]*))?\}")


class _Entry(BaseModel, hide_input_in_errors=True):
    """One server, as Claude Desktop, Claude Code, Cursor and VS Code write it."""

    type: Literal["stdio", "http", "streamable-http", "streamableHttp"] | None = None
    command: str | None = None
    args: list[str] = Field(default_factory=list)
    env: dict[str, str] = Field(default_factory=dict)
    cwd: str | None = None
    url: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    disabled: bool = False
    envFile: str | None = None  # noqa: N815 - VS Code's own spelling


class _File(BaseModel, hide_input_in_errors=True):
    mcpServers: dict[str, _Entry] | None = None  # noqa: N815 - the file's own spelling
    servers: dict[str, _Entry] | None = None


def load_mcp_json(path: str | Path, **options: Any) -> MCPServers:
    """Return the servers of a file {"mcpServers": {name: {...}}}, or VS Code's {"servers": ...}.

    `${NAME}`, `${env:NAME}` and `${NAME:-default}` stand for variables of the environment, and
    `${workspaceFolder}` for the current folder. A relative `cwd` begins at the file's folder.
    Disabled servers are left out.

    Args:
        path: of the file.
        **options: for every server: timeout, start_timeout, elicit, roots, concurrent.

    Raises:
        ConfigError: no such file, not this format, or a variable that is not set.
    """
    path = Path(path)
    try:
        file = _File.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"{path} is no mcp.json{f', at {where}' if where else ''}: {first['msg']}. Expected "
            '{"mcpServers": {"name": {"command": "npx", "args": [...]}}}, or "url" in its place.'
        ) from None
    entries = file.mcpServers if file.mcpServers is not None else file.servers
    if entries is None:
        raise ConfigError(f'{path} is no mcp.json: it has neither "mcpServers" nor "servers".')
    return MCPServers(
        tuple(
            _server(path, name, entry, options)
            for name, entry in entries.items()
            if not entry.disabled
        )
    )


def _server(path: Path, name: str, entry: _Entry, options: Mapping[str, Any]) -> MCPServer:
    where = f"{path}, server {name!r}"
    if entry.envFile is not None:
        warn("mcp", "mcp.env_file_ignored", server=name, note="put its variables into env")

    try:
        return MCPServer(
            *([_filled(entry.command)] if entry.command is not None else []),
            *map(_filled, entry.args),
            url=_filled(entry.url) if entry.url is not None else None,
            name=name,
            env={key: _filled(value) for key, value in entry.env.items()},
            headers={key: _filled(value) for key, value in entry.headers.items()},
            cwd=path.parent / _filled(entry.cwd) if entry.cwd is not None else None,
            **options,
        )
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _filled(text: str) -> str:
    """Return a text with its references to variables replaced."""

    def value(found: re.Match[str]) -> str:
        kind, name, default = found["kind"], found["name"], found["default"]
        if name == "workspaceFolder":
            return str(Path.cwd())
        if kind not in (None, "env"):
            raise ConfigError(f"{found[0]} cannot be asked for here; write ${{env:NAME}}.")
        known = variable(name)
        if known is None and default is None:
            raise ConfigError(f"the environment has no {name}, which {found[0]} stands for.")
        return known if known is not None else default or ""

    return _REFERENCE.sub(value, text)
