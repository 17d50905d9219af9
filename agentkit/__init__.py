"""agentkit: agents on GLM-5, with parallel tools, a sandbox and a log that survives."""

from agentkit.agent import Agent, Result, Run, Step, update_plan
from agentkit.errors import AgentkitError
from agentkit.model import GLM, Price, RetryPolicy
from agentkit.store import MemoryStore, SQLiteStore, open_store
from agentkit.tool import Artifact, DispatchPolicy, Tool, ToolContext, ToolError, ToolResult, tool
from agentkit.usage import Limits, Usage

__all__ = [
    "GLM",
    "Agent",
    "AgentkitError",
    "Artifact",
    "DispatchPolicy",
    "Limits",
    "MemoryStore",
    "Price",
    "Result",
    "RetryPolicy",
    "Run",
    "SQLiteStore",
    "Step",
    "Tool",
    "ToolContext",
    "ToolError",
    "ToolResult",
    "Usage",
    "open_store",
    "tool",
    "update_plan",
]
