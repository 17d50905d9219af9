"""The connection to one server for one run: its owner task, its end, and its restarts."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from agentkit.errors import ConfigError, ToolError
from agentkit.log import info, warn
from agentkit.mcp.client import JSON, Gone, Progress, Session, connect, reason
from agentkit.mcp.elicitation import Elicitation
from agentkit.mcp.names import hide
from agentkit.mcp.server import MCPServer

Answer = TypeVar("Answer")

_RESTARTS = 5  # in a row, without an answer in between, before a server is given up for the run
_BACKOFF = 0.5  # seconds before the first restart, doubled for each one after it
_STOP = 10.0  # seconds in which a session closes before it is cut
_SETTLE = 0.2  # seconds after the first of several notices of a changed list
_TAIL = 5  # last lines that tell why a server did not start
_CLIPPED = 500


@dataclass(slots=True)
class _Life:
    """One session from its start to its end.

    Attributes:
        ready: the session, once the server has introduced itself.
        stir: set when the owner task has something to do: to end, or to look at the tools.
        task: the owner task.
        over: whether it is of no use any more.
        how: how the server ended, if it did by itself.
        tail: its last lines on stderr, or its last HTTP errors.
    """

    ready: asyncio.Future[Session]
    stir: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    over: bool = False
    how: str = "closed the connection"
    tail: deque[str] = field(default_factory=lambda: deque[str](maxlen=_TAIL))


@dataclass(slots=True, eq=False)
class _Call:
    """A call that the server works on, and the questions that were declined meanwhile."""

    id: str
    changes: bool
    declined: list[str] = field(default_factory=list[str])


class Connection:
    """What the tools of one server talk to.

    Attributes:
        server: what it connects to.
    """

    def __init__(self, server: MCPServer) -> None:
        self.server = server
        self._life: _Life | None = None
        self._starting = asyncio.Lock()
        self._restarts = 0
        self._calls: list[_Call] = []
        self._tools: list[JSON] | None = None

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Session]:
        """Start the server and end it; yields the first session, for reading its lists.

        Raises:
            ConfigError: it cannot be started or reached.
        """
        try:
            yield (await self._started(self._begin())).ready.result()
        finally:
            await self._stop()

    def freeze(self, tools: list[JSON]) -> None:
        """Keep the list of tools that the run was given: a change is only told."""
        self._tools = tools

    async def call_tool(
        self, name: str, arguments: JSON, call: str, progress: Progress, *, changes: bool
    ) -> tuple[JSON, list[str]]:
        """Call a tool; returns its answer, and the questions that were declined meanwhile.

        Args:
            name: the server's own name of the tool.
            arguments: of the call.
            call: id of the call.
            progress: told how far it is.
            changes: whether the tool may change something, so that a question is likely its own.

        Raises:
            ToolError: the server refused, ended, or answered what is no result.
        """
        flying = _Call(call, changes)
        self._calls.append(flying)
        try:
            answer = await self.ask(lambda session: session.call_tool(name, arguments, progress))
        finally:
            self._calls.remove(flying)
        return answer, flying.declined

    async def ask(self, send: Callable[[Session], Awaitable[Answer]]) -> Answer:
        """Send one request; it is sent again only if the server certainly did not see it.

        Raises:
            ToolError: the server refused, ended, or answered what is no result.
        """
        name = self.server.name
        for again in (True, False):
            life = await self._alive()
            try:
                answer = await send(life.ready.result())
            except ToolError as error:
                self._restarts = 0
                raise ToolError(f"MCP server {name!r} {self._clean(str(error))}.") from None
            except Gone as gone:
                self._end(life)
                if not (gone.unsent and again):
                    raise ToolError(self._lost(life)) from None
            else:
                self._restarts = 0
                return answer
        raise AssertionError("the second time either answers or raises")

    # What the session tells.

    def said(self, event: str, text: str) -> None:
        """Log a line that the server wrote."""
        if line := self._clean(text.strip()):
            info("mcp", event, server=self.server.name, line=line)
            if self._life is not None and event in ("mcp.stderr", "mcp.http"):
                self._life.tail.append(line)

    def tools_changed(self) -> None:
        """Have the owner task look what has changed."""
        if self._life is not None:
            self._life.stir.set()

    def ended(self, how: str) -> None:
        """Have the owner task close the session of a server that ended by itself."""
        if self._life is not None and not self._life.over:
            warn("mcp", "mcp.lost", server=self.server.name, how=how)
            self._life.how = how
            self._end(self._life)

    async def elicit(self, message: str, schema: JSON, url: str | None) -> Mapping[str, Any] | None:
        """Pass a question on; without anybody to answer, decline and say so."""
        asking = [one for one in self._calls if one.changes] or self._calls
        if self.server.elicit is not None:
            ids = tuple(one.id for one in asking)
            return await self.server.elicit(
                Elicitation(self.server.name, message, schema, url, ids)
            )
        warn("mcp", "mcp.declined", server=self.server.name, asked=self._clean(message))
        for one in asking:
            one.declined.append(message)
        return None

    # The life of a session.

    async def _alive(self) -> _Life:
        """Return the session; if it is gone, the next call starts it again and waits for it."""
        async with self._starting:
            try:
                if self._life is not None and not self._life.over:
                    return await self._started(self._life)
                return await self._restarted()
            except ConfigError as error:
                raise ToolError(f"{error} Nothing was run.") from None

    async def _restarted(self) -> _Life:
        name = self.server.name
        if self._restarts >= _RESTARTS:
            raise ToolError(
                f"MCP server {name!r} was lost {_RESTARTS} times in a row and is set aside for "
                "this run. Go on without its tools."
            )
        await self._stop()
        await asyncio.sleep(_BACKOFF * 2**self._restarts)
        self._restarts += 1
        warn("mcp", "mcp.restart", server=name, attempt=self._restarts)
        life = await self._started(self._begin())
        life.stir.set()  # it may offer other tools now
        return life

    def _begin(self) -> _Life:
        life = self._life = _Life(asyncio.get_running_loop().create_future())
        life.task = asyncio.create_task(self._live(life), name=f"mcp {self.server.name}")
        return life

    async def _started(self, life: _Life) -> _Life:
        """Wait until the server has introduced itself; a call may be cancelled meanwhile."""
        if not life.ready.done():
            await asyncio.wait({life.ready}, timeout=self.server.start_timeout)
        if life.ready.done():
            life.ready.result()
            return life
        await self._stop()
        raise self._not_started(life, f"no answer within {self.server.start_timeout:g} seconds")

    async def _live(self, life: _Life) -> None:
        """Enter and leave all scopes of one session, in this one task."""
        try:
            async with connect(self.server, self) as session:
                life.ready.set_result(session)
                while not life.over:
                    await life.stir.wait()
                    life.stir.clear()
                    await self._compare(life, session)
        except Exception as error:  # noqa: BLE001 - whatever a transport raises, the run goes on
            why = self._clean(reason(error))
            if life.ready.done():
                warn("mcp", "mcp.lost", server=self.server.name, how=why)
            else:
                life.ready.set_exception(self._not_started(life, why))
                life.ready.exception()  # nobody may be left to be told
        finally:
            life.over = True
            if not life.ready.done():
                life.ready.cancel()

    async def _compare(self, life: _Life, session: Session) -> None:
        """Tell the operator what a changed list of tools means: nothing, in this run."""
        await asyncio.sleep(0 if life.over else _SETTLE)
        if life.over or self._tools is None:
            return
        life.stir.clear()
        try:
            now = await session.list_all("tools")
        except (ToolError, Gone):
            return
        if now != self._tools:
            before, after = ({one["name"] for one in tools} for tools in (self._tools, now))
            warn(
                "mcp",
                "mcp.tools_changed",
                server=self.server.name,
                new=sorted(after - before),
                gone=sorted(before - after),
                note="this run keeps its tools; the next one sees the change",
            )

    def _end(self, life: _Life) -> None:
        life.over = True
        life.stir.set()

    async def _stop(self) -> None:
        """End the session in bounded time, however often the wait for it is cancelled."""
        life, self._life = self._life, None
        if life is None or life.task is None:
            return
        self._end(life)
        if not life.ready.done():
            life.task.cancel()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _STOP
        cancelled: asyncio.CancelledError | None = None
        while not life.task.done() and (left := deadline - loop.time()) > 0:
            try:
                await asyncio.wait({life.task}, timeout=left)
            except asyncio.CancelledError as error:
                cancelled = error
        life.task.cancel()  # it hangs; without effect on one that ended
        if cancelled is not None:
            raise cancelled

    def _lost(self, life: _Life) -> str:
        return (
            f"MCP server {self.server.name!r} {life.how} before it answered. Whether the call had "
            "an effect is not known: look before you repeat it. The next call of any of its "
            "tools starts it again."
        )

    def _not_started(self, life: _Life, why: str) -> ConfigError:
        wrote = f" It said: {' / '.join(life.tail)[-_CLIPPED:]}" if life.tail else ""
        return ConfigError(f"MCP server {self.server.name!r} did not start: {why}.{wrote}")

    def _clean(self, text: str) -> str:
        return hide(text, self.server.secrets)[:_CLIPPED]
