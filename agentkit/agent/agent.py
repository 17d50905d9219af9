"""An agent: a frozen description from which runs are made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Generic

from typing_extensions import TypeVar

from agentkit.agent.guardrails import Guardrails
from agentkit.agent.opening import Origin, open_run
from agentkit.agent.output import Output
from agentkit.agent.result import Result
from agentkit.agent.run import Run, Subscriber
from agentkit.agent.watch import ReminderPolicy
from agentkit.context import ContextPolicy, named
from agentkit.errors import ConfigError
from agentkit.events import Ephemeral, Event
from agentkit.messages import Content
from agentkit.model import GLM, Model
from agentkit.store import Store
from agentkit.tool import ApprovalPolicy, Approver, DispatchPolicy, Tool, Toolset
from agentkit.usage import Limits

T = TypeVar("T", default=str)

INSTRUCTIONS = "You are a helpful assistant."
_TEXT: Any = str  # the default of T, which a type checker cannot see


# Without slots: Python 3.11 cannot parametrise frozen ones, as in Agent[int](...).
@dataclass(frozen=True)
class Agent(Generic[T]):
    """What a run is made from: a model, instructions, tools and limits.

    Attributes:
        model: a model, or the name of a GLM model at the configured endpoint.
        instructions: the system prompt, frozen for each run.
        tools: functions, tools and toolsets, in any mixture; their names must differ.
        output: what a run gives: `str`, or a pydantic model, dataclass, TypedDict, list or union
            of these; an `Output` says how it is asked for.
        limits: what one run may spend. Default 50 turns.
        name: of the agent, for the log.
        store: where runs are kept; default as AGENTKIT_STORE says, SQLite in AGENTKIT_HOME.
        dispatch: how tool calls run: caps and timeouts.
        approval: which calls run, which do not, and which are asked about. Default: all run.
        approver: answers the questions; without one a question pauses the run.
        guardrails: checks of the input, the replies and the output.
        reminders: when the model is reminded of its plan, or told of a loop.
        context: what may be done to the context when it grows: a ContextPolicy, or the name of
            one: "default", "coding", "research", "unmanaged".
        strict: raise PrefixMoved instead of noting it; for tests.
    """

    model: Model | str = "glm-5"
    instructions: str = INSTRUCTIONS
    tools: Sequence[Tool | Toolset | Callable[..., Any]] = ()
    output: type[T] | Output[T] = _TEXT
    limits: Limits = field(default_factory=Limits)
    name: str = "agent"
    store: Store | None = None
    dispatch: DispatchPolicy = field(default_factory=DispatchPolicy)
    approval: ApprovalPolicy = field(default_factory=ApprovalPolicy)
    approver: Approver | None = None
    guardrails: Guardrails = field(default_factory=Guardrails)
    reminders: ReminderPolicy = field(default_factory=ReminderPolicy)
    context: ContextPolicy | str = "default"
    strict: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.model, str):
            object.__setattr__(self, "model", GLM(self.model))
        object.__setattr__(self, "context", named(self.context))

    @asynccontextmanager
    async def open(
        self,
        subscriber: Subscriber | None = None,
        *,
        run_id: str | None = None,
        accept_changes: bool = False,
    ) -> AsyncGenerator[Run[T]]:
        """Open a conversation: one run that takes several user messages.

        Args:
            subscriber: called with each durable and each ephemeral event as it happens; it must
                return at once.
            run_id: of a run in the store that goes on, or the beginning of its id; default a new
                run.
            accept_changes: go on although model, instructions or tools differ from the log's.

        Raises:
            ConfigError: tools with the same name, no key for the endpoint.
            RunNotFound: no such run in the store.
            RunTaken: another process, or another `open`, works on it.
            RunChanged: another agent began this log; the message says what differs.
            StoreError: the log cannot be read or written.
        """
        origin = Origin(run_id, accept_changes=accept_changes)
        async with open_run(self, subscriber, origin) as run:
            yield run

    async def run(self, content: Content, subscriber: Subscriber | None = None) -> Result[T]:
        """Run the agent on one user message; see `Run.send` for the errors."""
        async with self.open(subscriber) as run:
            return await run.send(content)

    async def resume(
        self,
        run_id: str,
        subscriber: Subscriber | None = None,
        *,
        answers: Mapping[str, bool | str] | None = None,
        accept_changes: bool = False,
    ) -> Result[T]:
        """Go on with a run that was killed, interrupted, paused or stopped by a limit.

        Args:
            run_id: of the run, or the beginning of its id.
            subscriber: as for `open`.
            answers: for a paused run, call ids to True, or to False or the reason of a denial.
            accept_changes: as for `open`.

        Raises:
            ConfigError: an answer to a call that does not wait.
            AgentkitError: as `open` and `Run.resume` do.
        """
        opening = self.open(subscriber, run_id=run_id, accept_changes=accept_changes)
        async with opening as run:
            await run.answer(answers or {})
            return await run.resume()

    def run_sync(self, content: Content) -> Result[T]:
        """Run the agent from code that is not async.

        Raises:
            ConfigError: an event loop runs already in this thread.
        """
        with suppress(RuntimeError):
            asyncio.get_running_loop()
            raise ConfigError("run_sync was called inside an event loop. Use `await agent.run()`.")
        return asyncio.run(self.run(content))

    async def stream(self, content: Content) -> AsyncGenerator[Event | Ephemeral]:
        """Run the agent and yield its events as they happen, durable and ephemeral.

        Leaving the loop early cancels the run. Its errors are raised at the end.
        """
        queue: asyncio.Queue[Event | Ephemeral | None] = asyncio.Queue()
        task = asyncio.create_task(self.run(content, queue.put_nowait))
        task.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            while (event := await queue.get()) is not None:
                yield event
            await task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])

    def as_tool(self, name: str | None = None, description: str | None = None) -> Tool:
        """Return a tool that gives a task to this agent, for the tools of another.

        Each call is a run of its own: its own context and log, whose events the parent's
        subscriber gets as `Nested`. Its answer is the result. Dollars and seconds count for the
        parent's limits too; turns are its own. A sub-agent without an approver uses its parent's;
        where nobody answers, both runs pause until the parent's is told (`Run.approve`) and goes
        on.

        Args:
            name: what the other model calls it. Default: the agent's name.
            description: what it is good for. Default: the first paragraph of its instructions.

        Raises:
            ToolDefinitionError: a name that GLM does not take.
        """
        from agentkit.agent.subagent import agent_tool  # noqa: PLC0415 - few agents are tools

        said = description or self.instructions.strip().split("\n\n", 1)[0]
        return agent_tool(self, name or self.name, said)
