"""The transcript: the prompt's messages as a fold over the events of a run.

The same log gives the same bytes, whether it is folded at once or event by event as it grows.
Each message is encoded once. Only `Cleared` and `Compacted` change what stands already.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, cast

from agentkit.events import (
    Body,
    Cleared,
    Compacted,
    Offloaded,
    Reminder,
    Replied,
    ToolFinished,
    UserMessage,
)
from agentkit.messages import Assistant, Message, System, ToolOutput, User

Encode = Callable[[Message], bytes]

UNRESOLVED = "[interrupted: this call has no result; its outcome is unknown]"
"""What stands for the result of a call that the log left open when a user message followed."""


class Written(list[bytes]):
    """Messages as bytes; it knows from where on any of them was rewritten, by whomever.

    Attributes:
        untouched: messages before this index are as they were when the reader last set it.
    """

    __slots__ = ("untouched",)

    def __init__(self) -> None:
        super().__init__()
        self.untouched = 0

    def __setitem__(self, at: Any, data: Any) -> None:
        where = cast("range | int", range(len(self))[at])
        self.untouched = min(self.untouched, where.start if isinstance(where, range) else where)
        super().__setitem__(at, data)


class Transcript:
    """The messages that the log so far amounts to.

    Results join the transcript in call order once every call of their reply has one, whatever
    order they finished in. A reminder rides at the end of the last result; only where no result
    stands last is it a message of its own, a system message.

    Args:
        system: the instructions.
        encode: turns a message into the bytes that the request body carries.

    Attributes:
        messages: the messages.
        encoded: the same as bytes.
        edited: index of the first message that an edit changed; the reader sets it back to None.
    """

    __slots__ = (
        "_digest",
        "_encode",
        "_hashed",
        "_open",
        "_preview",
        "_reminders",
        "_results",
        "edited",
        "encoded",
        "messages",
    )

    def __init__(self, system: str, encode: Encode) -> None:
        self._encode = encode
        self._open: tuple[str, ...] = ()
        self._results: dict[str, str] = {}
        self._reminders: list[str] = []
        self._preview = ""
        self._digest = hashlib.sha256()
        self._hashed = 0
        self.messages: list[Message] = []
        self.encoded = Written()
        self.edited: int | None = None
        self._append(System(system))

    @property
    def open_calls(self) -> tuple[str, ...]:
        """Ids of the calls of the last reply that have no result yet, in call order."""
        return tuple(call for call in self._open if call not in self._results)

    def digest(self) -> str:
        """Return the sha256 over all encoded messages, in hex."""
        # All but the last message are final; a reminder may still join that one.
        while self._hashed < len(self.encoded) - 1:
            self._digest.update(self.encoded[self._hashed])
            self._hashed += 1
        whole = self._digest.copy()
        whole.update(self.encoded[-1])
        return whole.hexdigest()

    def apply(self, body: Body) -> None:
        """Take the next event; kinds that the prompt does not show change nothing."""
        match body:
            case ToolFinished(call_id=call_id, content=content):
                if call_id in self._open:
                    self._results[call_id] = content
                    if len(self._results) == len(self._open):
                        self._join_results()
            case Replied(message=message):
                self._append(message)
                self._open = tuple(call.id for call in message.tool_calls)
                self._results = {}
            case UserMessage(content=content):
                self._close_open_calls()
                self._append(User(self._preview or content))
                self._preview = ""
            case Reminder(content=content):
                self._remind(content)
            case Offloaded(call_id="", preview=preview):
                self._preview = preview
            case Cleared():
                self._clear(body)
            case Compacted():
                self._compact(body)
            case _:
                pass

    def _close_open_calls(self) -> None:
        for call in self.open_calls:
            self._results[call] = UNRESOLVED
        self._join_results()

    def _join_results(self) -> None:
        for call in self._open:
            self._append(ToolOutput(call, self._results[call]))
        self._open = ()
        self._results = {}
        reminders, self._reminders = self._reminders, []
        for content in reminders:
            self._remind(content)

    def _remind(self, content: str) -> None:
        last = self.messages[-1]
        if self._open:
            self._reminders.append(content)
        elif isinstance(last, ToolOutput):
            joined = ToolOutput(last.call_id, f"{last.content}\n\n{content}")
            self.messages[-1], self.encoded[-1] = joined, self._encode(joined)
        else:
            self._append(System(content))

    def _clear(self, body: Cleared) -> None:
        last = -1
        for index, message in enumerate(self.messages):
            if isinstance(message, ToolOutput) and message.call_id in body.results:
                self._replace(index, ToolOutput(message.call_id, body.results[message.call_id]))
                last = index
        if body.thinking:
            for index, message in enumerate(self.messages[: last + 1]):
                if isinstance(message, Assistant) and (message.thinking or message.thinking_blocks):
                    self._replace(index, replace(message, thinking="", thinking_blocks=""))

    def _compact(self, body: Compacted) -> None:
        head: list[Message] = [System(body.content)] if body.content else []
        head += [] if body.user is None else [User(body.user)]
        self.messages[1 : body.cut] = head
        self.encoded[1 : body.cut] = [self._encode(message) for message in head]
        self._note_edit(1)

    def _replace(self, index: int, message: Message) -> None:
        if message != self.messages[index]:
            self.messages[index], self.encoded[index] = message, self._encode(message)
            self._note_edit(index)

    def _note_edit(self, index: int) -> None:
        self.edited = index if self.edited is None else min(index, self.edited)
        self._digest = hashlib.sha256()
        self._hashed = 0

    def _append(self, message: Message) -> None:
        data = self._encode(message)
        self.messages.append(message)
        self.encoded.append(data)


def fold(bodies: Iterable[Body], system: str, encode: Encode) -> Transcript:
    """Return the transcript of a whole log."""
    transcript = Transcript(system, encode)
    for body in bodies:
        transcript.apply(body)
    return transcript
