"""A run: one execution of an agent, and the only thing that changes while it goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from agentkit.agent.loop import drive
from agentkit.agent.plan import Step, plan_after
from agentkit.context import Context, Upkeep, spent_on_summary
from agentkit.errors import AgentkitError, ConfigError, StoreError
from agentkit.events import (
    ArtifactRef,
    Body,
    Ephemeral,
    Event,
    Replied,
    RunFailed,
    RunFinished,
    RunInterrupted,
    ToolFinished,
    UserMessage,
    now,
)
from agentkit.log import warn
from agentkit.messages import Content, Message, ToolCall, User, plain_text
from agentkit.model import Model
from agentkit.store import Store
from agentkit.tool import Artifact, Dispatcher
from agentkit.usage import Limits, Spent, Usage

Subscriber = Callable[[Event | Ephemeral], None]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a run works with; nothing in it changes during the run."""

    model: Model
    dispatcher: Dispatcher
    store: Store
    limits: Limits
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a run.

    Attributes:
        output: the model's final answer.
        run_id: id of the run in its store.
        turns: replies of the model.
        usage: tokens of all replies.
        cost_usd: dollars, or None when a reply had no known price.
        seconds: wall time.
        artifacts: files that tools made, the newest of each name.
        messages: the whole conversation, the instructions first.
        plan: the plan as the model left it.
    """

    output: str
    run_id: str
    turns: int
    usage: Usage
    cost_usd: float | None
    seconds: float
    artifacts: tuple[Artifact, ...]
    messages: tuple[Message, ...]
    plan: tuple[Step, ...]

    def save_artifacts(self, folder: Path | str) -> list[Path]:
        """Write the artifacts into a folder and return their paths, in the artifacts' order.

        Nothing is overwritten: a name that is taken gets a number.

        Raises:
            OSError: the folder cannot be written.
        """
        return [_save(Path(folder), artifact) for artifact in self.artifacts]


class Run:
    """One execution: its log so far and the folds over it.

    Made by `Agent.open`; `send` may be called several times, one after the other.

    Attributes:
        id: id of the run; ids sort by time.
        events: the durable events so far.
        context: the prompt, as a fold over the events.
        spent: turns, tokens, dollars and seconds so far.
        last_usage: tokens of the last reply.
        plan: the plan, as a fold over the events.
        parts: what the run works with.
        upkeep: keeps the context within its policy.
    """

    def __init__(
        self, run_id: str, parts: Parts, context: Context, subscriber: Subscriber | None = None
    ) -> None:
        self.id = run_id
        self.parts = parts
        self.context = context
        self.upkeep = Upkeep(context, parts.model, parts.store)
        self.events: list[Event] = []
        self.spent = Spent()
        self.last_usage = Usage()
        self.plan: tuple[Step, ...] = ()
        self._artifacts: dict[str, ArtifactRef] = {}
        self._calls: dict[str, ToolCall] = {}
        self._subscriber = subscriber
        self._began = time.monotonic()

    async def send(self, content: Content) -> Result:
        """Give the agent a user message and return what comes of it.

        Raises:
            ConfigError: text that UTF-8 cannot hold, or an image for a text model; the log stays
                as it was.
            ModelError: the model could not be asked.
            LimitExceeded: a limit of the run was reached.
            StoreError: the log could not be written.
        """
        self._check(content)
        await self.record([UserMessage(content=content)])
        try:
            output = await drive(self)
            await self.upkeep.rest(self.append)
        except asyncio.CancelledError:
            await self._end(RunInterrupted(reason="cancelled"))
            raise
        except BaseException as error:
            text = str(error) if isinstance(error, AgentkitError) else repr(error)
            await self._end(RunFailed(error=type(error).__name__, message=text))
            raise
        self.spent = self.measure()
        refs = tuple(self._artifacts.values())
        await self.append([self._finished(output, refs)])
        return Result(
            output=output,
            run_id=self.id,
            turns=self.spent.turns,
            usage=self.spent.usage,
            cost_usd=self.spent.cost_usd,
            seconds=self.spent.seconds,
            artifacts=tuple([await self._artifact(ref) for ref in refs]),
            messages=self.context.messages,
            plan=self.plan,
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

    async def append(self, bodies: Sequence[Body]) -> None:
        """Make the bodies the next events of the log: stored first, then folded, then told.

        Raises:
            StoreError: the log could not be written; nothing has changed.
        """
        seq = len(self.events)
        at = now()
        events = [Event(self.id, seq + index, at, body) for index, body in enumerate(bodies)]
        await self.parts.store.append(self.id, events, seq)
        for event in events:
            self.events.append(event)
            self._apply(event.body)
            if self._subscriber:
                self._subscriber(event)

    async def record(self, bodies: Sequence[Body]) -> None:
        """Append bodies, large texts among them offloaded first; see `append`."""
        await self.append(await self.upkeep.ingest(bodies))

    def emit(self, event: Ephemeral) -> None:
        """Tell the subscriber something that is not kept."""
        if self._subscriber:
            self._subscriber(event)

    @property
    def is_watched(self) -> bool:
        """Whether somebody listens, so that deltas are worth making."""
        return self._subscriber is not None

    @property
    def open_calls(self) -> list[ToolCall]:
        """Calls of the last reply that have no result yet, in call order."""
        return [self._calls[call_id] for call_id in self.context.open_calls]

    def measure(self) -> Spent:
        """Return what has been spent up to this moment."""
        return replace(self.spent, seconds=time.monotonic() - self._began)

    async def keep(self, artifact: Artifact) -> ArtifactRef:
        """Store an artifact's bytes and return its reference."""
        sha256 = await self.parts.store.put_blob(artifact.data)
        return ArtifactRef(artifact.name, artifact.media_type, sha256, len(artifact.data))

    def _apply(self, body: Body) -> None:
        self.context.apply(body)
        self.plan = plan_after(self.plan, body)
        if isinstance(body, Replied):
            self._calls = {call.id: call for call in body.message.tool_calls}
            self.spent = self.spent.plus(body.usage, body.cost_usd)
            self.last_usage = body.usage
        elif aside := spent_on_summary(body):
            self.spent = self.spent.plus(*aside, turns=0)
        elif isinstance(body, ToolFinished):
            self._artifacts.update({ref.name: ref for ref in body.artifacts})

    def _finished(self, output: str, refs: tuple[ArtifactRef, ...]) -> RunFinished:
        return RunFinished(
            output=output,
            turns=self.spent.turns,
            usage=self.spent.usage,
            cost_usd=self.spent.cost_usd,
            seconds=self.spent.seconds,
            artifacts=refs,
        )

    async def _end(self, body: RunInterrupted | RunFailed) -> None:
        """Write the last event although an exception is on its way, which nothing may hide."""
        try:
            await asyncio.shield(self.append([body]))
        except StoreError as error:
            warn("agent", "run.end_not_logged", run_id=self.id, error=str(error))

    async def _artifact(self, ref: ArtifactRef) -> Artifact:
        return Artifact(ref.name, ref.media_type, await self.parts.store.get_blob(ref.sha256))


def _save(folder: Path, artifact: Artifact) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    name = Path(Path(artifact.name).name or "artifact")
    for number in count(1):
        path = folder / (name if number == 1 else f"{name.stem}-{number}{name.suffix}")
        try:
            with path.open("xb") as file:
                file.write(artifact.data)
        except FileExistsError:
            continue
        return path
    raise AssertionError("the count has no end")
