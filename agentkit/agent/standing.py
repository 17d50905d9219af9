"""Where a run stands: the fold over its log that the loop decides by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from agentkit.agent.plan import Step, plan_after
from agentkit.context import spent_on_summary
from agentkit.events import (
    ApprovalAnswered,
    ApprovalAsked,
    ArtifactRef,
    Body,
    Noted,
    Reminder,
    Replied,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    ToolFinished,
    ToolStarted,
    UserMessage,
)
from agentkit.messages import Assistant, ToolCall
from agentkit.usage import Spent, Usage

REFUSALS = ("output", "guardrail")
"""Topics of reminders and notes that refuse what the model said."""


class Standing:
    """The state of a run, event by event; the same log gives the same state.

    Attributes:
        spent: turns, tokens and dollars; the runs of sub-agents count, except their turns.
        last_usage: tokens of the last reply.
        plan: as the model left it.
        artifacts: the newest of each name.
        reply: the last reply, until a user message or a reminder follows it.
        is_fresh: whether nothing has followed the last reply yet.
        calls: the calls of the last reply.
        started: those of them that began, by call id.
        results: those of them that ended, by call id.
        attempts: how often each of them began.
        uses: in how many replies each call id stood; some servers count their calls anew each time.
        asked: those of them that were asked about and have not begun since.
        answered: the answers to these.
        remembered: answers that hold for all calls of a tool, by the tool's name.
        refusals: what was refused of the model since the last user message.
        finished: the last event, if it says that the run is done.
        is_paused: whether the last event is a pause.
        identity: the model, instructions and tools in force.
    """

    def __init__(self, final_tool: str | None = None) -> None:
        self._final_tool = final_tool
        self.spent = Spent()
        self.last_usage = Usage()
        self.plan: tuple[Step, ...] = ()
        self.artifacts: dict[str, ArtifactRef] = {}
        self.remembered: dict[str, bool] = {}
        self.refusals = 0
        self.finished: RunFinished | None = None
        self.is_paused = False
        self.identity: RunStarted | RunResumed | None = None
        self.uses: Counter[str] = Counter()
        self._take_reply(None)

    @property
    def open_calls(self) -> list[ToolCall]:
        """Calls of the last reply that have no result yet, in call order."""
        return [call for call_id, call in self.calls.items() if call_id not in self.results]

    @property
    def waiting(self) -> list[ApprovalAsked]:
        """Calls that wait for an answer, in the order they were asked about."""
        return [
            asked
            for call_id, asked in self.asked.items()
            if call_id not in self.answered and call_id not in self.results
        ]

    def apply(self, body: Body) -> None:
        """Take the next event of the log."""
        self.plan = plan_after(self.plan, body)
        self.finished = body if isinstance(body, RunFinished) else None
        self.is_paused = isinstance(body, RunPaused)
        match body:
            case RunStarted() | RunResumed():
                self.identity = body
            case UserMessage():
                self._take_reply(None)
                self.refusals = 0
            case Replied():
                self._take_reply(body.message)
                self.uses.update(self.calls.keys())
                self.spent = self.spent.plus(body.usage, body.cost_usd)
                self.last_usage = body.usage
            case Reminder(topic=topic):
                self._refuse(topic)
                if self.reply is not None and not self.reply.tool_calls:
                    self.reply = None
            case Noted(topic=topic):
                self._refuse(topic)
                if (aside := spent_on_summary(body)) is not None:
                    self.spent = self.spent.plus(*aside, turns=0)
            case ToolStarted() | ToolFinished() | ApprovalAsked() | ApprovalAnswered():
                self._take_call(body)
            case _:
                pass

    def _take_reply(self, message: Assistant | None) -> None:
        self.reply = message
        self.is_fresh = message is not None
        calls = message.tool_calls if message else ()
        self.calls: Mapping[str, ToolCall] = {call.id: call for call in calls}
        self.started: dict[str, ToolStarted] = {}
        self.results: dict[str, ToolFinished] = {}
        self.attempts: dict[str, int] = {}
        self.asked: dict[str, ApprovalAsked] = {}
        self.answered: dict[str, ApprovalAnswered] = {}

    def _take_call(
        self, body: ToolStarted | ToolFinished | ApprovalAsked | ApprovalAnswered
    ) -> None:
        match body:
            case ToolStarted(call_id=call_id):
                self.is_fresh = False
                self.started[call_id] = body
                self.attempts[call_id] = self.attempts.get(call_id, 0) + 1
                self.asked.pop(call_id, None)
            case ToolFinished():
                self._finish(body)
            case ApprovalAsked(call_id=call_id):
                self.asked[call_id] = body
                self.answered.pop(call_id, None)
            case ApprovalAnswered():
                self._answer(body)

    def _finish(self, body: ToolFinished) -> None:
        self.is_fresh = False
        self.results[body.call_id] = body
        self.artifacts.update({ref.name: ref for ref in body.artifacts})
        if (sub := body.sub_run) is not None:
            self.spent = self.spent.plus(sub.usage, sub.cost_usd, turns=0)
        if body.name == self._final_tool and body.status != "ok":
            self.refusals += 1

    def _answer(self, body: ApprovalAnswered) -> None:
        self.answered[body.call_id] = body
        if body.remember:
            self.remembered[body.name] = body.approved

    def _refuse(self, topic: str) -> None:
        if topic in REFUSALS:
            self.refusals += 1
            self.is_fresh = False
