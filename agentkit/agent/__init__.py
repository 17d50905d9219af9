"""The agent: its description, its runs and the loop."""

from agentkit.agent.agent import Agent
from agentkit.agent.plan import Step, plan_of, update_plan
from agentkit.agent.run import Result, Run

__all__ = ["Agent", "Result", "Run", "Step", "plan_of", "update_plan"]
