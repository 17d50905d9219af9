"""Policies: what may be done to a context, as data, and the ones that have a name.

The figures are those of the evidence in the README; each field says its unit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from agentkit.errors import ConfigError

if TYPE_CHECKING:
    from agentkit.context.view import Edit, View
    from agentkit.events import Offloaded

Propose = Callable[["View"], Sequence["Edit"]]
"""A policy of one's own: sees the context before each request and proposes edits."""

Mode = Literal["summary", "ledger", "fresh", "drop"]
"""What compaction leaves: "summary": the ledger and a summary asked for on the cached prefix;
"ledger": the ledger alone; "fresh": a summary asked for with a prompt of its own, as most
frameworks do; "drop": nothing."""


def _positive(data: object, *names: str) -> None:
    for name in names:
        if not getattr(data, name) > 0:
            kind = type(data).__name__
            raise ConfigError(f"{kind}({name}={getattr(data, name)!r}): expected more than 0.")


@dataclass(frozen=True, slots=True)
class Offload:
    """When a text is kept in a blob and shown in part only. All sizes are tokens.

    Attributes:
        limit: a larger tool result is offloaded, if a preview is expected to cost less: that
            depends on its size, the prompt's, the prices, and how many previews the run opened.
            Default 1,500.
        preview: what is shown of it. Default 500.
        error_limit: results with a status other than "ok" stay whole up to here. Default 4,000.
        page: what `read_result` shows at once. Default 4,000.
        user_limit: a larger user message is offloaded too, as is one of more than half the window.
            Default 100,000.
        unchanged: a result of at least so many tokens that still stands in the prompt is not
            repeated. Default 200.
        paged: tools that bound their own results, which stay whole up to `paged_limit`.
        paged_limit: default 10,000.
        keep_characters: a longer result loses its middle before it is offloaded. Default 4,000,000.
        logged: for replays: by call id, what a log says was offloaded. Where set, results are
            taken as the log shows them and nothing else decides.
    """

    limit: int = 1_500
    preview: int = 500
    error_limit: int = 4_000
    page: int = 4_000
    user_limit: int = 100_000
    unchanged: int = 200
    paged: frozenset[str] = frozenset(
        {"grep_documents", "read_document", "read_note", "read_result", "search_documents"}
    )
    paged_limit: int = 10_000
    keep_characters: int = 4_000_000
    logged: Mapping[str, Offloaded] | None = None

    def __post_init__(self) -> None:
        _positive(self, "limit", "preview", "error_limit", "page", "user_limit", "unchanged")


@dataclass(frozen=True, slots=True)
class Clear:
    """When old tool results give way to a line each. Sizes are tokens.

    Attributes:
        keep: the newest results that stay. Default 8.
        keep_rounds: where set, what stays is all results of the last so many replies with calls.
        least: an edit removes at least so much. Default 12,000.
        pays_within: turns in which an edit must pay for itself. Default 3: up to 6 pays too, but
            costs as much and keeps less of the prompts cached (see the replay bench).
        cold_least: what an edit removes at least when the cache is cold and it costs nothing.
        smallest: smaller results are left alone, since their placeholder weighs as much.
        thinking: whether the thinking before the newest cleared result goes too. Default False.
    """

    keep: int = 8
    keep_rounds: int | None = None
    least: int = 12_000
    pays_within: float = 3.0
    cold_least: int = 2_000
    smallest: int = 150
    thinking: bool = False

    def __post_init__(self) -> None:
        _positive(self, "least", "pays_within", "cold_least", "smallest")
        if self.keep < 1 or (self.keep_rounds is not None and self.keep_rounds < 1):
            raise ConfigError("Clear(keep=..., keep_rounds=...): expected 1 or more.")


@dataclass(frozen=True, slots=True)
class Compact:
    """When the older part of the prompt gives way to a ledger and a summary. Sizes are tokens.

    Attributes:
        mode: what is left; see `Mode`.
        at: a fixed threshold; by default the cheapest one, from growth and prices.
        tail: what stays verbatim, old results left out. Default 12,000.
        summary: what the summary may hold. Default 3,500.
        damage_usd: what one compaction is expected to cost in redone work. Default 0.30.
        cap: the threshold's upper bound. Default 100,000: GLM-5's accuracy falls beyond.
        floor: the threshold's lower bound. Default 32,000.
        lead: the summary is prepared so many turns of growth before the threshold. Default 3.
        hard_stop: share of the window at which nothing waits any more. Default 0.85.
    """

    mode: Mode = "summary"
    at: int | None = None
    tail: int = 12_000
    summary: int = 3_500
    damage_usd: float = 0.30
    cap: int = 100_000
    floor: int = 32_000
    lead: float = 3.0
    hard_stop: float = 0.85

    def __post_init__(self) -> None:
        _positive(self, "tail", "summary", "cap", "floor")
        if not 0 < self.hard_stop <= 1:
            raise ConfigError(f"Compact(hard_stop={self.hard_stop!r}): expected 0 to 1.")
        if self.damage_usd < 0 or self.lead < 0:
            raise ConfigError("Compact(damage_usd=..., lead=...): expected 0 or more.")


@dataclass(frozen=True, slots=True)
class Files:
    """How calls that read or write files are known.

    Attributes:
        arguments: names of the argument that names the file, the first that is there counts.
        reads: words of the names of tools that read; a tool with none of these words and none of
            `writes` counts as one that reads.
        writes: words of the names of tools that create or change.
    """

    arguments: tuple[str, ...] = ("path", "file_path", "file", "filename", "document")
    reads: tuple[str, ...] = ("read", "view", "open", "cat", "show")
    writes: tuple[str, ...] = (
        "write", "edit", "create", "replace", "patch", "insert", "append", "update", "save",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ContextPolicy:
    """What may be done to the context of a run.

    Attributes:
        offload: at ingest; None shows every result whole.
        clear: old results; None keeps them.
        compact: the older part; None keeps it, and a prompt that is too long ends the run.
        propose: a policy of one's own, asked before each request in place of `clear` and the
            threshold of `compact`; what it proposes is checked, done and logged.
        cold_after: seconds without a request after which the provider's cache is taken for lost;
            no provider documents its time to live. Default 3,600.
        files: how calls that read or write files are known.
        workspace: a folder whose AGENTS.md joins the instructions, and whose notes/ can be read.
    """

    offload: Offload | None = field(default_factory=Offload)
    clear: Clear | None = field(default_factory=Clear)
    compact: Compact | None = field(default_factory=Compact)
    propose: Propose | None = None
    cold_after: float = 3_600.0
    files: Files = field(default_factory=Files)
    workspace: Path | None = None

    @property
    def edits(self) -> bool:
        """Whether anything may leave the prompt."""
        return any((self.offload, self.clear, self.compact, self.propose))


POLICIES: Mapping[str, ContextPolicy] = MappingProxyType(
    {
        "default": ContextPolicy(),
        # Whole source files are what a coder works on; views of a file that changed go first.
        "coding": ContextPolicy(
            offload=Offload(limit=6_000, preview=1_500),
            clear=Clear(keep=12),
            compact=Compact(tail=24_000),
        ),
        # The search mode of the GLM-5 report (4.2.4): fold all but the last five rounds, above 32K
        # discard to the ledger; in batches, where that pays.
        "research": ContextPolicy(
            offload=Offload(limit=6_000, preview=1_500),
            clear=Clear(keep_rounds=5, least=8_000, pays_within=4.0),
            compact=Compact(mode="ledger", tail=12_000, damage_usd=0.0),
        ),
        "unmanaged": ContextPolicy(offload=None, clear=None, compact=None),
    }
)
"""The policies that have a name, for `Agent(context="coding")`."""


def named(policy: ContextPolicy | str) -> ContextPolicy:
    """Return a policy, or the one of that name.

    Raises:
        ConfigError: no policy has this name.
    """
    if isinstance(policy, ContextPolicy):
        return policy
    if policy not in POLICIES:
        raise ConfigError(f"context={policy!r}: expected a ContextPolicy or {', '.join(POLICIES)}.")
    return POLICIES[policy]
