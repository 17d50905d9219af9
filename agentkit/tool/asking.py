"""Asking: which of a turn's calls may run, from the policy, earlier answers, and whoever is asked.

Questions are put one at a time, in call order: a person can answer only one, and an answer that is
to be remembered spares the questions after it.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, cast

from agentkit.events import ApprovalAnswered, ApprovalAsked
from agentkit.log import warn
from agentkit.tool.approval import Answer, ApprovalPolicy, Approver, Question
from agentkit.tool.execution import Execution
from agentkit.tool.results import Outcome
from agentkit.tool.threads import Threads


@dataclass(frozen=True, slots=True)
class Past:
    """What the log already says of a run's calls; see `Dispatcher.dispatch`.

    Attributes:
        asked: ids of the calls with an ApprovalAsked.
        answered: the answers by call id.
        remembered: answers that hold for all calls of a tool, by its name.
        attempts: how often a call was started before, by its id.
    """

    asked: AbstractSet[str] = frozenset()
    answered: Mapping[str, ApprovalAnswered] = field(default_factory=dict[str, ApprovalAnswered])
    remembered: Mapping[str, bool] = field(default_factory=dict[str, bool])
    attempts: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a call may run; None when somebody has to be asked."""

    approved: bool | None
    reason: str = ""


ALLOWED = Verdict(approved=True)


class Asking:
    """The questions of one turn.

    Args:
        policy: what may run, what may not, and what has to be asked about.
        approver: whom to ask; None when nobody is there.
        past: earlier questions and answers of the run.
        run_id: id of the run.
        threads: where an approver that is not async runs, since it may wait for a person.

    Attributes:
        allows_all: whether no call needs a look.
    """

    def __init__(
        self,
        policy: ApprovalPolicy,
        approver: Approver | None,
        past: Past,
        run_id: str,
        threads: Threads,
    ) -> None:
        self._policy = policy
        self._approver = approver
        self._past = past
        self._run_id = run_id
        self._threads = threads
        self._remembered = past.remembered
        self.allows_all = (
            not policy.rules and policy.default == "allow" and not (past.asked or past.answered)
        )
        self._open: list[tuple[Execution, str]] = []

    def judge(self, execution: Execution) -> Verdict:
        """Return whether a call may run, as far as that is known."""
        policy, past, call_id = self._policy, self._past, execution.call.id
        answer = past.answered.get(call_id)
        if answer is not None and not answer.approved:
            return Verdict(approved=False, reason=answer.reason)
        if answer is None and call_id in past.asked and past.attempts.get(call_id):
            # It was cut in the middle, and whether to run it again is what is asked.
            return Verdict(approved=None)
        decision, reason = policy.decide(execution.tool, execution.arguments.given)
        if decision != "ask" or answer is not None:
            return Verdict(decision != "deny", reason)
        remembered = self._remembered.get(execution.tool.name)
        if remembered is None:
            return Verdict(approved=None, reason=reason)
        return Verdict(remembered, "" if remembered else "calls of this tool were denied before")

    def put(self, execution: Execution, reason: str) -> ApprovalAsked | None:
        """Take a question; return what the log has to say of it, unless it says so already."""
        self._open.append((execution, reason))
        if execution.call.id in self._past.asked:
            return None
        return ApprovalAsked(
            call_id=execution.call.id,
            name=execution.tool.name,
            arguments=execution.arguments.given,
            reason=reason,
        )

    @property
    def can_ask(self) -> bool:
        """Whether there is a question, and somebody to put it to."""
        return bool(self._open) and self._approver is not None

    async def ask(self, heard: Callable[[Execution, ApprovalAnswered], None]) -> None:
        """Put all questions, and tell each answer; a question left open is not told."""
        for execution, reason in self._open:
            name = execution.tool.name
            if (known := self._remembered.get(name)) is not None:
                answer: Answer | None = Answer(known, "" if known else "as answered before")
                by = "remembered"
            else:
                answer, by = await self._answer(execution, reason), "callback"
            if answer is None:
                continue
            if answer.remember:
                self._remembered = {**self._remembered, name: answer.approved}
            heard(
                execution,
                ApprovalAnswered(
                    call_id=execution.call.id,
                    name=name,
                    approved=answer.approved,
                    reason=answer.reason,
                    remember=answer.remember,
                    by=by,
                ),
            )

    async def _answer(self, execution: Execution, reason: str) -> Answer | None:
        """Return the approver's answer; one that fails denies."""
        name = execution.tool.name
        arguments = execution.arguments.given
        question = Question(self._run_id, execution.call.id, name, arguments, reason)
        try:
            answer = await self._put_to_approver(question)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            failure: BaseException = error
        except BaseException as error:  # noqa: BLE001 - foreign code; fail closed
            failure = error
        else:
            if answer is None or isinstance(answer, Answer):
                return answer
            if isinstance(answer, bool):
                return Answer(answer)
            failure = TypeError(f"expected an Answer, a bool or None, got {answer!r:.100}")
        warn(
            "tool",
            "tool.approver_failed",
            run_id=self._run_id,
            call_id=execution.call.id,
            tool=name,
            error=repr(failure)[:500],
        )
        return Answer(approved=False, reason="the question could not be put to anybody")

    async def _put_to_approver(self, question: Question) -> object:
        approver = self._approver
        assert approver is not None
        if inspect.iscoroutinefunction(approver) or inspect.iscoroutinefunction(
            getattr(approver, "__call__", None)  # noqa: B004 - an object with an async call
        ):
            return await cast("Any", approver)(question)
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Any] = loop.create_future()

        def settle(value: object, error: BaseException | None) -> None:
            if ended.done():
                return
            if error is None:
                ended.set_result(value)
            else:
                ended.set_exception(_Failed(error))

        def job() -> None:
            value: object = None
            failure: BaseException | None = None
            try:
                value = approver(question)
            except BaseException as error:  # noqa: BLE001 - handed over
                failure = error
            try:
                loop.call_soon_threadsafe(settle, value, failure)
            except RuntimeError:  # the loop is gone, and nobody waits
                return

        self._threads.submit(job)
        value = await ended
        return await value if inspect.isawaitable(value) else value


class _Failed(Exception):
    """Carries what an approver raised out of its thread, where a future takes no BaseException."""


def denied(name: str, reason: str) -> Outcome:
    """Return the outcome of a call that may not run."""
    why = f" Reason: {reason.rstrip('.')}." if reason else ""
    return Outcome(
        "denied",
        f"Denied: {name} was not run.{why} Do not make this call again; reach the goal another "
        "way, or say what you would need and why.",
    )
