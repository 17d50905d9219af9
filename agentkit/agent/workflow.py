"""Workflows: scripts of several steps that go on at the step where they died.

A workflow is a run whose calls are its steps, so its log is read like any other. A step that is
done gives its logged result again. A step that is an agent's run goes on inside that run; any other
step that was cut in the middle is done again, which is logged and warned of, unless it is `once`.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar, cast, get_type_hints, overload

import orjson
from pydantic_core import from_json, to_json

from agentkit.agent.agent import Agent
from agentkit.agent.below import child_id, is_there
from agentkit.agent.opening import Origin, held, kept_in, open_run
from agentkit.agent.result import Result
from agentkit.errors import ConfigError, RunChanged, StepInterrupted
from agentkit.events import (
    Body,
    Event,
    Noted,
    RunFailed,
    RunFinished,
    RunInterrupted,
    RunStarted,
    SubRun,
    ToolFinished,
    ToolStarted,
    now,
)
from agentkit.log import warn
from agentkit.store import Claim, Store
from agentkit.usage import Spent

T = TypeVar("T")


class Workflow:
    """The steps of one script, and its log; made by `workflow`.

    Attributes:
        id: id of its run, the same for the same name and key.
        claim: what its log is written under.
        spent: turns, tokens and dollars of the steps that were agents' runs.
    """

    def __init__(self, run_id: str, store: Store, events: list[Event]) -> None:
        self.id = run_id
        self._store = store
        self._length = len(events)
        self.claim: Claim | None = None
        self._writing = asyncio.Lock()
        self._started: dict[str, ToolStarted] = {}
        self._finished: dict[str, ToolFinished] = {}
        self._used: set[str] = set()
        self._is_done = False
        self.spent = Spent()
        for event in events:
            self._apply(event.body)

    @overload
    async def step(
        self, name: str, function: Callable[..., Awaitable[T]], /, *args: Any, **options: Any
    ) -> T: ...
    @overload
    async def step(
        self, name: str, function: Callable[..., T], /, *args: Any, **options: Any
    ) -> T: ...
    async def step(
        self, name: str, function: Callable[..., Any], /, *args: Any, **options: Any
    ) -> Any:
        """Do a step, or return its result if the log has it.

        Args:
            name: key of the step in its workflow; no two steps share one.
            function: `agent.run`, or any function, plain or async, whose result JSON can hold.
                What it is annotated to return is what a logged result is read as.
            *args: for the function; the same when the script goes on.
            **options: keywords for the function; `once=True` is for the step: if it was cut in
                the middle, StepInterrupted is raised instead of doing it again.

        Raises:
            ConfigError: two steps with one name, or a result that JSON cannot hold.
            RunChanged: the log has this step with other arguments.
            StepInterrupted: see `once`.
        """
        once = bool(options.pop("once", False))
        if name in self._used:
            raise ConfigError(f"Two steps of workflow {self.id} are called {name!r}.")
        self._used.add(name)
        arguments = _arguments(args, options)
        before = self._started.get(name)
        if before and _canonical(before.arguments) != _canonical(arguments):
            raise RunChanged(
                f"Step {name!r} is in the log of {self.id} with other arguments. Give the same, "
                "another step name, or another key for a new workflow.",
                ("arguments",),
            )
        agent = _agent_of(function)
        if done := self._finished.get(name):
            return await self._logged(done, agent, function)
        await self._begin(
            name, function, arguments, again=before is not None, once=once and not agent
        )
        if agent:
            return await self._run_agent(name, agent, args, options)
        value = function(*args, **options)
        if inspect.isawaitable(value):
            value = await value
        try:
            content = to_json(value).decode()
        except ValueError as error:
            raise ConfigError(
                f"Step {name!r} gave a {type(value).__name__}, which the log cannot hold: {error}. "
                "Return JSON values, a dataclass or a pydantic model."
            ) from error
        await self.append(
            ToolFinished(call_id=name, name=_name(function), status="ok", content=content)
        )
        return value

    async def _begin(
        self,
        name: str,
        function: Callable[..., Any],
        arguments: Mapping[str, Any],
        *,
        again: bool,
        once: bool,
    ) -> None:
        bodies: list[Body] = []
        if again and once:
            raise StepInterrupted(
                f"Step {name!r} of {self.id} was cut in the middle, and it must not be done twice. "
                "Find out whether it took effect; a new key begins anew."
            )
        if again and not _agent_of(function):
            text = f"step {name!r} was cut in the middle and is done again"
            warn("agent", "workflow.step_again", run_id=self.id, step=name)
            bodies.append(Noted(topic="step_again", text=text))
        attempt = self._started[name].attempt + 1 if again else 1
        started = ToolStarted(
            call_id=name, name=_name(function), arguments=arguments, attempt=attempt
        )
        await self.append(*bodies, started)

    async def _run_agent(
        self, name: str, agent: Agent[Any], args: tuple[Any, ...], options: Mapping[str, Any]
    ) -> Result[Any]:
        """Do a step that is an agent's run, or go on inside that run."""
        run_id = child_id(self.id, name)
        is_new = not await is_there(self._store, run_id)
        content = inspect.signature(agent.run).bind(*args, **options).arguments
        origin = Origin(run_id, is_new=is_new, parent_id=self.id, call_id=name)
        opening = open_run(replace(agent, store=self._store), content.get("subscriber"), origin)
        async with opening as run:
            begun = not is_new and len(run.context.messages) > 1
            result = await (run.resume() if begun else run.send(content["content"]))
        if result.pending:
            return result  # the step is not done: the next start of the script asks again
        sub = SubRun(run_id, result.turns, result.usage, result.cost_usd)
        finished = ToolFinished(
            call_id=name, name="agent.run", status="ok", content=run_id, sub_run=sub
        )
        await self.append(finished)
        return result

    async def _logged(
        self, done: ToolFinished, agent: Agent[Any] | None, function: Callable[..., Any]
    ) -> Any:
        if agent is None:
            return _typed(done.content, function)
        origin = Origin(done.content, accept_changes=True)
        async with open_run(replace(agent, store=self._store), None, origin) as run:
            return await run.resume()

    async def append(self, *bodies: Body) -> None:
        """Make the bodies the next events of the workflow's log."""
        async with self._writing:  # steps may run side by side
            at = now()
            events = [
                Event(self.id, self._length + index, at, body) for index, body in enumerate(bodies)
            ]
            await self._store.append(self.id, events, self._length, self.claim)
            self._length += len(events)
            for body in bodies:
                self._apply(body)

    def _apply(self, body: Body) -> None:
        self._is_done = isinstance(body, RunFinished)
        if isinstance(body, ToolStarted):
            self._started[body.call_id] = body
        elif isinstance(body, ToolFinished):
            self._finished[body.call_id] = body
            if body.sub_run:
                self.spent = self.spent.plus(
                    body.sub_run.usage, body.sub_run.cost_usd, body.sub_run.turns
                )

    async def end(self, error: BaseException | None) -> None:
        """Write how the script left the workflow."""
        if error is None and self._is_done:
            return  # every step came from the log
        if error is None:
            spent = self.spent
            body: Body = RunFinished(
                output=None,
                turns=spent.turns,
                usage=spent.usage,
                cost_usd=spent.cost_usd,
                seconds=spent.seconds,
            )
        elif isinstance(error, asyncio.CancelledError | KeyboardInterrupt):
            body = RunInterrupted(reason="cancelled")
        else:
            body = RunFailed(error=type(error).__name__, message=str(error)[:2000])
        await asyncio.shield(self.append(body))


@asynccontextmanager
async def workflow(
    name: str, *, key: str = "", store: Store | None = None
) -> AsyncGenerator[Workflow]:
    """Open a workflow: a script whose finished steps are not done again when it goes on.

    Args:
        name: of the script.
        key: what tells one execution of it from another, such as a date; the same name and key go
            on where they stopped.
        store: where its log is kept; default as for agents.

    Raises:
        RunTaken: the same name and key is at work in another process.
        StoreError: the log cannot be read or written.
    """
    async with kept_in(store) as kept:
        run_id = hashlib.sha256(f"{name}\0{key}".encode()).hexdigest()[:24]
        there = await is_there(kept, run_id)
        flow = Workflow(run_id, kept, await kept.load(run_id) if there else [])
        if not there:
            empty = await kept.put_blob(b"")
            started = RunStarted(
                agent=f"workflow {name}", model="", provider="", instructions=empty, tools=empty
            )
            await flow.append(started)
        async with held(kept, run_id) as flow.claim:
            try:
                yield flow
            except BaseException as error:
                await flow.end(error)
                raise
            await flow.end(None)


def _agent_of(function: Callable[..., Any]) -> Agent[Any] | None:
    """Return the agent whose `run` a function is, if it is one."""
    owner = getattr(function, "__self__", None)
    is_run = isinstance(owner, Agent) and getattr(function, "__name__", "") == "run"
    return cast("Agent[Any]", owner) if is_run else None


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _arguments(args: tuple[Any, ...], options: Mapping[str, Any]) -> Mapping[str, Any]:
    named = {key: value for key, value in options.items() if key != "subscriber"}
    return from_json(to_json({"args": list(args), **named}, fallback=_by_type))


def _by_type(value: Any) -> str:
    """Stand for a value that JSON cannot hold: a connection is the same in the next process."""
    return f"<{type(value).__qualname__}>"


def _canonical(arguments: Mapping[str, Any]) -> bytes:
    return orjson.dumps(arguments, option=orjson.OPT_SORT_KEYS)


def _typed(content: str, function: Callable[..., Any]) -> Any:
    """Return a logged value as the type that the function says it returns."""
    try:
        kind = get_type_hints(function).get("return", Any)
    except (NameError, TypeError):
        kind = Any
    if kind is Any:
        return from_json(content)
    from pydantic import TypeAdapter  # noqa: PLC0415 - only workflows that go on pay

    return TypeAdapter(kind).validate_json(content)
