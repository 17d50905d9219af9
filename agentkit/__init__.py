"""agentkit: agents on GLM-5, with parallel tools, a sandbox and a log that survives."""

from agentkit.agent import (
    Agent,
    Guardrails,
    Output,
    ReminderPolicy,
    Result,
    Run,
    Step,
    update_plan,
)
from agentkit.agent.workflow import Workflow, workflow
from agentkit.errors import AgentkitError
from agentkit.model import GLM, Price, RetryPolicy
from agentkit.store import MemoryStore, SQLiteStore, open_store
from agentkit.tool import (
    Answer,
    ApprovalPolicy,
    Artifact,
    DispatchPolicy,
    Question,
    Rule,
    Tool,
    ToolContext,
    ToolError,
    ToolResult,
    tool,
)
from agentkit.usage import Limits, Usage

__all__ = [
    "GLM",
    "Agent",
    "AgentkitError",
    "Answer",
    "ApprovalPolicy",
    "Artifact",
    "DispatchPolicy",
    "Guardrails",
    "Limits",
    "MemoryStore",
    "Output",
    "Price",
    "Question",
    "ReminderPolicy",
    "Result",
    "RetryPolicy",
    "Rule",
    "Run",
    "SQLiteStore",
    "Step",
    "Tool",
    "ToolContext",
    "ToolError",
    "ToolResult",
    "Usage",
    "Workflow",
    "open_store",
    "tool",
    "update_plan",
    "workflow",
]
