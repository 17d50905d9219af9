"""Tools: from a Python function to a safe parallel call."""

from agentkit.errors import ToolError
from agentkit.tool.base import Artifact, Tool, ToolContext, ToolResult, Toolset

__all__ = ["Artifact", "Tool", "ToolContext", "ToolError", "ToolResult", "Toolset"]
