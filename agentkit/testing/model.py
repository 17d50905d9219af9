"""A scripted model without a server: the quickest way to test an agent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import orjson

from agentkit.errors import ServerFault
from agentkit.messages import Message
from agentkit.model import CallSink, Emit, Reply, Request, catalog, wire
from agentkit.model.collect import Collector
from agentkit.model.providers import ZAI
from agentkit.model.sse import EventReader
from agentkit.testing import failures
from agentkit.testing.prompt import PrefixCache
from agentkit.testing.script import (
    Answer,
    Brain,
    Json,
    Refuse,
    Say,
    sequence,
)

CHUNK_SIZE = 12
"""Characters of text in one chunk."""


class ScriptedModel:
    """A model that answers from a script, through the same collector as the real one.

    Args:
        script: answers in order, or a function from the decoded request to an answer. More
            requests than answers is an error, so a test notices a loop that goes on.
        name: a model of the catalog gives replies its price.

    Attributes:
        requests: the decoded messages of each request so far.
    """

    provider = "scripted"

    def __init__(self, script: Sequence[Answer | str] | Brain, name: str = "glm-5") -> None:
        self._brain = script if callable(script) else sequence(script)
        self._cache = PrefixCache()
        self._info = catalog.find(name)
        self.name = name
        self.requests: list[list[Json]] = []

    @property
    def price(self) -> catalog.Price | None:
        """USD per million tokens, from the catalog."""
        return self._info.price if self._info else None

    @property
    def window(self) -> int | None:
        """Tokens of prompt and answer together."""
        return self._info.window if self._info else None

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[None]:
        """Do nothing: there is no connection."""
        yield

    def encode(self, message: Message) -> bytes:
        """Return the message as Z.ai's endpoint would get it."""
        return wire.encode(message, ZAI)

    async def ask(
        self, request: Request, emit: Emit | None = None, sink: CallSink | None = None
    ) -> Reply:
        """Return the script's next answer.

        Raises:
            ServerFault: the script says `Refuse` or `Raw`; use GLMServer to test error mapping.
            ScriptExhausted: the script has no answer left.
        """
        messages = [orjson.loads(message) for message in request.messages]
        self.requests.append(messages)
        tools: list[Json] = orjson.loads(request.tools) if request.tools else []
        body: Json = {"model": self.name, "messages": messages, "tools": tools}
        answer = failures.damaged(self._brain(body))
        if not isinstance(answer, Say):
            code = answer.code if isinstance(answer, Refuse) else "none"
            raise ServerFault(f"The script refuses (code {code}).")
        collector = Collector(emit, request.tools, sink=sink)
        usage = self._cache.usage(body, answer)
        reader = EventReader()
        try:
            for frame in failures.frames(body, answer, usage, CHUNK_SIZE)[0]:
                for payload in reader.feed(frame):
                    collector.feed(payload)
                if sink:
                    await asyncio.sleep(0)  # as on a wire, what was offered gets its turn
            for payload in reader.finish():
                collector.feed(payload)
            reply = collector.reply()
        except BaseException:
            collector.withdraw()
            raise
        cost = self.price.cost(reply.usage) if self.price else None
        return Reply(
            reply.message, reply.usage, reply.finish_reason, self.name, reply.id, cost_usd=cost
        )
