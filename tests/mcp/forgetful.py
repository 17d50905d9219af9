"""An MCP server over HTTP, by hand: it forgets each session after one call."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress

from agentkit.mcp import MCPServer

TOOLS = [{"name": "count", "inputSchema": {"type": "object"}}]
REFUSED = {"jsonrpc": "2.0", "id": None, "error": {"code": -32601, "message": "no"}}


class Forgetful:
    """What it remembers: the calls left to each session, and the sessions of the calls it did."""

    def __init__(self, status):
        self.status = status
        self.sessions = {}
        self.calls = []

    def answer(self, message, session):
        """Return the HTTP status and the JSON that answer a POST."""
        if "id" not in message:
            return 202, None
        match message["method"]:
            case "initialize":
                self.sessions[str(len(self.sessions))] = 1
                result = {
                    "protocolVersion": message["params"]["protocolVersion"],
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "forgetful", "version": "1"},
                }
            case "tools/list":
                result = {"tools": TOOLS}
            case "tools/call" if not self.sessions.get(session):
                return self.status, None
            case "tools/call":
                self.sessions[session] = 0
                self.calls.append(session)
                result = {"content": [{"type": "text", "text": str(len(self.calls))}]}
            case _:
                return 400, REFUSED
        return 200, {"jsonrpc": "2.0", "id": message["id"], "result": result}

    async def serve(self, reader, writer):
        """Answer the requests of one connection."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().strip().lower().split("\r\n")
                headers = dict(line.split(": ", 1) for line in lines)
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                status, said = 405, None
                if first.startswith("post"):
                    status, said = self.answer(json.loads(body), headers.get("mcp-session-id"))
                data = b"" if said is None else json.dumps(said).encode()
                writer.write(
                    f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n"
                    f"Mcp-Session-Id: {len(self.sessions) - 1}\r\n"
                    f"Content-Length: {len(data)}\r\n\r\n".encode()
                    + data
                )
        writer.close()


@asynccontextmanager
async def forgetful(status):
    """Serve; yield it as a toolset, and the sessions of the calls that it did.

    Args:
        status: of HTTP, how it answers a session that it has forgotten.
    """
    memory = Forgetful(status)
    server = await asyncio.start_server(memory.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield MCPServer(url=f"http://127.0.0.1:{port}/mcp", name="far"), memory.calls
    server.close()
