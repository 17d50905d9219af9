"""The tools of one connection: the server's own, and those that reach resources and prompts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

from agentkit.errors import ConfigError, ToolDefinitionError, ToolError
from agentkit.log import warn
from agentkit.mcp.client import Gone
from agentkit.mcp.connection import Connection
from agentkit.mcp.content import listing, prompt_result, resource_result, tool_result
from agentkit.mcp.names import hide, tool_name
from agentkit.mcp.server import MCPServer
from agentkit.tool import Tool, ToolContext, ToolResult, raw_tool
from agentkit.tool.flags import Flags

_CONTEXT = "_agentkit_context"  # hidden parameter; a server's own names must not collide with it
_SHOWN_PROMPTS = 50


async def connected_tools(server: MCPServer, stack: AsyncExitStack) -> Sequence[Tool]:
    """Connect to a server and read what it offers, once.

    Args:
        server: what to connect to.
        stack: ends the connection when it closes.

    Raises:
        ConfigError: it does not start, its lists cannot be read, or two tools have one name.
    """
    connection = Connection(server)
    session = await stack.enter_async_context(connection.open())
    has = session.capabilities
    try:
        tools = await session.list_all("tools") if "tools" in has else []
        prompts = await session.list_all("prompts") if "prompts" in has else []
    except (ToolError, Gone) as error:
        raise ConfigError(f"MCP server {server.name!r}, asked for its lists: {error}.") from None
    connection.freeze(tools)
    reader = tool_name(server.name, "read_resource") if "resources" in has else None
    found: dict[str, Tool] = {}
    for one in tools:
        if made := _tool(connection, one, reader):
            if made.name in found:
                raise ConfigError(f"MCP server {server.name!r} has two tools {one['name']!r}.")
            found[made.name] = made
    own = [*_resource_tools(connection)] if reader else []
    own += [_prompt_tool(connection, prompts, reader)] if prompts else []
    return [*found.values(), *(one for one in own if one.name not in found)]


def flags(annotations: Mapping[str, Any]) -> Flags:
    """Return what a server's hints say of a tool, with the defaults of the specification.

    Nothing said means the worst: it may destroy and reach the outer world (schema 2025-11-25,
    ToolAnnotations).
    """
    read_only = annotations.get("readOnlyHint") is True
    return Flags(
        read_only=read_only,
        idempotent=read_only or annotations.get("idempotentHint") is True,
        destructive=not read_only and annotations.get("destructiveHint") is not False,
        open_world=annotations.get("openWorldHint") is not False,
    )


def _order(connection: Connection, said: Flags) -> Flags:
    """Return which calls wait for which: one that changes something runs alone, in call order.

    That is so on one connection; the connections of several runs are the server's to keep apart.
    """
    if connection.server.concurrent:
        return Flags()
    state = f"mcp {connection.server.name}@{id(connection):x}"
    return Flags(reads=state) if said.get("read_only") else Flags(writes=state)


def _tool(connection: Connection, one: Mapping[str, Any], reader: str | None) -> Tool | None:
    """Return one of the server's tools, or None for one that no model could call."""
    server = connection.server
    plain: str = one["name"]
    name = tool_name(server.name, plain)

    async def call(**arguments: Any) -> ToolResult:
        context: ToolContext = arguments.pop(_CONTEXT)
        answer, declined = await connection.call_tool(
            plain, arguments, context.call_id, context.progress, changes=not said.get("read_only")
        )
        result = tool_result(answer, plain, reader)
        text = result.content
        for question in declined:
            text += (
                f"\n[The server asked the user, who is not here, so it was declined: {question}]"
            )
        return replace(result, content=hide(text, server.secrets))

    schema: Mapping[str, Any] = one["inputSchema"]
    description = one.get("description") or one.get("title") or plain
    said = flags(one.get("annotations") or {})
    how: Flags = {**said, **_order(connection, said), "timeout": server.timeout}
    try:
        made = raw_tool(name, description, schema, call, **how)
    except ToolDefinitionError as error:
        warn("mcp", "mcp.tool_left_out", server=server.name, tool=plain, error=str(error))
        return None
    # The draft that `$schema` names is for the validator; to the model it says nothing.
    shown = {key: value for key, value in schema.items() if key != "$schema"}
    return replace(made, parameters=shown, context_parameter=_CONTEXT)


def _resource_tools(connection: Connection) -> tuple[Tool, ...]:
    server = connection.server

    async def list_resources() -> str:
        resources = await connection.ask(lambda session: session.list_all("resources"))
        try:
            templates = await connection.ask(lambda one: one.list_all("resource_templates"))
        except ToolError:  # a server may have resources and no templates
            templates = []
        return hide(listing(resources, templates), server.secrets)

    async def read_resource(uri: str) -> ToolResult:
        result = resource_result(await connection.ask(lambda one: one.read_resource(uri)))
        return replace(result, content=hide(result.content, server.secrets))

    uri = {"uri": {"type": "string", "description": "URI of the resource, from the list."}}
    return (
        _reading(
            connection,
            "list_resources",
            f"List what {server.name} offers to read: URIs, and templates of URIs.",
            {},
            list_resources,
        ),
        _reading(
            connection, "read_resource", f"Read a resource of {server.name}.", uri, read_resource
        ),
    )


def _prompt_tool(
    connection: Connection, prompts: Sequence[Mapping[str, Any]], reader: str | None
) -> Tool:
    server = connection.server

    async def get_prompt(name: str, arguments: Mapping[str, str] | None = None) -> ToolResult:
        given = dict(arguments or {})
        answer = await connection.ask(lambda session: session.get_prompt(name, given))
        result = prompt_result(answer, reader)
        return replace(result, content=hide(result.content, server.secrets))

    shown = "\n".join(map(_prompt_line, prompts[:_SHOWN_PROMPTS]))
    properties = {
        "name": {"type": "string", "enum": [one["name"] for one in prompts]},
        "arguments": {"type": "object", "additionalProperties": {"type": "string"}},
    }
    description = f"Get a prompt that {server.name} offers, filled in. There are:\n{shown}"
    return _reading(
        connection, "get_prompt", description, properties, get_prompt, optional=("arguments",)
    )


def _reading(
    connection: Connection,
    name: str,
    description: str,
    properties: Mapping[str, Any],
    function: Any,
    optional: Iterable[str] = (),
) -> Tool:
    server = connection.server
    schema = {
        "type": "object",
        "properties": properties,
        "required": [one for one in properties if one not in optional],
        "additionalProperties": False,
    }
    full = tool_name(server.name, name)
    how: Flags = {**flags({"readOnlyHint": True}), "timeout": server.timeout}
    return raw_tool(full, description, schema, function, **how)


def _prompt_line(one: Mapping[str, Any]) -> str:
    arguments = [
        argument["name"] if argument.get("required") else f"{argument['name']}?"
        for argument in one.get("arguments") or ()
    ]
    line = f"- {one['name']}({', '.join(arguments)})"
    return f"{line}: {one['description']}" if one.get("description") else line
