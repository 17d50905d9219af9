"""Upkeep: the step between a turn's results and the next request, where edits become events.

It decides nothing about the run. Every change is an event first; a crash before it is in the log
leaves the context as it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from agentkit.context.clear import cleared, propose_clear, propose_clear_after
from agentkit.context.compact import (
    border,
    compacted,
    find_cut,
    hard_stop,
    threshold,
)
from agentkit.context.context import FAILOVER, Context
from agentkit.context.offload import ingest
from agentkit.context.overflow import clipped, large_message, shown_in_part
from agentkit.context.policy import Clear, Compact, Mode
from agentkit.context.summarise import Summary, summarise, summarise_fresh
from agentkit.context.view import ClearResults, View
from agentkit.events import Body, Cleared, Compacted, Event, Noted, Replied, now
from agentkit.log import warn
from agentkit.model import Model
from agentkit.store import Store

Append = Callable[[Sequence[Body]], Awaitable[None]]
"""Makes bodies the next events of the log: stored, then folded."""

_STEP = 1_000  # tokens that the prompt grows between two looks for something to clear
_LEDGER = 1_500  # tokens that a ledger weighs, about
_LEAST = 4_000  # tokens that a compaction removes at least, beyond what it puts in their place
_WORTH = 100  # tokens that any compaction removes at least; sizes are estimates
_AGAIN = 1.2  # growth of the prompt after which a summary that failed is tried again
_FAILURES = 2  # summaries that failed, each after two attempts, before the ledger stands alone


@dataclass(slots=True)
class _Job:
    """A summary that is being prepared while the run goes on."""

    cut: int
    task: asyncio.Task[Summary]
    is_logged: bool = False  # whether the log says already what it cost


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
        self._failures = 0

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

    async def asks(self, append: Append, log: Sequence[Event], place: int, name: str) -> bool:
        """Take note of which model is asked now; return whether the prompt has changed for it.

        Where another one answered last, its cache has nothing of this prompt, or what it had is
        old: results are cleared that it would have to be sent anew.

        Args:
            append: logs events.
            log: of the run, to be read only.
            place: 0 for the run's model, from 1 for its fallbacks.
            name: of the model.
        """
        context = self._context
        if place == context.asked:
            return False
        cold = place != context.answered
        text = f"{name} is asked, which did not answer last" if cold else f"{name} is asked again"
        data = {"place": place, "model": name, "cold": cold}
        await append([Noted(topic=FAILOVER, text=text, data=data)])
        if not cold or self._policy.propose or self._job is not None:
            return False
        return await self._clear(append, log, FAILOVER)

    async def overflow(self, append: Append, log: Sequence[Event], error: Exception) -> bool:
        """Shorten a prompt that the provider found too long; return whether there was a way.

        Old results go, new large ones and a message of the user that is most of the prompt are
        shown in part, the older part is compacted.
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
        clip = clipped(self._context)
        if clip:
            await append([clip])
        large = large_message(self._context)
        if large is not None and self._context.is_readable:  # `read_result` opens the rest
            summary = self._context.ledger.summary
            event = compacted(
                self._context, compact, large + 1, summary, reason="overflow", mode="ledger"
            )
            await append([shown_in_part(event, self._context)])
            return True
        cut = find_cut(self._context.messages, self._context.sizes(), compact.tail // 2)
        if cut is None:
            return clip is not None
        window = self._context.window
        fits = window is None or self._context.tokens < window * compact.hard_stop
        mode = compact.mode if fits else "ledger"
        return await self._replace(append, compact, cut, "overflow", mode) or clip is not None

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
        """Stop what is being prepared, at the end of a run; log what it cost.

        A summary that is ready is kept: the user's next message may make it due.
        """
        job = self._job
        if job and job.task.done() and not job.task.cancelled():
            await self._log(append, job)
            return
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

    async def _clear(self, append: Append, log: Sequence[Event], cause: str = "") -> bool:
        policy, tokens = self._policy.clear, self._context.tokens
        if policy is None or (
            not self._context.cold and self._looked <= tokens < self._looked + _STEP
        ):
            return False
        self._looked = tokens
        edit = propose_clear(self._view(log), policy)
        event = edit and cleared(self._context, replace(edit, reason=cause or edit.reason))
        if not event:
            return False
        await append([event])
        self._looked = self._context.tokens
        return True

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
        if job is None or (tokens < min(due, hard) and not context.cold):
            return
        if tokens < hard and not job.task.done():
            return
        await self._adopt(append, policy, job, "hard_stop" if tokens >= hard else "threshold")

    def _due(self, policy: Compact) -> int:
        context = self._context
        base = context.prefix_tokens + self._head(policy) + policy.tail
        return threshold(base, context.growth, context.price, policy, context.window)

    def _head(self, policy: Compact) -> int:
        """Return the tokens that a compaction will put in the place of what goes, about."""
        summary = policy.summary if policy.mode in {"summary", "fresh"} else 0
        return max(self._context.head_tokens, _LEDGER + summary)

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
        least = self._head(policy) + _LEAST
        return cut if cut is not None and sum(sizes[1:cut]) >= least else None

    def _prepare(self, policy: Compact) -> None:
        cut = self._cut(policy)
        if cut is None:
            return
        snapshot = self._context.snapshot()  # now, while no call is open
        work = summarise(self._context, self._model, policy, cut, snapshot)
        self._job = _Job(cut, asyncio.create_task(work, name="summary"))

    async def _adopt(self, append: Append, policy: Compact, job: _Job, reason: str) -> None:
        made = await self._log(append, job)
        self._job = None
        if made.items is not None:
            self._failures = 0
            await append(self._compaction(policy, job.cut, made.items, reason, "summary"))
            return
        self._failed_at = self._context.tokens
        kept = (self._policy.clear or Clear()).keep
        old = [one.call_id for one in self._context.results()[:-kept]]
        if event := cleared(self._context, ClearResults(tuple(old), "summary_failed")):
            await append([event])
        self._failures += 1
        full = self._context.tokens >= hard_stop(policy, self._context.window)
        if full or self._failures >= _FAILURES:
            self._failures = 0
            await self._compact_now(append, policy, reason, "ledger")

    async def _log(self, append: Append, job: _Job) -> Summary:
        """Wait for a summary and log, once, what it cost."""
        made = await job.task
        if not job.is_logged:
            await append(made.notes)
            job.is_logged = True
        return made

    async def _compact_now(self, append: Append, policy: Compact, reason: str, mode: Mode) -> None:
        cut = self._cut(policy)
        if cut is not None:
            await self._replace(append, policy, cut, reason, mode)

    async def _replace(
        self, append: Append, policy: Compact, cut: int, reason: str, mode: Mode
    ) -> bool:
        """Compact now, with what the mode asks for; a summary that fails leaves the ledger.

        Where the ledger alone is hardly shorter than what it replaces, nothing is asked or done.
        """
        items = dict(self._context.ledger.summary)
        least = compacted(self._context, policy, cut, items, reason=reason, mode="ledger")
        if mode != "drop" and least.removed < _WORTH:
            return False
        if mode == "summary":
            snapshot = self._context.snapshot()
            made = await summarise(self._context, self._model, policy, cut, snapshot)
            await append(made.notes)
            mode = "ledger" if made.items is None else mode
            items = items if made.items is None else dict(made.items)
        elif mode == "fresh":
            text, notes = await summarise_fresh(self._context, self._model, cut)
            await append(notes)
            items, mode = ({"s1": text}, mode) if text.strip() else (items, "ledger")
        await append(self._compaction(policy, cut, items, reason, mode))
        return True

    def _compaction(
        self, policy: Compact, cut: int, summary: Mapping[str, str], reason: str, mode: Mode
    ) -> list[Body]:
        """Return the compaction, and before it the clearing of old results in its tail.

        The tail loses its cache anyway, so what is cleared there now costs nothing.
        """
        edit = propose_clear_after(cut, self._view(()), self._policy.clear)
        free = cleared(self._context, edit) if edit else None
        event = compacted(
            self._context,
            policy,
            cut,
            summary,
            reason=reason,
            mode=mode,
            freed=free.removed if free else 0,
        )
        return [replace(free, rewritten=0, pays_after=0.0), event] if free else [event]

    async def _drop_job(self, append: Append) -> None:
        job, self._job = self._job, None
        if job is None:
            return
        if job.task.done() and not job.task.cancelled():
            await self._log(append, job)
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
