"""MCP: servers of the Model Context Protocol as toolsets."""

from agentkit.mcp.elicitation import Elicit, Elicitation
from agentkit.mcp.json_file import load_mcp_json
from agentkit.mcp.server import MCPServer, MCPServers

__all__ = ["Elicit", "Elicitation", "MCPServer", "MCPServers", "load_mcp_json"]
