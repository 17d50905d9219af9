"""What a policy sees of a context and what it may propose: data that nothing can change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from agentkit.context.policy import Mode
from agentkit.events import Body, Cleared, Compacted, Replied, ToolStatus
from agentkit.messages import Message

if TYPE_CHECKING:
    from agentkit.context.context import Context
    from agentkit.model.catalog import Price


@dataclass(frozen=True, slots=True)
class ResultView:
    """One tool result that stands in the prompt.

    Attributes:
        call_id: of its call.
        name: of the tool.
        status: how the call ended.
        index: position of its message in the prompt.
        tokens: estimated, as it stands.
        turn: number of the reply that called, from 1.
        path: the file that the call was about, or None.
        superseded: a later call read or changed the same file.
        cleared: only a placeholder stands there.
    """

    call_id: str
    name: str
    status: ToolStatus
    index: int
    tokens: int
    turn: int
    path: str | None = None
    superseded: bool = False
    cleared: bool = False


@dataclass(frozen=True, slots=True)
class ClearResults:
    """Proposal: put a placeholder in the place of these results. Unknown ids are passed over."""

    call_ids: tuple[str, ...]
    reason: str = "policy"
    thinking: bool = False


@dataclass(frozen=True, slots=True)
class CompactBefore:
    """Proposal: let everything before the message at `cut` give way; see `Mode`.

    The cut moves to the next place where no call is open.
    """

    cut: int
    mode: Mode = "summary"
    reason: str = "policy"


Edit = ClearResults | CompactBefore | Cleared | Compacted
"""What a policy may propose. An event is taken as it stands, which is what replays need."""


class LoggedEdits:
    """A policy that proposes the edits of a log again, each at its turn.

    Args:
        log: the bodies of a run's events.
    """

    def __init__(self, log: Iterable[Body]) -> None:
        self._edits: dict[int, list[Edit]] = {}
        turn = 0
        for body in log:
            if isinstance(body, Replied):
                turn += 1
            elif isinstance(body, Cleared | Compacted):
                self._edits.setdefault(turn, []).append(body)

    def __call__(self, view: View) -> Sequence[Edit]:
        """Return what the log did to the context at this turn."""
        return self._edits.pop(view.turn, [])


class View:
    """The context of a run as it stands before a request. Reading it changes nothing.

    Attributes:
        tokens: estimated tokens of the next prompt.
        window: tokens that the model takes, or None.
        price: of the model, or None.
        turn: replies so far.
        growth: tokens that a turn adds since the last compaction, net of what was cleared.
        cold: whether the provider's cache is known to be lost.
        prefix: tokens of the tools and the instructions.
        is_joining: whether the next edit makes the whole prompt lose its cache, see `Context`.
    """

    def __init__(self, context: Context, log: Callable[[], Sequence[Body]]) -> None:
        self._context = context
        self._log = log
        self.tokens = context.tokens
        self.window = context.window
        self.price: Price | None = context.price
        self.turn = context.turn
        self.growth = context.growth
        self.cold = context.cold
        self.prefix = context.prefix_tokens
        self.is_joining = context.is_joining

    @cached_property
    def log(self) -> tuple[Body, ...]:
        """Every event of the run so far."""
        return tuple(self._log())

    @cached_property
    def messages(self) -> tuple[Message, ...]:
        """The messages of the next prompt, the instructions first."""
        return self._context.messages

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Estimated tokens of each message."""
        return self._context.sizes()

    @cached_property
    def results(self) -> tuple[ResultView, ...]:
        """The tool results that stand in the prompt, oldest first."""
        return self._context.results()
