"""Replay of recorded sessions: sizes become text, a model plays the recorded turns.

What the recorded agent wrote and what its tools returned has the recorded size. What it would have
done after an edit nobody recorded; that is simulated, alike for every policy:

- with probability `reread` a turn needs one earlier result, a recent one rather than an old one. If
  its text stands whole in the prompt, that costs nothing. If not, one more turn reads it again: by
  `read_result` where the prompt names its handle, else by the tool that made it.
- with probability `opened` a result that was shown in part is opened at once by one more turn.

Draws depend on the session and the turn only, so every policy meets the same needs.
"""

from __future__ import annotations

import random
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson

from agentkit.context.summarise import FRESH
from agentkit.errors import PromptTooLong
from agentkit.messages import Assistant, ToolCall
from agentkit.model import Reply, catalog, wire
from agentkit.model.providers import ZAI
from agentkit.testing import Call, PrefixCache, Refuse, Say
from agentkit.testing.prompt import BYTES_PER_TOKEN, render
from agentkit.usage import Usage

WINDOW = 202_752
PATCH_TOKENS, FRESH_TOKENS, SUMMARY_THINKING = 1_500, 1_500, 500
"""What a summary has: as much in either form, so that only the way of asking differs."""

_WORDS = [
    "value",
    "index",
    "parser",
    "module",
    "cache",
    "request",
    "handler",
    "column",
    "branch",
    "signal",
    "packet",
    "token",
    "matrix",
    "server",
    "client",
    "thread",
    "result",
    "sample",
    "buffer",
    "record",
    "schema",
    "option",
    "filter",
    "socket",
    "render",
    "update",
]
_ITEM = re.compile(r"^- ([df])(\d+): ", re.MULTILINE)
_HANDLE = re.compile(r'read_result\("([0-9a-f]{12,64})"\)')


def text_of(tokens: int, seed: str) -> str:
    """Return text of so many tokens as the test server counts them, with lines like a tool's."""
    size = max(tokens * BYTES_PER_TOKEN, 1)
    draw = random.Random(seed)
    lines: list[str] = []
    length = 0
    while length < size:
        line = f"{draw.randrange(10**6)} " + " ".join(draw.choices(_WORDS, k=10))
        lines.append(line)
        length += len(line) + 1
    return "\n".join(lines)[:size]


@dataclass(frozen=True)
class Session:
    """A recorded session: tokens of its instructions and of each turn."""

    id: str
    system: int
    turns: list[tuple[int, int, int, list[int]]]

    @classmethod
    def load(cls, data: dict) -> Session:
        """Return a session of a sessions file."""
        return cls(data["id"], data["system"], [tuple(turn) for turn in data["turns"]])

    def head(self, turns: int) -> Session:
        """Return its beginning, as a short session."""
        return Session(f"{self.id}[:{turns}]", self.system, self.turns[:turns])

    def users(self) -> list[str]:
        """Return the user's messages, one for each part that ends in an answer."""
        found: list[str] = []
        for at, (user, _, _, _) in enumerate(self.turns):
            # A message that came while tools ran cannot be told from one after the answer.
            if at == 0 or not self.turns[at - 1][3]:
                said = f"Task {at}. You must never touch vendor/{at}. "
                found.append(said + text_of(max(user - len(said) // 4, 1), f"{self.id}/u{at}"))
        return found


@dataclass(frozen=True)
class Rates:
    """How often the model reads again after an edit; see the module."""

    reread: float = 0.05
    opened: float = 0.5


@dataclass
class Player:
    """Plays one session: the model's brain and the tool behind it.

    Attributes:
        session: what is played.
        rates: how often something is read again.
        window: larger prompts are refused; None never refuses.
        turn: the recorded turn that comes next.
        overflows: prompts that were larger than the window, refused or not.
        rereads: turns that were added.
    """

    session: Session
    rates: Rates
    window: int | None = WINDOW
    turn: int = 0
    overflows: int = 0
    rereads: int = 0
    _keys: list[str] = field(default_factory=list)
    _asked: set[str] = field(default_factory=set)
    _needed: bool = False
    _summaries: int = 0

    def result(self, key: str) -> str:
        """Return what the recorded tool call returned: a mark in its middle shows it whole."""
        turn, index = map(int, key.removeprefix("t").split("."))
        tokens = self.session.turns[turn][3][index]
        text = text_of(tokens, f"{self.session.id}/{key}")
        mark = f"<{key}>"
        middle = len(text) // 2
        return text[:middle] + mark + text[middle + len(mark) :] if tokens > 20 else text

    def __call__(self, request: dict) -> Say | Refuse:
        """Answer a request."""
        messages = request["messages"]
        written = sum(len(m.get("content") or "") for m in messages)
        if written > WINDOW * 2 and len(render(request)) // BYTES_PER_TOKEN > WINDOW:
            self.overflows += 1
            if self.window:
                return Refuse(400, "1261", "Prompt exceeds max length")
        last = messages[-1]
        if last["role"] == "system" and last["content"].startswith("[Upkeep of the context"):
            return self._patch(messages)
        if messages[0]["content"] == FRESH:
            return self._say("fresh", FRESH_TOKENS)
        if (more := self._reads_again(messages)) is not None:
            self.rereads += 1
            return more
        return self._play()

    def _play(self) -> Say:
        at, self.turn = self.turn, self.turn + 1
        self._needed = False
        if at >= len(self.session.turns):
            return Say("Done.")
        _, thinking, text, results = self.session.turns[at]
        keys = [f"t{at}.{index}" for index in range(len(results))]
        self._keys += [key for key, size in zip(keys, results, strict=True) if size >= 200]
        calls = [Call("work", {"key": key}) for key in keys]
        return Say(
            text_of(max(text - 6 * len(calls), 1), f"{self.session.id}/a{at}"),
            text_of(thinking, f"{self.session.id}/h{at}") if thinking else "",
            calls,
        )

    def _reads_again(self, messages: list[dict]) -> Say | None:
        if self._needed:
            return None
        draw = random.Random(f"{self.session.id}/{self.turn}/need")
        fresh = [
            m for m in messages[-8:] if m["role"] == "tool" and "[large result" in m["content"]
        ]
        for message in fresh:
            handle = _HANDLE.search(message["content"])
            opens = random.Random(message["content"]).random() < self.rates.opened
            if handle and handle[1] not in self._asked and opens:
                self._asked.add(handle[1])
                return Say("", "", [Call("read_result", {"handle": handle[1]})])
        self._needed = True
        if draw.random() >= self.rates.reread or len(self._keys) < 2:
            return None
        # Geometric from the newest: half of the needs are among the last ten results.
        back = min(int(draw.expovariate(1 / 14)), len(self._keys) - 1)
        key = self._keys[-1 - back]
        mark = f"<{key}>"
        if any(m["role"] == "tool" and mark in m["content"] for m in messages):
            return None
        if handle := _handle_of(key, messages):
            return Say("", "", [Call("read_result", {"handle": handle})])
        return Say("", "", [Call("work", {"key": key})])

    def _patch(self, messages: list[dict]) -> Say:
        """Write a patch: new items, and of those that stand only the newest half stays."""
        number, self._summaries = self._summaries, self._summaries + 1
        body = text_of(PATCH_TOKENS - 40, f"{self.session.id}/s{number}")
        words = re.sub(r"\d{3,} ", "", body).splitlines()
        half = len(words) // 2
        lines = [
            f"+ facts | {' '.join(words[:half])[:1900]}",
            *(
                f"+ decisions | {' '.join(words[at : at + 12])}"
                for at in range(half, len(words), 12)
            ),
        ]
        standing = [found for one in messages[1:3] for found in _ITEM.findall(one["content"] or "")]
        for letter in "df":
            numbers = sorted(int(digits) for kind, digits in standing if kind == letter)
            added = len(lines) - 1 if letter == "d" else 1
            lines += [f"- {letter}{each}" for each in numbers[: max(len(numbers) - added, 0)]]
        return Say("\n".join(lines), text_of(SUMMARY_THINKING, "think"))

    def _say(self, kind: str, tokens: int) -> Say:
        number, self._summaries = self._summaries, self._summaries + 1
        return Say(
            text_of(tokens, f"{self.session.id}/{kind}{number}"), text_of(SUMMARY_THINKING, "think")
        )


def _handle_of(key: str, messages: list[dict]) -> str | None:
    """Return the handle that a prompt gives for a result: at its call, or in the ledger."""
    made = {
        call["id"]
        for message in messages
        for call in message.get("tool_calls") or ()
        if call["function"]["arguments"] == f'{{"key":"{key}"}}'
    }
    for message in messages:
        if message.get("tool_call_id") in made:
            lines = [message["content"]]
        elif message["role"] == "system":
            lines = [line for line in message["content"].splitlines() if f"key={key})" in line]
        else:
            continue
        for line in lines:
            if (found := _HANDLE.search(line)) and len(line) < 4000:
                return found[1]
    return None


class ReplayModel:
    """A player as a model: no server and no stream, but the same rendering and prefix cache.

    Attributes:
        estimates: for each reply, what the context foresaw and what it was.
    """

    name = "glm-5"
    provider = "replay"

    def __init__(self, player: Player) -> None:
        self._player = player
        self._cache = PrefixCache()
        self._ids = 0
        self.window = player.window
        self.price = catalog.find("glm-5").price
        self.foresee = lambda: 0
        self.estimates: list[tuple[int, int]] = []

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[None]:
        """Do nothing: there is no connection."""
        yield

    def encode(self, message) -> bytes:
        """Return the message as Z.ai's endpoint would get it."""
        return wire.encode(message, ZAI)

    async def ask(self, request, emit=None, early=None) -> Reply:  # noqa: ARG002 - the protocol
        """Return the player's next answer."""
        body = {
            "model": self.name,
            "messages": [orjson.loads(message) for message in request.messages],
            "tools": orjson.loads(request.tools) if request.tools else [],
            "thinking": {"type": "enabled", "clear_thinking": False},
        }
        answer = self._player(body)
        if isinstance(answer, Refuse):
            raise PromptTooLong("The prompt is too long for the model (HTTP 400, code 1261).")
        told = self._cache.usage(body, answer)
        usage = Usage(
            told["prompt_tokens"],
            told["prompt_tokens_details"]["cached_tokens"],
            told["completion_tokens"],
            told["completion_tokens_details"]["reasoning_tokens"],
        )
        if request.digest:
            self.estimates.append((self.foresee(), usage.input))
        calls = []
        for call in answer.calls:
            self._ids += 1
            calls.append(ToolCall(f"call_{self._ids:024x}", call.name, call.text()))
        message = Assistant(answer.text, answer.thinking, tuple(calls))
        cost = self.price.cost(usage)
        return Reply(message, usage, answer.ending, self.name, cost_usd=cost)
