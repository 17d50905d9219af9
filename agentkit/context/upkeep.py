"""Upkeep: the step between a turn's results and the next request, where edits become events.

It decides nothing about the run. Every change is an event first; a crash before it is in the log
leaves the context as it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from agentkit.context.clear import cleared, propose_clear
from agentkit.context.compact import (
    border,
    compaction_pays_after,
    compose,
    find_cut,
    hard_stop,
    threshold,
)
from agentkit.context.context import Context
from agentkit.context.offload import Shown, ingest
from agentkit.context.policy import Clear, Compact, Mode
from agentkit.context.summarise import Summary, summarise, summarise_fresh
from agentkit.context.view import ClearResults, View
from agentkit.events import Body, Cleared, Compacted, Event, Noted, Replied, now
from agentkit.log import warn
from agentkit.messages import ToolOutput, plain_text
from agentkit.model import Model
from agentkit.store import Store

Append = Callable[[Sequence[Body]], Awaitable[None]]
"""Makes bodies the next events of the log: stored, then folded."""

_STEP = 1_000  # tokens that the prompt grows between two looks for something to clear
_LEDGER = 1_500  # tokens that a ledger weighs, about
_LEAST = 4_000  # tokens that a compaction removes at least, beyond what it puts in their place
_AGAIN = 1.2  # growth of the prompt after which a summary that failed is tried again


@dataclass(slots=True)
class _Job:
    """A summary that is being prepared while the run goes on."""

    cut: int
    task: asyncio.Task[Summary]


class Upkeep:
    """Keeps one run's context within its policy.

    Args:
        context: of the run; only events change it.
        model: that is asked for summaries.
        store: keeps blobs.
    """

    def __init__(self, context: Context, model: Model, store: Store) -> None:
        self._context = context
        self._policy = context.policy
        self._model = model
        self._store = store
        self._job: _Job | None = None
        self._looked = 0
        self._failed_at = 0

    async def ingest(self, bodies: Sequence[Body]) -> list[Body]:
        """Return the events to log in place of these, large texts offloaded."""
        return await ingest(self._context, bodies, self._store.put_blob)

    async def settle(
        self, append: Append, log: Sequence[Event], left_usd: float | None = None
    ) -> None:
        """Do and log the edits that are due before the next request.

        Args:
            append: logs events.
            log: of the run, to be read only.
            left_usd: what the run may still spend; None for no limit.

        Raises:
            StoreError: the log or a blob could not be written; nothing has changed.
        """
        if self._context.open_calls:
            return
        policy = self._policy
        if _idle_seconds(log) > policy.cold_after:
            self._context.cold = True
        if policy.propose:
            await self._obey(append, log)
            return
        if self._job is None:
            await self._clear(append, log)
        if policy.compact:
            await self._compact(append, policy.compact, left_usd)

    async def overflow(self, append: Append, log: Sequence[Event], error: Exception) -> bool:
        """Shorten a prompt that the provider found too long; return whether there was a way.

        Old results go, new large ones are clipped to previews, the older part is compacted.
        """
        count = 1 + sum(
            isinstance(event.body, Noted) and event.body.topic == "overflow" for event in log
        )
        tokens = self._context.tokens
        warn("context", "context.overflow", tokens=tokens, count=count)
        data = {"tokens": tokens, "count": count}
        await append([Noted(topic="overflow", text=str(error), data=data)])
        compact = self._policy.compact
        if compact is None:
            return False
        await self._drop_job(append)
        clipped = await self._clip(append)
        cut = find_cut(self._context.messages, self._context.sizes(), compact.tail // 2)
        if cut is None:
            return clipped
        window = self._context.window
        fits = window is None or self._context.tokens < window * compact.hard_stop
        await self._replace(append, compact, cut, "overflow", compact.mode if fits else "ledger")
        return True

    async def compact(self, append: Append) -> int:
        """Compact now, whatever the threshold; return how many tokens left the prompt.

        0 means that what came before the newest part is too little to be worth it, a call is
        open, or the policy does not compact.
        """
        policy, before = self._policy.compact, self._context.tokens
        if policy is None or self._context.open_calls:
            return 0
        await self._drop_job(append)
        cut = find_cut(self._context.messages, self._context.sizes(), policy.tail // 2)
        if cut is None:
            return 0
        await self._replace(append, policy, cut, "asked", policy.mode)
        return before - self._context.tokens

    async def rest(self, append: Append) -> None:
        """Stop what is being prepared, at the end of a run; log what it cost so far."""
        await self._drop_job(append)

    async def close(self) -> None:
        """Stop what is being prepared although nothing can be logged any more."""
        job, self._job = self._job, None
        if job:
            await _stop(job.task)

    async def _obey(self, append: Append, log: Sequence[Event]) -> None:
        propose, compact = self._policy.propose, self._policy.compact or Compact()
        assert propose is not None
        for edit in propose(self._view(log)):
            if isinstance(edit, ClearResults):
                if event := cleared(self._context, edit):
                    await append([event])
            elif isinstance(edit, Cleared | Compacted):
                await append([edit])
            elif cut := border(self._context.messages, edit.cut):
                await self._replace(append, compact, cut, edit.reason, edit.mode)
                return  # what else was proposed speaks of messages that have moved

    async def _clear(self, append: Append, log: Sequence[Event]) -> None:
        policy, tokens = self._policy.clear, self._context.tokens
        if policy is None or (
            not self._context.cold and self._looked <= tokens < self._looked + _STEP
        ):
            return
        self._looked = tokens
        edit = propose_clear(self._view(log), policy)
        if edit and (event := cleared(self._context, edit)):
            await append([event])
            self._looked = self._context.tokens

    async def _compact(self, append: Append, policy: Compact, left_usd: float | None) -> None:
        context = self._context
        tokens = context.tokens
        due, hard = self._due(policy), hard_stop(policy, context.window)
        if tokens < due - policy.lead * context.growth and self._job is None:
            return
        if policy.mode != "summary" or not self._affords(policy, left_usd):
            if tokens >= due:
                mode: Mode = "ledger" if policy.mode == "summary" else policy.mode
                await self._compact_now(append, policy, "threshold", mode)
            return
        if self._job is None:
            if tokens < hard and tokens < self._failed_at * _AGAIN:
                return
            self._prepare(policy)
        job = self._job
        if job is None or (tokens < due and tokens < hard):
            return
        if tokens < hard and not job.task.done():
            return
        await self._adopt(append, policy, job, "hard_stop" if tokens >= hard else "threshold")

    def _due(self, policy: Compact) -> int:
        context = self._context
        summary = policy.summary if policy.mode in {"summary", "fresh"} else 0
        base = context.prefix_tokens + _LEDGER + summary + policy.tail
        return threshold(base, context.growth, context.price, policy, context.window)

    def _affords(self, policy: Compact, left_usd: float | None) -> bool:
        price = self._context.price
        if left_usd is None or price is None:
            return True
        cost = self._context.tokens * price.cached + policy.summary * price.output
        return cost / 1e6 < left_usd / 2

    def _cut(self, policy: Compact) -> int | None:
        """Return where to cut; None where too little would go to be worth the edit."""
        sizes = self._context.sizes()
        cut = find_cut(self._context.messages, sizes, policy.tail)
        least = _LEDGER + policy.summary + _LEAST
        return cut if cut is not None and sum(sizes[1:cut]) >= least else None

    def _prepare(self, policy: Compact) -> None:
        cut = self._cut(policy)
        if cut is None:
            return
        snapshot = self._context.snapshot()  # now, while no call is open
        work = summarise(self._context, self._model, policy, cut, snapshot)
        self._job = _Job(cut, asyncio.create_task(work, name="summary"))

    async def _adopt(self, append: Append, policy: Compact, job: _Job, reason: str) -> None:
        made = await job.task
        self._job = None
        await append(made.notes)
        if made.items is not None:
            await append([self._compacted(policy, job.cut, made.items, reason, "summary")])
            return
        self._failed_at = self._context.tokens
        kept = (self._policy.clear or Clear()).keep
        old = [one.call_id for one in self._context.results()[:-kept]]
        if event := cleared(self._context, ClearResults(tuple(old), "summary_failed")):
            await append([event])
        if self._context.tokens >= hard_stop(policy, self._context.window):
            await self._compact_now(append, policy, reason, "ledger")

    async def _compact_now(self, append: Append, policy: Compact, reason: str, mode: Mode) -> None:
        cut = self._cut(policy)
        if cut is not None:
            await self._replace(append, policy, cut, reason, mode)

    async def _replace(
        self, append: Append, policy: Compact, cut: int, reason: str, mode: Mode
    ) -> None:
        """Compact now, with what the mode asks for; a summary that fails leaves the ledger."""
        items = dict(self._context.ledger.summary)
        if mode == "summary":
            snapshot = self._context.snapshot()
            made = await summarise(self._context, self._model, policy, cut, snapshot)
            await append(made.notes)
            mode = "ledger" if made.items is None else mode
            items = items if made.items is None else dict(made.items)
        elif mode == "fresh":
            text, notes = await summarise_fresh(self._context, self._model, cut)
            await append(notes)
            items = {"s1": text}
        await append([self._compacted(policy, cut, items, reason, mode)])

    def _compacted(
        self, policy: Compact, cut: int, summary: Mapping[str, str], reason: str, mode: Mode
    ) -> Compacted:
        context = self._context
        composed = compose(context, cut, summary)
        content = composed.content
        if mode in {"fresh", "drop"}:
            content = "Summary of the work so far:\n" + summary["s1"] if mode == "fresh" else ""
            summary = {}
        sizes = context.sizes()
        head = context.estimate.of(len(content.encode(errors="replace")))
        if composed.user is not None:
            head += context.estimate.of(len(plain_text(composed.user).encode(errors="replace")))
        removed = sum(sizes[1:cut]) - head
        return Compacted(
            cut=cut,
            content=content,
            user=composed.user,
            summary=summary,
            reason=reason,
            mode=mode,
            removed=removed,
            rewritten=head + sum(sizes[cut:]),
            pays_after=compaction_pays_after(removed, context.price, policy),
        )

    async def _clip(self, append: Append) -> bool:
        """Clear all results but the last reply's, and clip what is large among those."""
        context = self._context
        offload = self._policy.offload
        results = [one for one in context.results() if not one.cleared]
        last = max((one.turn for one in results), default=0)
        size = round((offload.preview if offload else 500) * context.estimate.ratio)
        texts = {
            one.call_id: one.content for one in context.messages if isinstance(one, ToolOutput)
        }
        shown: dict[str, str] = {}
        for one in results:
            if one.turn == last and one.tokens > size:
                handle = context.ledger.calls[one.call_id].handle
                text = texts[one.call_id]
                shown[one.call_id] = Shown(text, handle, one.tokens).preview(size)
        chosen = [one.call_id for one in results if one.turn < last or one.call_id in shown]
        event = cleared(context, ClearResults(tuple(chosen), "overflow"), shown)
        if event is None:
            return False
        await append([event])
        return True

    async def _drop_job(self, append: Append) -> None:
        job, self._job = self._job, None
        if job is None:
            return
        if job.task.done() and not job.task.cancelled():
            await append((await job.task).notes)
            return
        await _stop(job.task)

    def _view(self, log: Sequence[Event]) -> View:
        return View(self._context, lambda: [event.body for event in log])


async def _stop(task: asyncio.Task[Summary]) -> None:
    """Cancel a task and wait for its end, whatever that is."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # taken note of: nobody waits for this summary any more


def _idle_seconds(log: Sequence[Event]) -> float:
    """Return the seconds since the last reply."""
    for event in reversed(log):
        if isinstance(event.body, Replied):
            gone = datetime.fromisoformat(now()) - datetime.fromisoformat(event.at)
            return gone.total_seconds()
    return 0.0
