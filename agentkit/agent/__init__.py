"""The agent: its description, its runs and the loop."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentkit.agent.agent import Agent
    from agentkit.agent.guardrails import Guard, Guardrails
    from agentkit.agent.output import Output
    from agentkit.agent.plan import Step, plan_of, update_plan
    from agentkit.agent.result import Result
    from agentkit.agent.run import Run
    from agentkit.agent.watch import ReminderPolicy
else:
    from agentkit.late import late

    __getattr__, __dir__ = late(
        __name__,
        {
            "agentkit.agent.agent": "Agent",
            "agentkit.agent.guardrails": "Guard Guardrails",
            "agentkit.agent.output": "Output",
            "agentkit.agent.plan": "Step plan_of update_plan",
            "agentkit.agent.result": "Result",
            "agentkit.agent.run": "Run",
            "agentkit.agent.watch": "ReminderPolicy",
        },
    )

__all__ = [
    "Agent",
    "Guard",
    "Guardrails",
    "Output",
    "ReminderPolicy",
    "Result",
    "Run",
    "Step",
    "plan_of",
    "update_plan",
]
