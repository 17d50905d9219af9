"""A conversation on the terminal: messages, turns that can be cancelled, forks to go on in."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from agentkit.agent import Agent, Result, Run
from agentkit.agent.below import label
from agentkit.cli.approve import person_approver
from agentkit.cli.chat_commands import obey
from agentkit.cli.execute import answer
from agentkit.cli.files import save
from agentkit.cli.lines import Cancelled, Lines
from agentkit.cli.live import View, spending
from agentkit.errors import AgentkitError
from agentkit.events import Noted, UserMessage
from agentkit.messages import plain_text
from agentkit.store import Store
from agentkit.tool import Answer, Question

NAME = "chat"
"""Name of the agent in the log of a chat."""


class Conversation:
    """Messages and answers in one run, or in several: an undone or forked one goes on in a copy.

    Attributes:
        run: the run that is open.
        store: where the runs are kept.
        draft: text that the next message begins with.
        goes_to: id of the run to go on in instead of this one.
        is_over: whether somebody has taken leave.
        failed: whether the last message came to nothing.
    """

    run: Run[Any]

    def __init__(
        self,
        agent: Agent[Any],
        store: Store,
        view: View,
        lines: Lines,
        artifacts: Path,
        *,
        note: Noted | None = None,
    ) -> None:
        self.agent = replace(agent, approver=self._approve if lines.is_terminal else None)
        self.store = store
        self.draft = ""
        self.goes_to: str | None = None
        self.is_over = False
        self.failed = False
        self._view = view
        self._lines = lines
        self._folder = artifacts
        self._note = note
        self._turn: asyncio.Task[Result[Any]] | None = None
        self._saved: set[tuple[str, int]] = set()
        self._asker = person_approver(view, lines)

    @property
    def waits(self) -> bool:
        """Whether calls wait for approval."""
        return bool(self.run.pending)

    @property
    def is_asked(self) -> bool:
        """Whether the run has a user message."""
        return any(isinstance(event.body, UserMessage) for event in self.run.events)

    async def hold(self, run_id: str | None, *, accept_changes: bool = False) -> None:
        """Hold the conversation until somebody leaves.

        Args:
            run_id: of a run that goes on; None begins a new one.
            accept_changes: see `Agent.open`.

        Raises:
            AgentkitError: the run cannot be opened.
        """
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self.cancel)
        is_new = run_id is None
        try:
            while not self.is_over:
                opening = self.agent.open(self._view, run_id=run_id, accept_changes=accept_changes)
                async with opening as run:
                    await self._enter(run, is_new=is_new)
                    await self._converse()
                if is_new and not self.is_asked:
                    await self.store.delete(run.id)  # nothing was said in it
                run_id, self.goes_to, is_new = self.goes_to, None, True
                accept_changes = False
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    def cancel(self) -> None:
        """Cancel the turn that goes on; between turns say how to leave."""
        if self._turn is not None:
            self._turn.cancel()
        else:
            self.say("Ctrl-D leaves.")

    def say(self, text: str, colour: str | None = None) -> None:
        """Tell the person something that is no answer."""
        click.secho(text, fg=colour, dim=colour is None, err=True)

    async def turn(self, work: Coroutine[Any, Any, Result[Any]]) -> None:
        """Let the agent work until it has answered, waits, fails or is cancelled."""
        self._grant()
        task = self._turn = asyncio.create_task(work)
        try:
            with self._view.shown():
                await asyncio.wait([task])
        finally:
            self._turn = None
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
        self.failed = True
        if task.cancelled():
            self.say("/continue goes on, /undo takes the message back.", "yellow")
        elif isinstance(error := task.exception(), AgentkitError):
            self.say(f"Error: {error}", "red")
        else:
            await self._show(task.result())
            self.failed = False

    async def _enter(self, run: Run[Any], *, is_new: bool) -> None:
        self.run = run
        if is_new and self._note is not None:
            await run.append([self._note])
        self._note = None  # a fork has a copy of it
        self._view.catch_up(run.events)
        if is_new and not self.is_asked:
            hint = f" {self._lines.hint}" if self._lines.hint else ""
            self.say(f"{run.parts.model.name}, run {run.id}. /help lists the commands.{hint}")
        else:
            self._recall()

    async def _converse(self) -> None:
        while self.goes_to is None and not self.is_over:
            draft, self.draft = self.draft, ""
            try:
                text = await self._lines.read(draft)
            except Cancelled:
                self.say("Ctrl-D leaves.")
                continue
            if text is None:
                self.is_over = True
            elif text.strip():
                await self._take(text)

    async def _take(self, text: str) -> None:
        try:
            if await obey(self, text):
                return
            if self.waits:
                self._tell_waiting()
            else:
                await self.turn(self.run.send(text.removeprefix("/") if text[:2] == "//" else text))
        except AgentkitError as error:
            self.failed = True
            self.say(f"Error: {error}", "red")

    def _grant(self) -> None:
        """Let turns and seconds count from here on: a person may think for an hour."""
        limits, spent = self.agent.limits, self.run.measure()
        turns = None if limits.turns is None else spent.turns + limits.turns
        seconds = None if limits.seconds is None else spent.seconds + limits.seconds
        self.run.parts = replace(
            self.run.parts, limits=replace(limits, turns=turns, seconds=seconds)
        )

    async def _show(self, result: Result[Any]) -> None:
        for artifact in result.artifacts:
            mark = (artifact.name, hash(artifact.data))
            if mark not in self._saved:
                self._saved.add(mark)
                self.say(f"saved {save(artifact, self._folder)}")
        if result.pending:
            self._tell_waiting()
            return
        answer(result.output)
        self.say(spending(self.run.spent))

    def _tell_waiting(self) -> None:
        pending = self.run.pending
        for question in pending:
            call = label(question, pending)
            self.say(f"{question.tool} waits, call {call}: {question.arguments}")
        self.say("/approve or /deny it, then the turn goes on.", "yellow")

    def _recall(self) -> None:
        """Remind a person of where the run stands."""
        events = self.run.events
        said = [event.body for event in events if isinstance(event.body, UserMessage)]
        self.say(f"run {self.run.id}, {spending(self.run.spent)}")
        if said:
            self.say(f"> {_brief(plain_text(said[-1].content))}")
        if (reply := self.run.standing.reply) is not None and reply.content:
            self.say(_brief(reply.content))
        if self.waits:
            self._tell_waiting()
        elif said and self.run.standing.finished is None:
            self.say("The last message has no answer yet; /continue goes on with it.", "yellow")

    async def _approve(self, question: Question) -> Answer | None:
        """Ask the person whether a call may run; Ctrl-C cancels the turn and leaves it open."""
        try:
            return await self._asker(question)
        except Cancelled:
            self.cancel()
            return None


def _brief(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 300 else f"{words[:299]}…"
