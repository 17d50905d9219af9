"""agentkit: agents on GLM-5, with parallel tools, a sandbox and a log that survives."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
else:
    from importlib import import_module

    from agentkit.late import late

    # A room's name is put here once, at its first import; this one gives way to the decorator.
    import_module("agentkit.tool")
    globals().pop("tool", None)
    __getattr__, __dir__ = late(
        __name__,
        {
            "agentkit.agent": "Agent Guardrails Output ReminderPolicy Result Run Step update_plan",
            "agentkit.agent.workflow": "Workflow workflow",
            "agentkit.context": "",
            "agentkit.errors": "AgentkitError",
            "agentkit.events": "",
            "agentkit.messages": "",
            "agentkit.model": "GLM Price RetryPolicy",
            "agentkit.store": "MemoryStore SQLiteStore open_store",
            "agentkit.tool": (
                "Answer ApprovalPolicy Artifact DispatchPolicy Question Rule Tool ToolContext "
                "ToolError ToolResult tool"
            ),
            "agentkit.usage": "Limits Usage",
        },
    )

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
