"""Reminders: the plan recited from time to time, and loops told before they are stopped."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import orjson

from agentkit.agent.plan import Step, recite
from agentkit.errors import LoopDetected
from agentkit.events import Body, Reminder, Replied, ToolFinished, ToolStarted, UserMessage

_FAILED = ("error", "timeout", "unknown")


@dataclass(frozen=True, slots=True)
class ReminderPolicy:
    """When the framework reminds the model; 0 switches one off.

    Attributes:
        plan_every: turns after which an unfinished plan is recited again. Default 8.
        loop_tell: the same call with the same result, so many times and nothing new meanwhile, is
            told to the model. Default 3.
        loop_stop: so many times ends the run with LoopDetected. Default 6.
        failures: failures of one tool in a row after which the model is asked to reflect.
            Default 3.
    """

    plan_every: int = 8
    loop_tell: int = 3
    loop_stop: int = 6
    failures: int = 3


class Watch:
    """Watches a run's log for what the model should be reminded of.

    A call is new when its tool, arguments and result have not been seen together since the last
    user message. Anything new is progress and forgets all counts, so that running the same test
    after each edit is no loop, while A, B, A, B without a new result is one.
    """

    def __init__(self, policy: ReminderPolicy) -> None:
        self._policy = policy
        self._arguments: dict[str, str] = {}
        self._plan: tuple[Step, ...] = ()
        self._forget()
        self._turns = 0

    def _forget(self) -> None:
        self._counts: dict[bytes, int] = {}
        self._failures: dict[str, int] = {}
        self._loop: tuple[str, int] | None = None
        self._failing: str | None = None
        self._counted: set[object] = set()  # what counts once in a turn

    def apply(self, body: Body, plan: tuple[Step, ...]) -> None:
        """Take the next event, and the plan after it."""
        if plan is not self._plan:
            self._plan, self._turns = plan, 0
        match body:
            case UserMessage():
                self._forget()
            case Replied(message=message):
                self._turns += 1
                self._arguments = {call.id: call.arguments for call in message.tool_calls}
                self._loop = self._failing = None
                self._counted.clear()
            case ToolStarted(call_id=call_id, arguments=arguments):
                # As used: the same call spelt otherwise is the same call.
                self._arguments[call_id] = orjson.dumps(
                    arguments, default=str, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
                ).decode()
            case ToolFinished():
                self._finish(body)
            case Reminder(topic="plan"):
                self._turns = 0
            case _:
                pass

    def due(self) -> list[Reminder]:
        """Return what the model should be told now, at the end of the last result.

        Raises:
            LoopDetected: it was told of a loop and goes on with it.
        """
        policy, found = self._policy, list[Reminder]()
        if self._loop:
            name, times = self._loop
            if policy.loop_stop and times >= policy.loop_stop:
                raise LoopDetected(
                    f"The model called {name} {times} times with the same arguments and the same "
                    "result, although told. Change the task or the tool, or allow more with "
                    "ReminderPolicy(loop_stop=...)."
                )
            found.append(
                Reminder(
                    topic="loop",
                    content=f"[You have made this call of {name} {times} times and got the same "
                    "result each time. Think about what you learned from it, then do something "
                    "else, or give your answer with what you have.]",
                )
            )
        elif self._failing:
            found.append(
                Reminder(
                    topic="loop",
                    content=f"[{self._failing} has failed {policy.failures} times in a row. Before "
                    "you call it again, think about why, and what you would do differently.]",
                )
            )
        is_open = any(step.status != "done" for step in self._plan)
        if policy.plan_every and is_open and self._turns >= policy.plan_every:
            found.append(Reminder(topic="plan", content=f"[{recite(self._plan)}]"))
        return found

    def _finish(self, body: ToolFinished) -> None:
        said = f"{body.name}\0{self._arguments.get(body.call_id, '')}\0{body.content}"
        key = hashlib.sha256(said.encode(errors="surrogatepass")).digest()
        if key not in self._counted:
            self._counted.add(key)
            self._count(body.name, key)
        if body.status not in _FAILED:
            self._failures.pop(body.name, None)
        elif body.name not in self._counted:
            self._counted.add(body.name)
            self._failures[body.name] = self._failures.get(body.name, 0) + 1
            if self._policy.failures and self._failures[body.name] % self._policy.failures == 0:
                self._failing = body.name

    def _count(self, name: str, key: bytes) -> None:
        count = self._counts.get(key, 0) + 1
        if count == 1:
            self._counts = dict.fromkeys(self._counts, 1)  # something new: progress
        self._counts[key] = count
        if self._policy.loop_tell and count >= self._policy.loop_tell:
            self._loop = (name, count)
