"""Lines that a person types or a script pipes in, with the best editing that is here."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Protocol

import click

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

_BLOCK = '"""'


class Cancelled(Exception):
    """Ctrl-C was pressed instead of an answer."""


class Lines(Protocol):
    """Where messages and answers come from.

    Attributes:
        is_terminal: whether a person sits there.
        hint: what the person should know of it; "" for nothing.
    """

    is_terminal: bool
    hint: str

    async def read(self, text: str = "") -> str | None:
        """Return the next message, of one line or several; None at the end of the input.

        Args:
            text: what stands there already, to be edited; where it cannot be edited it is shown.

        Raises:
            Cancelled: Ctrl-C.
        """
        ...

    async def ask(self, question: str) -> str | None:
        """Return the answer to a question, one line; None at the end of the input.

        Raises:
            Cancelled: Ctrl-C.
        """
        ...


def open_lines(history: Path, words: Sequence[str]) -> Lines:
    """Return what reads standard input: with editing on a terminal, else line by line.

    Args:
        history: file of what was typed earlier; made when it is missing.
        words: completed while a line begins with one.
    """
    if not _is_terminal():
        return PlainLines(is_terminal=False)
    if importlib.util.find_spec("prompt_toolkit") is None:
        hint = "For history and multi-line editing: pip install 'agentkit-glm[chat]'."
        return PlainLines(hint=hint)
    return EditedLines(history, words)


def question_lines() -> Lines | None:
    """Return what reads answers from the person at the terminal; None where there is nobody."""
    return PlainLines() if _is_terminal() else None


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


class PlainLines:
    r"""Reads line by line; a line that ends in \ goes on in the next, as does all between three ".

    Args:
        is_terminal: whether a person sits there.
        hint: see `Lines`.
    """

    def __init__(self, *, is_terminal: bool = True, hint: str = "") -> None:
        self._data = bytearray()
        self._pending: asyncio.Future[str | None] | None = None
        self.is_terminal = is_terminal
        self.hint = hint

    async def read(self, text: str = "") -> str | None:
        """Return the next message; see `Lines.read`."""
        if text:
            click.echo(f"(it was) {text}", err=True)
        line = await self.ask("> ")
        if line is None:
            return None
        if line.strip() == _BLOCK:
            return await self._block()
        rows = [line]
        while rows[-1].endswith("\\"):
            rows[-1] = rows[-1][:-1]
            if (more := await self.ask(". ")) is None:
                break
            rows.append(more)
        return "\n".join(rows)

    async def ask(self, question: str) -> str | None:
        """Return the next line; see `Lines.ask`."""
        if self.is_terminal:
            click.echo(question, nl=False, err=True)
        if self._pending is None:
            self._pending = asyncio.get_running_loop().create_future()
            asked = (asyncio.get_running_loop(), self._pending)
            # A thread of its own that nobody joins: it may wait for a key that never comes. A
            # reader that was cancelled leaves it the next line.
            Thread(target=self._fetch, args=asked, daemon=True, name="lines").start()
        line = await asyncio.shield(self._pending)
        self._pending = None
        if line is not None and not self.is_terminal:
            click.echo(f"{question}{line}", err=True)  # so that a transcript can be read
        return line

    async def _block(self) -> str:
        rows: list[str] = []
        while (row := await self.ask(". ")) is not None and row.strip() != _BLOCK:
            rows.append(row)
        return "\n".join(rows)

    def _fetch(self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[str | None]) -> None:
        try:
            line = self._next_line()
        except OSError:
            line = None

        def settle() -> None:
            if not future.done():
                future.set_result(line)

        try:
            loop.call_soon_threadsafe(settle)
        except RuntimeError:  # the loop is gone, and nobody waits
            return

    def _next_line(self) -> str | None:
        # Not sys.stdin: the process could not end while a thread waits in it.
        while b"\n" not in self._data and (more := os.read(0, 65536)):
            self._data.extend(more)
        if not self._data:
            return None
        row, _, rest = bytes(self._data).partition(b"\n")
        self._data[:] = rest
        return row.decode("utf-8", "surrogateescape").rstrip("\r")


class EditedLines:
    """Reads with history, completion and several lines; needs prompt_toolkit.

    Enter sends, Alt-Enter (or Enter after a backslash) begins another line, a pasted text stays
    whole.
    """

    is_terminal = True
    hint = ""

    def __init__(self, history: Path, words: Sequence[str]) -> None:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.completion import WordCompleter
        from prompt_toolkit.history import FileHistory
        from prompt_toolkit.output import create_output

        history.parent.mkdir(parents=True, exist_ok=True)
        history.touch(mode=0o600)  # what is typed may be private
        output = create_output(stdout=sys.stderr)  # stdout is for answers
        self._session: PromptSession[str] = PromptSession(
            history=FileHistory(str(history)),
            completer=WordCompleter(list(words), sentence=True),
            key_bindings=_bindings(),
            multiline=True,
            prompt_continuation=". ",
            reserve_space_for_menu=4,
            output=output,
        )
        self._questions: PromptSession[str] = PromptSession(output=output)

    async def read(self, text: str = "") -> str | None:
        """Return the next message; see `Lines.read`."""
        return await self._prompt(self._session, "> ", text)

    async def ask(self, question: str) -> str | None:
        """Return the answer to a question; see `Lines.ask`."""
        return await self._prompt(self._questions, question, "")

    async def _prompt(self, session: PromptSession[str], prompt: str, text: str) -> str | None:
        try:
            # Ctrl-C is a key here; the signal stays with the chat, which cancels turns by it.
            return await session.prompt_async(prompt, default=text, handle_sigint=False)
        except EOFError:
            return None
        except KeyboardInterrupt:
            raise Cancelled from None


def _bindings() -> KeyBindings:
    from prompt_toolkit.key_binding import KeyBindings

    bindings = KeyBindings()

    def send(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.text_before_cursor.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.newline(copy_margin=False)
        else:
            buffer.validate_and_handle()

    def newline(event: KeyPressEvent) -> None:
        event.current_buffer.newline(copy_margin=False)

    bindings.add("enter")(send)
    bindings.add("escape", "enter")(newline)
    return bindings
