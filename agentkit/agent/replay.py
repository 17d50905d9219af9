"""Replay: a run made again with its model, its tools, or both answering from the log."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import orjson

from agentkit.agent.agent import Agent
from agentkit.agent.result import Result
from agentkit.context import LoggedEdits, Offload, ResultReader
from agentkit.errors import ConfigError, ReplayDiverged
from agentkit.events import (
    ApprovalAnswered,
    Event,
    Offloaded,
    Replied,
    RunStarted,
    ToolFinished,
    ToolStarted,
    UserMessage,
)
from agentkit.messages import Message
from agentkit.model import Emit, Model, Price, Reply, Request
from agentkit.store import MemoryStore, Store
from agentkit.tool import Answer, Artifact, Question, Tool, ToolResult, collect

T = TypeVar("T")

Source = Literal["log", "anew"]


class LoggedModel:
    """A model that gives a log's replies again, and checks that it is asked the same.

    Args:
        events: of the recorded run.
        encoder: the model that recorded them, for the spelling of messages.
        check: whether each request has to be, byte by byte, the one that was recorded.
    """

    def __init__(self, events: Sequence[Event], encoder: Model, *, check: bool) -> None:
        self._replies = [event for event in events if isinstance(event.body, Replied)]
        self._encoder = encoder
        self._check = check
        self._next = 0
        started = next(e.body for e in events if isinstance(e.body, RunStarted))
        self.name, self.provider = started.model, started.provider

    @property
    def price(self) -> Price | None:
        """USD per million tokens: the recorded costs are taken, so None."""
        return None

    @property
    def window(self) -> int | None:
        """Tokens of prompt and answer together."""
        return self._encoder.window

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[None]:
        """Do nothing: there is no connection."""
        yield

    def encode(self, message: Message) -> bytes:
        """Return the message as the recording model spells it."""
        return self._encoder.encode(message)

    async def ask(self, request: Request, emit: Emit | None = None, early: Any = None) -> Reply:  # noqa: ARG002 - the Model protocol
        """Return the next recorded reply; nothing starts early.

        Raises:
            ReplayDiverged: the log has no more replies, or another request stands there.
        """
        if self._next == len(self._replies):
            raise ReplayDiverged(
                f"The replay asks the model {self._next + 1} times, the log only {self._next}."
            )
        event = self._replies[self._next]
        self._next += 1
        body = event.body
        assert isinstance(body, Replied)
        if self._check and body.request_digest != request.digest:
            raise ReplayDiverged(
                f"Request {self._next} differs from the recorded one (event {event.seq} of run "
                f"{event.run_id}): the prompt before it has changed. `agentkit diff` shows where."
            )
        return Reply(
            body.message,
            body.usage,
            body.finish_reason,
            body.model,
            cost_usd=body.cost_usd,
            faults=body.faults,
        )


class LoggedResults:
    """The results of a log's tool calls, by tool and arguments, in the order they came."""

    def __init__(self, events: Sequence[Event], blobs: Store | None) -> None:
        self._blobs = blobs
        self._results: dict[bytes, list[ToolFinished]] = {}
        started: dict[str, bytes] = {}
        for event in events:
            if isinstance(event.body, ToolStarted):
                started[event.body.call_id] = _key(event.body.name, event.body.arguments)
            elif isinstance(event.body, ToolFinished) and event.body.call_id in started:
                key = started[event.body.call_id]
                self._results.setdefault(key, []).append(event.body)

    def standing_in(self, tool: Tool) -> Tool:
        """Return a tool of the same definition and checks that answers from the log."""

        def validate(given: Mapping[str, Any]) -> dict[str, Any]:
            tool.validate(given)
            return {"given": given}

        async def answer(given: Mapping[str, Any]) -> ToolResult:
            return await self._take(tool.name, given)

        return replace(
            tool,
            function=answer,
            validate=validate,
            is_async=True,
            context_parameter=None,
            open_world=False,  # the logged text carries its mark already
        )

    async def _take(self, name: str, given: Mapping[str, Any]) -> ToolResult:
        left = self._results.get(_key(name, given))
        if not left:
            return ToolResult(
                "This run is a replay, and the recorded one has no such call, so there is no "
                "result for it.",
                ok=False,
            )
        body = left.pop(0) if len(left) > 1 else left[0]
        artifacts = [
            Artifact(ref.name, ref.media_type, await self._blobs.get_blob(ref.sha256))
            for ref in body.artifacts
            if self._blobs is not None
        ]
        return ToolResult(body.content, tuple(artifacts), ok=body.status == "ok")


async def replay(
    agent: Agent[T],
    events: Sequence[Event],
    *,
    model: Source = "log",
    tools: Source = "log",
    blobs: Store | None = None,
) -> Result[T]:
    """Make a recorded run again, as a new run in the agent's store, and return its result.

    With both from the log this is a regression test: every request has to be the recorded one byte
    by byte, and nothing is asked or done. With the tools from the log, another model or other
    instructions are tried without effects; a call that the log does not have is told so. With the
    model from the log, changed tools are run on the same calls.

    Args:
        agent: as it was when the run was recorded, or as it shall be tried now.
        events: of the recorded run.
        model: who answers: the log or the agent's model.
        tools: who gives results: the log or the agent's tools.
        blobs: the store that has the recorded artifacts; without it results come without them.

    Raises:
        ReplayDiverged: the model answers from the log, and is asked something else.
        AgentkitError: as `Run.send` does.
    """
    both = model == tools == "log"
    wanted, policy = agent, agent.context
    assert not isinstance(policy, str)
    if model == "log":
        assert not isinstance(agent.model, str)
        wanted = replace(wanted, model=LoggedModel(events, agent.model, check=both))
        # The log's model writes no summaries: what became of the prompt stands in the log too.
        if policy.edits:
            edits = LoggedEdits(event.body for event in events)
            offload = policy.offload
            if offload and tools == "log":
                notes = (e.body for e in events if isinstance(e.body, Offloaded))
                offload = replace(offload, logged={note.call_id: note for note in notes})
            wanted = replace(wanted, context=replace(policy, offload=offload, propose=edits))
    if tools == "log":
        reader = ResultReader(MemoryStore(), policy.offload or Offload())
        own = [reader.tool()] if policy.edits else []
        sources = (*agent.tools, *own) if agent.tools else ()
        wanted = replace(wanted, tools=(_Logged(sources, LoggedResults(events, blobs)),))
    answers = {e.body.call_id: e.body for e in events if isinstance(e.body, ApprovalAnswered)}

    def approver(question: Question) -> Answer | None:
        said = answers.get(question.call_id)
        return Answer(said.approved, said.reason, said.remember) if said else None

    wanted = replace(wanted, approver=approver if answers else wanted.approver)
    said = [event.body.content for event in events if isinstance(event.body, UserMessage)]
    if not said:
        raise ConfigError("The recorded run has no user message, so there is nothing to replay.")
    async with wanted.open() as run:
        for content in said[:-1]:
            await run.send(content)
        return await run.send(said[-1])


@dataclass(frozen=True, slots=True)
class _Logged:
    """The tools of an agent, opened for their definitions, answering from the log."""

    sources: Sequence[Any]
    results: LoggedResults

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Sequence[Tool]]:
        async with AsyncExitStack() as stack:
            tools = await collect(self.sources, stack)
            yield [self.results.standing_in(tool) for tool in tools]


def _key(name: str, arguments: Mapping[str, Any]) -> bytes:
    return orjson.dumps(
        [name, arguments], default=str, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
    )
