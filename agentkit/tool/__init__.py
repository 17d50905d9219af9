"""Tools: from a Python function to a safe parallel call."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentkit.errors import ToolError
    from agentkit.tool.approval import Answer, ApprovalPolicy, Approver, Question, Rule
    from agentkit.tool.arguments import Arguments, bind
    from agentkit.tool.asking import Past
    from agentkit.tool.base import (
        ArgumentFault,
        Artifact,
        Postponed,
        Problem,
        Tool,
        ToolContext,
        ToolResult,
        Toolset,
        Validate,
    )
    from agentkit.tool.batch import Keep, Record
    from agentkit.tool.binder import Binder
    from agentkit.tool.cancelled import Cancelled
    from agentkit.tool.combine import combine_tools, filter_tools, prefix_tools, rename_tools
    from agentkit.tool.dispatch import Dispatcher
    from agentkit.tool.early import Early
    from agentkit.tool.execution import Emit
    from agentkit.tool.flags import Flags
    from agentkit.tool.policy import DispatchPolicy
    from agentkit.tool.schema import as_tool, raw_tool, tool
    from agentkit.tool.toolset import collect, definitions
    from agentkit.tool.typed import validator
else:
    from agentkit.late import late

    __getattr__, __dir__ = late(
        __name__,
        {
            "agentkit.errors": "ToolError",
            "agentkit.tool.approval": "Answer ApprovalPolicy Approver Question Rule",
            "agentkit.tool.arguments": "Arguments bind",
            "agentkit.tool.asking": "Past",
            "agentkit.tool.base": (
                "ArgumentFault Artifact Postponed Problem Tool ToolContext ToolResult "
                "Toolset Validate"
            ),
            "agentkit.tool.batch": "Keep Record",
            "agentkit.tool.binder": "Binder",
            "agentkit.tool.cancelled": "Cancelled",
            "agentkit.tool.combine": "combine_tools filter_tools prefix_tools rename_tools",
            "agentkit.tool.dispatch": "Dispatcher",
            "agentkit.tool.early": "Early",
            "agentkit.tool.execution": "Emit",
            "agentkit.tool.flags": "Flags",
            "agentkit.tool.policy": "DispatchPolicy",
            "agentkit.tool.schema": "as_tool raw_tool tool",
            "agentkit.tool.toolset": "collect definitions",
            "agentkit.tool.typed": "validator",
        },
    )

__all__ = [
    "Answer",
    "ApprovalPolicy",
    "Approver",
    "ArgumentFault",
    "Arguments",
    "Artifact",
    "Binder",
    "Cancelled",
    "DispatchPolicy",
    "Dispatcher",
    "Early",
    "Emit",
    "Flags",
    "Keep",
    "Past",
    "Postponed",
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
    "combine_tools",
    "definitions",
    "filter_tools",
    "prefix_tools",
    "raw_tool",
    "rename_tools",
    "tool",
    "validator",
]
