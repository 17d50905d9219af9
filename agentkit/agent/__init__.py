"""The agent: its description, its runs and the loop."""

from agentkit.agent.agent import Agent
from agentkit.agent.guardrails import Guard, Guardrails
from agentkit.agent.output import Output
from agentkit.agent.plan import Step, plan_of, update_plan
from agentkit.agent.result import Result
from agentkit.agent.run import Run
from agentkit.agent.watch import ReminderPolicy

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
