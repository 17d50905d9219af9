"""The context of a run: what the model is sent next, how large that is, and what stands in it.

Frozen at the start: the instructions and the tool list. Growing: the transcript, which only a
logged edit changes in the middle.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from agentkit.context.budget import TokenEstimate
from agentkit.context.cache import CacheWatch, PrefixBreak, PrefixCheck
from agentkit.context.ledger import Called, Ledger
from agentkit.context.policy import ContextPolicy
from agentkit.context.transcript import Encode, Transcript
from agentkit.context.view import ResultView
from agentkit.events import Body, Cleared, Compacted, Noted, Offloaded, Replied, RunResumed
from agentkit.messages import Message, System, ToolOutput
from agentkit.model import Price, Request
from agentkit.tool.base import REDACTED
from agentkit.tool.redact import hidden
from agentkit.usage import Usage

GROWTH = 1_000.0
"""Tokens that a turn adds, before a run has shown its own figure."""
_TURNS = 10  # turns after a compaction before its own growth counts

FAILOVER = "failover"
"""Topic of the note that another model is asked than answered last."""

SUMMARY = "summary"
"""Topic of the note that says what a request for a summary cost."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A prompt at one moment: messages, the same as bytes, and the tool list."""

    messages: tuple[Message, ...]
    encoded: tuple[bytes, ...]
    tools: bytes


class Context:
    """The prompt of one run, as a fold over its log.

    Args:
        system: the instructions, frozen for the run.
        tools: canonical JSON of the tool list; b"" for none.
        encode: the model's encoding of a message.
        reading: the tool list with `read_result`, which takes the other's place once, with the
            first edit that needs it: a run that needs none pays nothing for it. By default, and
            where it is the same as `tools`, nothing can be opened again.
        policy: what may be done to the context.
        price: of the model; None when unknown.
        window: tokens that the model takes; None when unknown.

    Attributes:
        policy: as given.
        price: as given.
        window: as given.
        ledger: what is pinned.
        estimate: of sizes in tokens.
        growth: tokens that a turn adds since the last compaction, net of what was cleared.
        cold: whether the provider's cache is known to be lost.
        asked: place of the model that is asked: 0 for the run's own, from 1 for its fallbacks.
        answered: place of the model that answered last, whose cache has the prompt.
    """

    def __init__(
        self,
        system: str,
        tools: bytes,
        encode: Encode,
        *,
        reading: bytes = b"",
        policy: ContextPolicy | None = None,
        price: Price | None = None,
        window: int | None = None,
    ) -> None:
        self.policy = policy or ContextPolicy()
        self.price = price
        self.window = window
        self.ledger = Ledger(self.policy.files)
        self.estimate = TokenEstimate()
        self.growth = GROWTH
        self.cold = False
        self.asked = self.answered = 0
        self._transcript = Transcript(system, encode)
        self._encode = encode
        self._tools = tools
        self._reading = reading if reading != tools else b""
        self._tools_digest = hashlib.sha256(tools).hexdigest()
        self._prefix = PrefixCheck()
        self._watch = CacheWatch()
        self._head_bytes = len(tools) + len(self._transcript.encoded[0])
        self._bytes = len(tools)
        self._counted = 0
        self._since: tuple[int, int] | None = None
        self._hidden: set[str] = set()

    @property
    def messages(self) -> tuple[Message, ...]:
        """The messages so far, the instructions first."""
        return tuple(self._transcript.messages)

    @property
    def encoded(self) -> Sequence[bytes]:
        """The messages as bytes; to be read, and copied by whoever keeps them."""
        return self._transcript.encoded

    @property
    def tools(self) -> bytes:
        """The tool list as canonical JSON."""
        return self._tools

    @property
    def is_readable(self) -> bool:
        """Whether the model has `read_result`, or gets it with the first edit."""
        return bool(self._reading)

    @property
    def is_joining(self) -> bool:
        """Whether the next edit makes the whole prompt lose its cache: `read_result` joins."""
        return bool(self._reading) and self._tools is not self._reading

    @property
    def open_calls(self) -> tuple[str, ...]:
        """Ids of tool calls that have no result yet."""
        return self._transcript.open_calls

    @property
    def turn(self) -> int:
        """Replies so far."""
        return self.ledger.turn

    @property
    def tokens(self) -> int:
        """Estimated tokens of the next prompt."""
        encoded, estimate = self._transcript.encoded, self.estimate
        first = len(estimate.sizes)
        known = estimate.known if first else estimate.of(len(self._tools))
        return known + sum([estimate.of(len(encoded[at])) for at in range(first, len(encoded))])

    @property
    def prefix_tokens(self) -> int:
        """Estimated tokens of the tools and the instructions."""
        return self.estimate.of(self._head_bytes)

    @property
    def head_tokens(self) -> int:
        """Tokens of the ledger and the summary that the last compaction left; 0 without one."""
        head = self._transcript.messages[1:2]
        if not head or not isinstance(head[0], System):  # at first a message of the user
            return 0
        return self.estimate.of(len(self._transcript.encoded[1]))

    def apply(self, body: Body, logged: Body | None = None) -> None:
        """Take the next event of the log.

        Args:
            body: as it goes into the prompt.
            logged: as it stands in the log, if arguments were redacted there: what the ledger says
                of calls is written to the log too.
        """
        transcript = self._transcript
        if isinstance(body, Replied):
            self._reply(body)
        elif isinstance(body, Cleared | Compacted):
            self._edit(body)
        else:
            transcript.apply(body)
            if isinstance(body, RunResumed) and body.changed:
                self.cold = True
                self._watch.lost()
            elif isinstance(body, Noted):
                self._note(body)
        self.ledger.apply(logged or body)
        needs = isinstance(body, Cleared | Compacted) or (
            isinstance(body, Offloaded) and not body.same_as
        )
        if needs and self.is_joining:
            self._join_reader(by_edit=not isinstance(body, Offloaded))
        if logged is not None and logged is not body:
            self._hidden.update(hidden(body, logged))

    def masked(self, text: str) -> str:
        """Return what a model wrote for the log, without arguments that were redacted there."""
        if not self._hidden:
            return text
        words = "|".join(map(re.escape, sorted(self._hidden, key=len, reverse=True)))
        return re.sub(rf"(?<!\w)(?:{words})(?!\w)", REDACTED, text)

    def request(self) -> tuple[Request, PrefixBreak | None]:
        """Return the next request, and where its prefix broke if it did."""
        messages = self._transcript.encoded
        found = self._prefix.check(self._tools, messages, messages.untouched)
        messages.untouched = len(messages)
        digest = hashlib.sha256((self._tools_digest + self._transcript.digest()).encode())
        originals = self._transcript.messages
        return Request(messages, self._tools, digest.hexdigest(), originals), found

    def snapshot(self) -> Snapshot:
        """Return the prompt as it stands, for a request that is made beside the run."""
        transcript = self._transcript
        return Snapshot(tuple(transcript.messages), tuple(transcript.encoded), self._tools)

    def aside(self, snapshot: Snapshot, instruction: str) -> Request:
        """Return a request that asks something beside the run, on the run's cached prefix.

        The instruction comes last and as a system message: a user's would make GLM render all
        earlier replies anew where their thinking is not preserved.
        """
        last = System(instruction)
        encoded = (*snapshot.encoded, self._encode(last))
        return Request(encoded, snapshot.tools, originals=(*snapshot.messages, last))

    def notes_on(self, usage: Usage) -> list[Noted]:
        """Return what a reply that is about to be logged shows of the cache."""
        return self._watch.notes(usage, self.price)

    def fresh(self, messages: Sequence[Message]) -> Request:
        """Return a request with a prompt of its own, without tools."""
        return Request([self._encode(each) for each in messages], originals=tuple(messages))

    def sizes(self) -> tuple[int, ...]:
        """Return the tokens of each message; those of the tools are the first one's."""
        encoded, estimate = self._transcript.encoded, self.estimate
        first = len(estimate.sizes)
        later = [estimate.of(len(encoded[at])) for at in range(first, len(encoded))]
        return (*estimate.sizes, *later)

    def results(self) -> tuple[ResultView, ...]:
        """Return the tool results that stand in the prompt, oldest first."""
        calls, sizes = self.ledger.calls, self.sizes()
        found: list[ResultView] = []
        later: dict[str, set[str]] = {}  # by path, the arguments of later calls; "*" for a change
        for index in range(len(sizes) - 1, 0, -1):
            message = self._transcript.messages[index]
            if not isinstance(message, ToolOutput):
                continue
            call = calls.get(message.call_id) or Called("", 0)
            seen = later.setdefault(call.path, set()) if call.path else set[str]()
            found.append(
                ResultView(
                    call_id=message.call_id,
                    name=call.name,
                    status=call.status,
                    index=index,
                    tokens=sizes[index],
                    turn=call.turn,
                    path=call.path,
                    superseded="*" in seen or call.arguments in seen,
                    cleared=message.call_id in self.ledger.cleared,
                )
            )
            if call.path and call.status == "ok":
                seen.add("*" if call.writes else call.arguments)
        return tuple(reversed(found))

    def _note(self, body: Noted) -> None:
        if body.topic == SUMMARY:
            self._watch.summary(body.data.get("cost_usd"))
        elif body.topic == FAILOVER:
            self.asked = body.data["place"]
            self.cold = self.asked != self.answered
            self._watch.lost(cold=self.cold)

    def _reply(self, body: Replied) -> None:
        before = self._size()
        transcript = self._transcript
        transcript.apply(body)
        known = len(self.estimate.sizes)
        lengths = [len(transcript.encoded[at]) for at in range(known, len(transcript.encoded))]
        if not known:
            lengths[0] += len(self._tools)
        self.estimate.anchor(before, body.usage, lengths)
        self._watch.reply(body.usage)
        self.cold = False
        self.answered = self.asked
        if self._since is None:
            self._since = self.turn, body.usage.input
        turns = self.turn - self._since[0]
        if turns >= _TURNS:
            self.growth = max((body.usage.input - self._since[1]) / turns, 1.0)

    def _edit(self, body: Cleared | Compacted) -> None:
        transcript = self._transcript
        before = list(transcript.encoded)
        transcript.apply(body)
        index, transcript.edited = transcript.edited, None
        if index is None:
            return
        self._bytes, self._counted = len(self._tools), 0
        self._resize(before, body.cut if isinstance(body, Compacted) else None)
        kept = sum(map(len, transcript.encoded[:index])) + len(self._tools)
        self._watch.edit(body, round(kept / self.estimate.ratio))
        self._prefix.edited(index)
        if isinstance(body, Compacted):
            self._since = None
            outputs = (one for one in transcript.messages if isinstance(one, ToolOutput))
            self.ledger.keep_standing({one.call_id for one in outputs})

    def _join_reader(self, *, by_edit: bool) -> None:
        """Let `read_result` join the tools: the whole prompt loses its cache, once in a run.

        Args:
            by_edit: whether an edit is the cause, which is then charged with it.
        """
        more = len(self._reading) - len(self._tools)
        self._tools = self._reading
        self._tools_digest = hashlib.sha256(self._tools).hexdigest()
        self._head_bytes += more
        self._bytes += more
        self.estimate.grow(more)
        self._prefix.forget()
        if by_edit or self.cold:  # what was cold before costs nothing
            self._watch.lost(cold=self.cold)
        else:
            self._watch.joined()
        self.cold = True

    def _resize(self, before: Sequence[bytes], cut: int | None) -> None:
        """Follow an edit: of what stood before `cut`, or of single messages in their places."""
        after, known = self._transcript.encoded, len(self.estimate.sizes)
        if cut is not None:
            head = after[1 : len(after) - len(before) + cut]
            self.estimate.edit(slice(1, min(cut, known)), list(map(len, head)))
            return
        for at in range(known):
            if after[at] is not before[at]:
                self.estimate.edit(slice(at, at + 1), [len(after[at])])

    def _size(self) -> int:
        encoded = self._transcript.encoded
        last = len(encoded) - 1  # may still grow by a reminder
        self._bytes += sum([len(encoded[index]) for index in range(self._counted, last)])
        self._counted = last
        return self._bytes + len(encoded[last])
