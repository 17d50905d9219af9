"""The plan: a tool that the model calls, and a fold that reads its calls."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from agentkit.events import Body, ToolStarted

StepStatus = Literal["pending", "in_progress", "done"]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the plan."""

    title: str
    status: StepStatus = "pending"


def update_plan(steps: list[Step]) -> str:
    """Write down or update your plan for this task. Send all steps each time, in order.

    Call it before you begin a task of several steps and whenever a step is done.

    Args:
        steps: every step with a short title and its status; at most one is in progress.
    """
    return recite(tuple(steps))


def recite(plan: tuple[Step, ...]) -> str:
    """Return the plan as lines that a model or a person can read."""
    marks: dict[StepStatus, str] = {"pending": "[ ]", "in_progress": "[>]", "done": "[x]"}
    done = sum(step.status == "done" for step in plan)
    lines = [f"{marks[step.status]} {step.title}" for step in plan]
    return "\n".join([f"Plan: {done} of {len(plan)} steps done.", *lines])


def plan_of(bodies: Iterable[Body]) -> tuple[Step, ...]:
    """Return the plan as the log's last `update_plan` call left it; empty when there is none."""
    plan: tuple[Step, ...] = ()
    for body in bodies:
        plan = plan_after(plan, body)
    return plan


def plan_after(plan: tuple[Step, ...], body: Body) -> tuple[Step, ...]:
    """Return the plan after one more event."""
    if not isinstance(body, ToolStarted) or body.name != "update_plan":
        return plan
    steps: list[Any] = body.arguments.get("steps") or []
    return tuple(
        step if isinstance(step, Step) else Step(step["title"], step.get("status", "pending"))
        for step in steps
    )
