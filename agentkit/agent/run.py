"""A run: one execution of an agent, and the only thing that changes while it goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Generic, cast

from typing_extensions import TypeVar

from agentkit.agent.below import PausedRun, left_behind, named, paused_runs, questions, sub_run
from agentkit.agent.guardrails import Guardrails, refusal
from agentkit.agent.loop import PAUSED, drive
from agentkit.agent.output import Finish, encoded
from agentkit.agent.plan import Step
from agentkit.agent.restore import settle_in_flight
from agentkit.agent.result import Result
from agentkit.agent.standing import Standing
from agentkit.agent.watch import ReminderPolicy, Watch
from agentkit.context import Context, Upkeep
from agentkit.errors import AgentkitError, ConfigError, GuardrailTripped, StoreError
from agentkit.events import (
    ApprovalAnswered,
    ArtifactRef,
    Body,
    Ephemeral,
    Event,
    Noted,
    RunFailed,
    RunFinished,
    RunInterrupted,
    RunPaused,
    ToolFinished,
    UserMessage,
    now,
)
from agentkit.log import ids, warn
from agentkit.messages import Content, User, plain_text
from agentkit.model import Model
from agentkit.store import Claim, Store
from agentkit.tool import ApprovalPolicy, Approver, Artifact, Dispatcher, Question, Tool
from agentkit.usage import Left, Limits, Spent

T = TypeVar("T", default=str)

Subscriber = Callable[[Event | Ephemeral], None]

CURRENT: ContextVar[Run[Any] | None] = ContextVar("agentkit_run", default=None)
"""The run whose tools run here, so that a sub-agent finds its parent."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a run works with; nothing in it changes during the run."""

    model: Model
    dispatcher: Dispatcher
    tools: Mapping[str, Tool]
    store: Store
    limits: Limits
    finish: Finish
    guardrails: Guardrails
    reminders: ReminderPolicy
    approval: ApprovalPolicy
    approver: Approver | None
    strict: bool = False


class Run(Generic[T]):
    """One execution: its log so far and the folds over it.

    Made by `Agent.open`; `send` may be called several times, one after the other.

    Attributes:
        id: id of the run; ids sort by time.
        events: the durable events so far.
        context: the prompt, as a fold over the events.
        standing: where the run stands, as a fold over the events.
        watch: what the model should be reminded of, as a fold over the events.
        parts: what the run works with.
        upkeep: keeps the context within its policy.
        parent: the run whose call this one serves, if any.
        claim: what appends are made under, so that a process that lost the run writes no more.
        children: runs of sub-agents whose cost is not in this run's log yet, by id: those that
            work here, and those that are paused.
    """

    def __init__(
        self,
        run_id: str,
        parts: Parts,
        context: Context,
        subscriber: Subscriber | None = None,
        parent: Run[Any] | None = None,
    ) -> None:
        self.id = run_id
        self.parts = parts
        self.context = context
        self.upkeep = Upkeep(context, parts.model, parts.store)
        self.events: list[Event] = []
        self.standing = Standing(parts.finish.tool_name)
        self.watch = Watch(parts.reminders)
        self.children: dict[str, Run[Any] | PausedRun] = {}
        self.claim: Claim | None = None
        self.parent = parent
        self._subscriber = subscriber
        self._began = time.monotonic()

    async def send(self, content: Content) -> Result[T]:
        """Give the agent a user message and return what comes of it.

        Raises:
            ConfigError: text that UTF-8 cannot hold, or an image for a text model; the log stays
                as it was.
            GuardrailTripped: a guardrail refused the message, a reply or the output.
            OutputInvalid: the model gave no output of the agent's type.
            LoopDetected: the model repeats itself.
            LimitExceeded: a limit of the run was reached.
            ModelError: the model could not be asked.
            StoreError: the log could not be written.
        """
        self._check(content)
        if reason := await refusal(self.parts.guardrails.input, content):
            await self.append([Noted(topic="input_refused", text=reason)])
            raise GuardrailTripped(f"The user message was refused: {reason}", "input")
        await self.record([*await self._dropped(), UserMessage(content=content)])
        return await self._go()

    async def resume(self) -> Result[T]:
        """Go on from wherever the log stands; a run that is done gives its result again.

        A call that was running when its process ended is run again only if its tool is read-only
        or idempotent; otherwise the model is told that its outcome is unknown, or, where the
        approval policy says so, somebody is asked.

        Raises:
            ConfigError: the run has no user message yet.
            AgentkitError: as `send` does.
        """
        if done := self.standing.finished:
            return await self._result(cast("T", self.parts.finish.decode(done.output)))
        if not any(isinstance(event.body, UserMessage) for event in self.events):
            raise ConfigError(f"Run {self.id} has no user message yet; `send` one.")
        await settle_in_flight(self)
        return await self._go()

    async def compact(self) -> int:
        """Compact the context now, between two messages; return how many tokens left the prompt.

        0 where there is too little to compact, or the agent's context policy does not.

        Raises:
            ModelError: the model could not be asked for the summary.
            StoreError: the log could not be written.
        """
        return await self.upkeep.compact(self.append)

    async def approve(self, call_id: str, *, remember: bool = False) -> None:
        """Allow a call that waits, here or in the run of a sub-agent; `resume` then runs it.

        Args:
            call_id: of a pending question, or its `address` where two runs have calls of one id;
                the beginning is enough where it says which.
            remember: allow later calls of this tool, in the run that asks, without asking.

        Raises:
            ConfigError: no such call waits, or several do.
            RunTaken: somebody works on the sub-agent's run.
        """
        await self._answer(call_id, approved=True, reason="", remember=remember)

    async def deny(self, call_id: str, reason: str = "", *, remember: bool = False) -> None:
        """Deny a call that waits; `resume` then tells the model that made it why.

        Raises:
            AgentkitError: as `approve` does.
        """
        await self._answer(call_id, approved=False, reason=reason, remember=remember)

    async def answer(self, answers: Mapping[str, bool | str]) -> None:
        """Answer calls that wait: call ids to True, or to False or the reason of a denial.

        Raises:
            AgentkitError: as `approve` does.
        """
        for call_id, said in answers.items():
            if said is True:
                await self.approve(call_id)
            else:
                await self.deny(call_id, said or "")

    @property
    def pending(self) -> tuple[Question, ...]:
        """Calls that wait for approval, here and in the paused runs of sub-agents."""
        below = [question for child in self._paused() for question in child.pending]
        return (*questions(self.id, self.standing), *below)

    @property
    def plan(self) -> tuple[Step, ...]:
        """The plan as the model left it."""
        return self.standing.plan

    @property
    def spent(self) -> Spent:
        """Turns, tokens and dollars of the log so far."""
        return self.standing.spent

    async def append(self, bodies: Sequence[Body]) -> None:
        """Make the bodies the next events of the log: stored first, then folded, then told.

        The log and the subscriber get them without redacted arguments, the prompt as they are.

        Raises:
            StoreError: the log could not be written; nothing has changed.
        """
        seq = len(self.events)
        at = now()
        redacted = self.parts.dispatcher.redacted
        events = [Event(self.id, seq + index, at, redacted(b)) for index, b in enumerate(bodies)]
        await self.parts.store.append(self.id, events, seq, self.claim)
        for event, body in zip(events, bodies, strict=True):
            self.apply(event, body)
            if self._subscriber:
                self._subscriber(event)

    async def record(self, bodies: Sequence[Body]) -> None:
        """Append bodies, large texts among them offloaded first; see `append`."""
        await self.append(await self.upkeep.ingest(bodies))

    def apply(self, event: Event, body: Body) -> None:
        """Fold an event that is in the log; `body` is its own, before anything was redacted."""
        self.events.append(event)
        self.context.apply(body, event.body)
        self.standing.apply(body)
        self.watch.apply(body, self.standing.plan)
        if self.children and (sub := getattr(body, "sub_run", None)):
            self.children.pop(sub.run_id, None)

    def emit(self, event: Ephemeral) -> None:
        """Tell the subscriber something that is not kept."""
        if self._subscriber:
            self._subscriber(event)

    @property
    def is_watched(self) -> bool:
        """Whether somebody listens, so that deltas are worth making."""
        return self._subscriber is not None

    def measure(self) -> Spent:
        """Return what has been spent up to this moment, sub-agents that still run included."""
        spent = self.standing.spent
        for child in tuple(self.children.values()):
            part = child.measure()
            spent = spent.plus(part.usage, part.cost_usd, turns=0)
        return replace(spent, seconds=time.monotonic() - self._began)

    def check_limits(self) -> None:
        """Raise LimitExceeded when this run, or one above it, may spend nothing more.

        Turns are each run's own; dollars and seconds are shared with the runs above.
        """
        self.parts.limits.check(self.measure())
        above = self.parent
        while above is not None:
            above.parts.limits.check(replace(above.measure(), turns=0))
            above = above.parent

    def left(self) -> Left:
        """Return what may still be spent here, under the limits of the runs above too."""
        own = self.parts.limits.left(self.measure())
        return own.least(replace(self.parent.left(), turns=None)) if self.parent else own

    async def look_below(self) -> None:
        """Read the logs of the sub-agents' runs that serve open calls and that nobody works on."""
        self.children.update(await paused_runs(self.parts.store, self.id, self.standing))

    async def keep(self, artifact: Artifact) -> ArtifactRef:
        """Store an artifact's bytes and return its reference."""
        sha256 = await self.parts.store.put_blob(artifact.data)
        return ArtifactRef(artifact.name, artifact.media_type, sha256, len(artifact.data))

    async def _go(self) -> Result[T]:
        token = CURRENT.set(self)
        try:
            with ids(run_id=self.id):
                output = await drive(self)
                await self.upkeep.rest(self.append)
        except asyncio.CancelledError:
            await self._end(RunInterrupted(reason="cancelled"))
            raise
        except BaseException as error:
            text = str(error) if isinstance(error, AgentkitError) else repr(error)
            await self._end(RunFailed(error=type(error).__name__, message=text))
            raise
        finally:
            CURRENT.reset(token)
        if output is PAUSED:
            await self.look_below()
            if not self.standing.is_paused:
                await self.append([self._pause()])
            return await self._result(cast("T", None))
        await self.append([self._finished(output)])
        return await self._result(output)

    async def _result(self, output: T) -> Result[T]:
        spent = self.measure()
        refs = tuple(self.standing.artifacts.values())
        return Result(
            output=output,
            run_id=self.id,
            turns=spent.turns,
            usage=spent.usage,
            cost_usd=spent.cost_usd,
            seconds=spent.seconds,
            artifacts=tuple([one for ref in refs if (one := await self._artifact(ref))]),
            messages=self.context.messages,
            plan=self.plan,
            pending=self.pending,
        )

    def _pause(self) -> RunPaused:
        calls = tuple(one.call_id if one.run_id == self.id else one.address for one in self.pending)
        paused = {child.call_id: child for child in self._paused() if child.pending}
        sub_runs = {call_id: sub_run(child) for call_id, child in paused.items()}
        return RunPaused(reason="approval", calls=calls, sub_runs=sub_runs)

    async def _dropped(self) -> list[ToolFinished]:
        """Return the end of open calls that sub-agents serve: a message leaves them behind.

        Their results say what was spent, which counts from then on as that of any other does.
        """
        if not self.standing.open_calls:
            return []
        await self.look_below()
        return [left_behind(child, self.standing) for child in self._paused()]

    def _paused(self) -> list[PausedRun]:
        """Return the paused runs below whose calls are still open."""
        paused = [child for child in self.children.values() if isinstance(child, PausedRun)]
        calls = {call.id for call in self.standing.open_calls} if paused else set[str]()
        return [child for child in paused if child.call_id in calls]

    def _finished(self, output: Any) -> RunFinished:
        spent = self.measure()
        return RunFinished(
            output=encoded(output),
            turns=spent.turns,
            usage=spent.usage,
            cost_usd=spent.cost_usd,
            seconds=spent.seconds,
            artifacts=tuple(self.standing.artifacts.values()),
        )

    def _check(self, content: Content) -> None:
        """Refuse what could never be sent before it is in the log, where it would stay."""
        try:
            plain_text(content).encode()
        except UnicodeEncodeError as error:
            raise ConfigError(
                f"The user message is no valid text: {error}. Decode its bytes as UTF-8 first."
            ) from error
        self.parts.model.encode(User(content))

    async def _answer(self, call_id: str, *, approved: bool, reason: str, remember: bool) -> None:
        question = named(call_id, self.pending, self.id)
        answer = ApprovalAnswered(
            call_id=question.call_id,
            name=question.tool,
            approved=approved,
            reason=reason,
            remember=remember,
        )
        if question.run_id == self.id:
            await self.append([answer])
            return
        for child in self._paused():
            if told := await child.answer(question.run_id, answer, self.parts.store):
                self.emit(told)
                return

    async def _end(self, body: RunInterrupted | RunFailed) -> None:
        """Write the last event although an exception is on its way, which nothing may hide."""
        try:
            await asyncio.shield(self.append([body]))
        except StoreError as error:
            warn("agent", "run.end_not_logged", run_id=self.id, error=str(error))

    async def _artifact(self, ref: ArtifactRef) -> Artifact | None:
        """Return a file that a tool made; one that is lost must not take the output with it."""
        try:
            data = await self.parts.store.get_blob(ref.sha256)
        except StoreError as error:
            warn("agent", "artifact.lost", run_id=self.id, name=ref.name, error=str(error))
            return None
        return Artifact(ref.name, ref.media_type, data)
