"""Runs in the Agent Trajectory Interchange Format (ATIF) of the Harbor project.

Source: harbor-framework/harbor, rfcs/0001-trajectory-format.md. Written as v1.7: v1.8 adds audio
only, which no log holds, and readers of 1.7 are more. Rewards have no field of their own there and
stand in `extra`.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, cast

from agentkit.events import Event, Reminder, Replied, ToolFinished, UserMessage
from agentkit.messages import ToolCall, plain_text
from agentkit.trace.export import Json, arguments_of
from agentkit.trace.recorded import Recorded
from agentkit.usage import Spent

VERSION = "ATIF-v1.7"


def atif(run: Recorded, reward: float | None = None) -> Json:
    """Return a run, with the runs of its sub-agents embedded, as one ATIF document.

    Args:
        run: the run.
        reward: kept under "extra" when given.
    """
    steps = _steps(run)
    return _present(
        {
            "schema_version": VERSION,
            "session_id": run.started.parent_run or run.events[0].run_id,
            "trajectory_id": run.events[0].run_id,
            "agent": {
                "name": run.started.agent,
                "version": version("agentkit-glm"),
                "model_name": run.started.model,
                "tool_definitions": list(run.tools) or None,
                "extra": {"framework": "agentkit", "provider": run.started.provider},
            },
            "steps": steps,
            "final_metrics": _sums(run, len(steps)),
            "extra": None if reward is None else {"reward": reward},
            "subagent_trajectories": [atif(child) for child in run.children] or None,
        }
    )


def _steps(run: Recorded) -> list[Json]:
    steps: list[Json] = [{"source": "system", "message": run.instructions}]
    calls: dict[str, Json] = {}  # the step of each call
    embedded = {child.events[0].run_id for child in run.children}
    for event in run.events:
        body = event.body
        if isinstance(body, UserMessage):
            steps.append(_step(event, "user", plain_text(body.content)))
        elif isinstance(body, Reminder):
            steps.append(_step(event, "system", body.content))
        elif isinstance(body, Replied):
            steps.append(_replied(event, body))
            calls.update((call.id, steps[-1]) for call in body.message.tool_calls)
        elif isinstance(body, ToolFinished) and (step := calls.get(body.call_id)):
            step.setdefault("observation", {"results": []})["results"].append(
                _result(body, embedded)
            )
    for number, step in enumerate(steps, 1):
        step["step_id"] = number
    return steps


def _step(event: Event, source: str, message: str) -> Json:
    return {"timestamp": event.at, "source": source, "message": message}


def _replied(event: Event, body: Replied) -> Json:
    usage = body.usage
    return _step(event, "agent", body.message.content) | _present(
        {
            "model_name": body.model,
            "reasoning_content": body.message.thinking or None,
            "tool_calls": [_call(call) for call in body.message.tool_calls] or None,
            "metrics": {
                "prompt_tokens": usage.input,
                "completion_tokens": usage.output,
                "cached_tokens": usage.cached,
                "cost_usd": body.cost_usd,
                "extra": {"reasoning_tokens": usage.thinking},
            },
            "llm_call_count": 1,
            "extra": {
                "finish_reason": body.finish_reason,
                "seconds": body.seconds,
                "attempts": body.attempts,
                "faults": list(body.faults) or None,
            },
        }
    )


def _call(call: ToolCall) -> Json:
    given = arguments_of(call)
    return _present(
        {
            "tool_call_id": call.id,
            "function_name": call.name,
            "arguments": given,
            # Not an object of arguments: the model's own text is kept beside the empty one.
            "extra": {"text": call.arguments} if call.arguments and not given else None,
        }
    ) | {"arguments": given}


def _result(body: ToolFinished, embedded: set[str]) -> Json:
    sub = body.sub_run
    files = [{"name": ref.name, "sha256": ref.sha256} for ref in body.artifacts]
    return _present(
        {
            "source_call_id": body.call_id,
            "content": body.content,
            "subagent_trajectory_ref": [{"trajectory_id": sub.run_id, "session_id": sub.run_id}]
            if sub and sub.run_id in embedded
            else None,
            "extra": {"status": body.status, "seconds": body.seconds, "artifacts": files or None},
        }
    )


def _sums(run: Recorded, steps: int) -> Json:
    spent = Spent()
    for event in run.events:
        if isinstance(event.body, Replied):
            spent = spent.plus(event.body.usage, event.body.cost_usd)
    return {
        "total_prompt_tokens": spent.usage.input,
        "total_completion_tokens": spent.usage.output,
        "total_cached_tokens": spent.usage.cached,
        "total_cost_usd": spent.cost_usd,
        "total_steps": steps,
    }


def _present(fields: Json) -> Json:
    """Return the fields that have a value, inside objects too; ATIF leaves absent ones out."""
    kept: dict[str, Any] = {}
    for name, value in fields.items():
        if value is not None:
            kept[name] = _present(cast("Json", value)) if isinstance(value, dict) else value
    return kept
