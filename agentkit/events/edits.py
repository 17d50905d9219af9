"""The durable events of the context: what left the prompt, what stands in its place, and why.

Each carries the very words that the prompt shows, so that a log gives the same bytes for ever,
whatever a later version would write. Other bodies: `agentkit.events.bodies`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from agentkit.messages import Content


@dataclass(frozen=True, slots=True, kw_only=True)
class Offloaded:
    """A large text lies in a blob; the prompt shows a part of it. The text's event comes next.

    Attributes:
        call_id: the call whose result it is; "" for a user message.
        handle: sha256 of the text.
        size: its bytes.
        tokens: its estimated tokens.
        preview: what the prompt shows of a user message; a result's event holds its own preview.
        same_as: the earlier call whose result was the same, if one was.
    """

    kind: ClassVar[str] = "offloaded"
    version: ClassVar[int] = 1
    call_id: str
    handle: str
    size: int
    tokens: int
    preview: str = ""
    same_as: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """Old tool results left the prompt.

    What it really cost follows the next reply, as a `Noted` with the topic "edit_cost".

    Attributes:
        results: by call id, what stands in the result's place.
        handles: by call id, the sha256 of the result as the tool gave it: `read_result` opens it
            from its blob or, where it was never offloaded, from the log.
        reason: "break_even", "cold_cache", "failover" (another model is asked, whose cache is
            cold), "overflow", "summary_failed", or a policy's own word.
        removed: tokens that left the prompt.
        rewritten: tokens after the first change, which lose their cache.
        pays_after: predicted turns until the edit has paid for itself; None without prices.
        thinking: whether the thinking before the last of these results left with them.
    """

    kind: ClassVar[str] = "cleared"
    version: ClassVar[int] = 1
    results: Mapping[str, str]
    handles: Mapping[str, str] = field(default_factory=dict[str, str])
    reason: str = ""
    removed: int = 0
    rewritten: int = 0
    pays_after: float | None = None
    thinking: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacted:
    """The older part of the prompt gave way to a ledger and a summary.

    Attributes:
        cut: index of the first message that stayed; all before it but the instructions went.
        content: the system message that follows the instructions; "" for none.
        user: the user message that follows it; None for none.
        summary: what the model wrote, by item id such as "d1", for the next patch.
        reason: "threshold", "hard_stop", "overflow", or a policy's own word.
        mode: "summary", "ledger" (no model was asked), "fresh", "drop".
        removed: as in `Cleared`.
        rewritten: as in `Cleared`.
        pays_after: as in `Cleared`.
    """

    kind: ClassVar[str] = "compacted"
    version: ClassVar[int] = 1
    cut: int
    content: str = ""
    user: Content | None = None
    summary: Mapping[str, str] = field(default_factory=dict[str, str])
    reason: str = ""
    mode: str = "summary"
    removed: int = 0
    rewritten: int = 0
    pays_after: float | None = None
