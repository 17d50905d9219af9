"""The one door to the `mcp` package: a session with one server; what leaves is plain JSON.

The scopes of a session have to be entered and left in one task: `connect` is for the task that
owns the session, and its requests may come from any task.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
import mcp_types as wire
from mcp import Client, MCPError
from mcp.client.stdio import get_default_environment
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage
from mcp_types import CONNECTION_CLOSED, jsonrpc_message_adapter
from pydantic import BaseModel, ValidationError

from agentkit.errors import ToolError
from agentkit.mcp.process import LONGEST_LINE, ServerProcess
from agentkit.mcp.server import MCPServer, innermost

if TYPE_CHECKING:
    from mcp.client import Transport
    from mcp.client._transport import TransportStreams
    from mcp.client.session import ClientRequestContext, IncomingMessage

    from agentkit.mcp.connection import Connection

JSON = dict[str, Any]
Progress = Callable[[str], None]

_HTTP_ERROR = "Server returned an error response"  # the package's words; the status is logged
_PAGES = 100  # of one list: a server whose list never ends must not hang the run


class Gone(Exception):
    """The connection is closed.

    Attributes:
        unsent: the request was certainly not worked on, so that it may be sent again.
    """

    def __init__(self, *, unsent: bool = False) -> None:
        super().__init__("the connection is closed")
        self.unsent = unsent


@dataclass(frozen=True, slots=True)
class Session:
    """A server that has introduced itself. Every request raises ToolError or Gone."""

    client: Client

    @property
    def capabilities(self) -> JSON:
        """What the server says that it has: tools, resources, prompts, ..."""
        return _json(self.client.server_capabilities)

    async def list_all(self, kind: str) -> list[JSON]:
        """Return all pages of tools, resources, resource_templates or prompts."""
        found: list[JSON] = []
        cursor: str | None = None
        for _ in range(_PAGES):
            page = await self._ask(getattr(self.client, f"list_{kind}")(cursor=cursor))
            cursor = page.pop("nextCursor", None)
            # The list's own key is the camel-case form of its kind.
            found += page.get(kind) or page.get("resourceTemplates") or []
            if not cursor:
                break
        return found

    async def call_tool(self, name: str, arguments: JSON, tell: Progress) -> JSON:
        """Call a tool; a call that is cancelled here is cancelled at the server."""

        async def told(progress: float, total: float | None, message: str | None) -> None:
            figures = f"{progress:g} of {total:g}" if total else f"{progress:g}"
            tell(f"{message} ({figures})" if message else figures)

        return await self._ask(self.client.call_tool(name, arguments, progress_callback=told))

    async def read_resource(self, uri: str) -> JSON:
        """Read a resource."""
        return await self._ask(self.client.read_resource(uri))

    async def get_prompt(self, name: str, arguments: dict[str, str]) -> JSON:
        """Fill in a prompt."""
        return await self._ask(self.client.get_prompt(name, arguments))

    async def _ask(self, request: Awaitable[BaseModel]) -> JSON:
        try:
            return _json(await request)
        except MCPError as error:
            if error.message == "Session terminated":  # 404: the server has forgotten us
                raise Gone(unsent=True) from None
            # An HTTP error without an MCP error in it: many servers forget us with a 400.
            if error.code == CONNECTION_CLOSED or error.message == _HTTP_ERROR:
                raise Gone from None
            raise ToolError(f"refused: {error.message} (code {error.code})") from None
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise ToolError(f"answered with no MCP result, at {where}: {first['msg']}") from None
        except (RuntimeError, ValueError, OSError) as error:
            # Structured output that does not fit its own schema, too many rounds of questions.
            raise ToolError(f"failed: {error}") from None


@asynccontextmanager
async def connect(server: MCPServer, owner: Connection) -> AsyncGenerator[Session]:
    """Start or reach a server, and end it.

    Raises:
        Exception: it cannot be reached, or the connection broke while it was open; scopes may
            have wrapped it in groups, see `reason`.
    """
    # The package's own warnings go where the program sends them, not to the terminal.
    for name in ("mcp", "client"):
        if not (log := logging.getLogger(name)).handlers:
            log.addHandler(logging.NullHandler())
    async with AsyncExitStack() as stack:
        if server.url is None:
            process = await ServerProcess.start(
                server.command,
                env=get_default_environment() | dict(server.env),
                cwd=server.cwd,
                heard=lambda line: owner.said("mcp.stderr", line),
            )
            stack.push_async_callback(process.stop)
            transport = _pipes(process, owner)
        else:

            async def answered(response: httpx2.Response) -> None:
                if response.status_code >= 400 and response.request.method == "POST":
                    owner.said("mcp.http", f"HTTP {response.status_code} {response.reason_phrase}")

            http = httpx2.AsyncClient(
                headers=dict(server.headers),
                auth=server.auth,
                timeout=httpx2.Timeout(server.start_timeout, read=None),  # each call has its own
                event_hooks={"response": [answered]},
            )
            await stack.enter_async_context(http)
            transport = streamable_http_client(
                server.url, http_client=http, max_sse_event_size=LONGEST_LINE
            )
        yield Session(await stack.enter_async_context(_client(transport, server, owner)))


def reason(error: BaseException) -> str:
    """Return the innermost cause in a few words."""
    match cause := innermost(error):
        case FileNotFoundError():
            return f"there is no {cause.filename!r}"
        case MCPError() if cause.code == CONNECTION_CLOSED:
            return "it ended before it introduced itself"
        case MCPError():
            return cause.message
        case _:
            return f"{type(cause).__name__}: {cause}" if str(cause) else type(cause).__name__


def _client(transport: Transport, server: MCPServer, owner: Connection) -> Client:
    folders = [{"uri": Path(root).absolute().as_uri()} for root in server.roots]

    # Parameters are named as the package's protocols name them.
    async def elicit(
        context: ClientRequestContext,  # noqa: ARG001
        params: wire.ElicitRequestParams,
    ) -> wire.ElicitResult:
        if isinstance(params, wire.ElicitRequestURLParams):
            answer = await owner.elicit(params.message, {}, params.url)
            return wire.ElicitResult(action="decline" if answer is None else "accept")
        answer = await owner.elicit(params.message, params.requested_schema, None)
        if answer is None:
            return wire.ElicitResult(action="decline")
        return wire.ElicitResult(action="accept", content=dict(answer))

    async def list_roots(context: ClientRequestContext) -> wire.ListRootsResult:  # noqa: ARG001
        return wire.ListRootsResult.model_validate({"roots": folders})

    async def log(params: wire.LoggingMessageNotificationParams) -> None:
        owner.said(f"mcp.{params.level}", str(params.data))

    async def notice(message: IncomingMessage) -> None:
        if isinstance(message, wire.ToolListChangedNotification):
            owner.tools_changed()

    return Client(
        transport,
        elicitation_callback=elicit,
        list_roots_callback=list_roots if folders else None,
        logging_callback=log,
        message_handler=notice,
        client_info=wire.Implementation(name="agentkit", version=version("agentkit-glm")),
        cache=None,
    )


@asynccontextmanager
async def _pipes(process: ServerProcess, owner: Connection) -> AsyncGenerator[TransportStreams]:
    """Join the lines of a process to the streams of a session."""
    arrived, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, leaving = anyio.create_memory_object_stream[SessionMessage](0)

    async def read() -> None:
        # A line beyond all limits ends the server like its own end does.
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, ValueError):
            async with arrived:
                async for line in process.lines():
                    try:
                        message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                    except ValueError:  # many servers print where only messages belong
                        owner.said("mcp.stdout", line.decode(errors="replace"))
                    else:
                        await arrived.send(SessionMessage(message))
                owner.ended(await process.ending())  # before the requests in flight learn it

    async def write() -> None:
        async with leaving:
            async for message in leaving:
                text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                with suppress(OSError):  # it is gone, which `read` tells
                    await process.write(text.encode() + b"\n")

    async with anyio.create_task_group() as tasks, incoming, outgoing:
        tasks.start_soon(read)
        tasks.start_soon(write)
        try:
            yield incoming, outgoing
        finally:
            tasks.cancel_scope.cancel()


def _json(answer: BaseModel) -> JSON:
    return answer.model_dump(mode="json", by_alias=True, exclude_none=True)
