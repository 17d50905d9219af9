"""The context of a run: what the model is sent next, and whether it still fits.

Frozen at the start: the instructions and the tool list. Growing: the transcript.
"""

from __future__ import annotations

import hashlib

from agentkit.context.budget import TokenEstimate
from agentkit.context.cache import PrefixBreak, PrefixCheck
from agentkit.context.transcript import Encode, Transcript
from agentkit.events import Body, Replied
from agentkit.messages import Message
from agentkit.model import Request


class Context:
    """The prompt of one run, as a fold over its log.

    Args:
        system: the instructions, frozen for the run.
        tools: canonical JSON of the tool list, frozen for the run; b"" for none.
        encode: the model's encoding of a message.
    """

    def __init__(self, system: str, tools: bytes, encode: Encode) -> None:
        self._transcript = Transcript(system, encode)
        self._tools = tools
        self._tools_digest = hashlib.sha256(tools).hexdigest()
        self._prefix = PrefixCheck()
        self._estimate = TokenEstimate()
        self._bytes = len(tools)
        self._counted = 0

    @property
    def messages(self) -> tuple[Message, ...]:
        """The messages so far, the instructions first."""
        return tuple(self._transcript.messages)

    @property
    def open_calls(self) -> tuple[str, ...]:
        """Ids of tool calls that have no result yet."""
        return self._transcript.open_calls

    @property
    def tokens(self) -> int:
        """Estimated tokens of the next prompt."""
        return self._estimate.tokens(self._size())

    def apply(self, body: Body) -> None:
        """Take the next event of the log."""
        if isinstance(body, Replied):
            self._estimate.anchor(self._size(), body.usage)
        self._transcript.apply(body)

    def request(self) -> tuple[Request, PrefixBreak | None]:
        """Return the next request, and where its prefix broke if it did."""
        messages = self._transcript.encoded
        found = self._prefix.check(self._tools, messages)
        digest = hashlib.sha256((self._tools_digest + self._transcript.digest()).encode())
        originals = self._transcript.messages
        return Request(messages, self._tools, digest.hexdigest(), originals), found

    def _size(self) -> int:
        encoded = self._transcript.encoded
        last = len(encoded) - 1  # may still grow by a reminder
        self._bytes += sum(len(encoded[index]) for index in range(self._counted, last))
        self._counted = last
        return self._bytes + len(encoded[last])
