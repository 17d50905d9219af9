"""Tools: from a Python function to a safe parallel call."""

from agentkit.errors import ToolError
from agentkit.tool.approval import Answer, ApprovalPolicy, Approver, Question, Rule
from agentkit.tool.arguments import Arguments, bind
from agentkit.tool.base import (
    ArgumentFault,
    Artifact,
    Problem,
    Tool,
    ToolContext,
    ToolResult,
    Toolset,
    Validate,
)
from agentkit.tool.batch import Keep, Record
from agentkit.tool.binder import Binder
from agentkit.tool.dispatch import Dispatcher
from agentkit.tool.execution import DispatchPolicy, Emit
from agentkit.tool.schema import as_tool, raw_tool, tool
from agentkit.tool.toolset import collect, definitions

__all__ = [
    "Answer",
    "ApprovalPolicy",
    "Approver",
    "ArgumentFault",
    "Arguments",
    "Artifact",
    "Binder",
    "DispatchPolicy",
    "Dispatcher",
    "Emit",
    "Keep",
    "Problem",
    "Question",
    "Record",
    "Rule",
    "Tool",
    "ToolContext",
    "ToolError",
    "ToolResult",
    "Toolset",
    "Validate",
    "as_tool",
    "bind",
    "collect",
    "definitions",
    "raw_tool",
    "tool",
]
