"""An agent: a frozen description from which runs are made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from agentkit.agent.run import Parts, Result, Run, Subscriber
from agentkit.config import Settings
from agentkit.context import Context, ContextPolicy, ResultReader, named
from agentkit.errors import ConfigError
from agentkit.events import Ephemeral, Event, RunStarted, new_run_id
from agentkit.messages import Content
from agentkit.model import GLM, Model
from agentkit.store import SQLiteStore, Store
from agentkit.tool import Dispatcher, DispatchPolicy, Tool, Toolset, collect, definitions
from agentkit.usage import Limits

INSTRUCTIONS = "You are a helpful assistant."


@dataclass(frozen=True, slots=True)
class Agent:
    """What a run is made from: a model, instructions, tools and limits.

    Attributes:
        model: a model, or the name of a GLM model at the configured endpoint.
        instructions: the system prompt, frozen for each run.
        tools: functions, tools and toolsets, in any mixture; their names must differ.
        limits: what one run may spend. Default 50 turns.
        name: of the agent, for the log.
        store: where runs are kept; default SQLite in the user's data folder (AGENTKIT_HOME).
        dispatch: how tool calls run: caps and timeouts.
        context: what may be done to the context when it grows: a ContextPolicy, or the name of one:
            "default", "coding", "research", "unmanaged".
        strict: raise PrefixMoved instead of noting it; for tests.
    """

    model: Model | str = "glm-5"
    instructions: str = INSTRUCTIONS
    tools: Sequence[Tool | Toolset | Callable[..., Any]] = ()
    limits: Limits = field(default_factory=Limits)
    name: str = "agent"
    store: Store | None = None
    dispatch: DispatchPolicy = field(default_factory=DispatchPolicy)
    context: ContextPolicy | str = "default"
    strict: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.model, str):
            object.__setattr__(self, "model", GLM(self.model))
        object.__setattr__(self, "context", named(self.context))

    @asynccontextmanager
    async def open(self, subscriber: Subscriber | None = None) -> AsyncGenerator[Run]:
        """Open a conversation: one run that takes several user messages.

        Args:
            subscriber: called with each durable and each ephemeral event as it happens; it must
                return at once.

        Raises:
            ConfigError: tools with the same name, no key for the endpoint.
            StoreError: the log cannot be written.
        """
        model, policy = self.model, self.context
        assert not isinstance(model, str)
        assert not isinstance(policy, str)
        async with AsyncExitStack() as stack:
            store = self.store
            if store is None:
                store = SQLiteStore(Settings.load().home)
                stack.push_async_callback(store.close)
            reader = ResultReader(store, policy.offload) if self.tools and policy.offload else None
            own = [reader.tool()] if reader else []
            tools = await collect([*self.tools, *own], stack)
            await stack.enter_async_context(model.connect())
            run_id = new_run_id()
            dispatcher = await stack.enter_async_context(
                Dispatcher(tools, self.dispatch, run_id=run_id)
            )
            listed = definitions(tools) if tools else b""
            context = Context(
                self.instructions,
                listed,
                model.encode,
                policy=policy,
                price=model.price,
                window=model.window,
            )
            parts = Parts(model, dispatcher, store, self.limits, self.strict)
            run = Run(run_id, parts, context, subscriber)
            stack.push_async_callback(run.upkeep.close)
            if reader:
                reader.attach(context.ledger, run.events)
            await run.append([await self._started(model, store, listed)])
            yield run

    async def run(self, content: Content, subscriber: Subscriber | None = None) -> Result:
        """Run the agent on one user message; see `Run.send` for the errors."""
        async with self.open(subscriber) as run:
            return await run.send(content)

    def run_sync(self, content: Content) -> Result:
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

    async def _started(self, model: Model, store: Store, listed: bytes) -> RunStarted:
        return RunStarted(
            agent=self.name,
            model=model.name,
            provider=model.provider,
            instructions=await store.put_blob(self.instructions.encode()),
            tools=await store.put_blob(listed),
            limits=self.limits,
        )
