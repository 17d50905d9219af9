"""Working on a long document: every part by itself, then the answers merged in a tree."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from agentkit.errors import (
    AgentkitError,
    AuthenticationFailed,
    BalanceExhausted,
    ConfigError,
    LimitExceeded,
    ModelError,
    PartFailed,
    QuotaExhausted,
)
from agentkit.longtext import prompts
from agentkit.longtext.estimate import Estimate, Policy, expected, foresee, groups
from agentkit.longtext.split import Part, split, tokens
from agentkit.messages import System, User
from agentkit.model import Model, Reply, Request
from agentkit.usage import Usage

_HOPELESS = (AuthenticationFailed, BalanceExhausted, QuotaExhausted)
"""Errors that every further request would meet too."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One request came to its end.

    Attributes:
        stage: whether it read a part or merged answers.
        position: the part, or the first part that the merged answers stand for; from 1.
        done: requests that ended so far.
        total: requests as estimated.
        usage: tokens of all requests so far.
        cost_usd: dollars so far, or None when the price is unknown.
        error: why a part failed, or "".
    """

    stage: Literal["part", "merge"]
    position: int
    done: int
    total: int
    usage: Usage
    cost_usd: float | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class PartAnswer:
    """What the model said to one part; `reply` is None and `error` set when the part failed."""

    part: Part
    reply: Reply | None = None
    error: ModelError | None = None

    @property
    def text(self) -> str:
        """The answer, or "" for a part that failed."""
        return self.reply.message.content if self.reply else ""


@dataclass(frozen=True, slots=True)
class LongAnswer:
    """The answer to a task on a long document.

    Attributes:
        text: the merged answer.
        parts: each part with its own answer, in order.
        failed: positions of parts that no answer could be had for, from 1.
        notes: what the reader should know, such as answers that were cut at max_tokens.
        estimate: what was expected before the start.
        usage: tokens of all requests.
        cost_usd: dollars, or None when the price is unknown.
        seconds: wall time.
    """

    text: str
    parts: tuple[PartAnswer, ...]
    failed: tuple[int, ...]
    notes: tuple[str, ...]
    estimate: Estimate
    usage: Usage
    cost_usd: float | None
    seconds: float


async def process(
    model: Model,
    document: str,
    instruction: str,
    *,
    policy: Policy | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> LongAnswer:
    """Carry out an instruction on a document of any length.

    The document is split along its structure. The first part goes ahead alone, so that the shared
    prompt is in the provider's cache when the others follow, several at once; their answers are
    merged in a tree until one is left.

    Raises:
        ConfigError: nothing to work on.
        LimitExceeded: the estimate, or the next request, is over `policy.cost_usd`.
        PartFailed: a request failed for good, after the model's own retries. With
            on_failure="partial": only when no part was answered, or when the key, the balance or
            the quota is why.
    """
    policy = policy or Policy()
    if not document.strip() or not instruction.strip():
        missing = "document" if instruction.strip() else "instruction"
        raise ConfigError(f"The {missing} is empty: expected text to work on.")
    parts = split(document, policy.part_tokens)
    foreseen = foresee(model, parts, instruction, policy)
    limit, cost = policy.cost_usd, foreseen.cost_usd
    if limit is not None and cost is not None and cost > limit:
        raise LimitExceeded(
            f"The document would cost about ${cost:.4f}, more than the limit of ${limit:.4f} "
            f"({foreseen}). Nothing was sent. Raise Policy(cost_usd=...) or shorten the document.",
            "cost_usd",
        )
    async with model.connect():
        return await _Work(model, instruction, policy, foreseen, on_progress).run(parts)


@dataclass(frozen=True, slots=True)
class _Piece:
    """An answer, and the first and last part that it stands for."""

    first: int
    last: int
    text: str


@dataclass(slots=True)
class _Work:
    model: Model
    instruction: str
    policy: Policy
    estimate: Estimate
    on_progress: Callable[[Progress], None] | None
    spent: Usage = field(default_factory=Usage)
    cost: float | None = 0.0
    done: int = 0
    notes: list[str] = field(default_factory=list[str])
    _reserved: float = 0.0
    _system: System = field(default_factory=lambda: System(""))
    _head: bytes = b""
    _shared: int = 0
    _answered: dict[int, PartAnswer] = field(default_factory=dict[int, PartAnswer])

    async def run(self, parts: Sequence[Part]) -> LongAnswer:
        start = time.perf_counter()
        told = prompts.system(self.instruction)
        self._system, self._shared = System(told), tokens(told)
        self._head = self.model.encode(self._system)
        await self._part(parts[0], len(parts))
        await self._all([partial(self._part, part, len(parts)) for part in parts[1:]])
        answers = tuple(self._answered[part.position] for part in parts)
        failed = tuple(answer.part.position for answer in answers if answer.error)
        pieces = [
            _Piece(answer.part.position, answer.part.position, answer.text)
            for answer in answers
            if answer.reply
        ]
        if not pieces:
            error = answers[0].error
            assert error is not None
            raise self._failure(f"All {len(parts)} parts failed, the first one", 1, error)
        while len(pieces) > 1:
            pieces = await self._level(pieces, len(parts), failed)
        return LongAnswer(
            text=pieces[0].text,
            parts=answers,
            failed=failed,
            notes=tuple(self.notes),
            estimate=self.estimate,
            usage=self.spent,
            cost_usd=self.cost,
            seconds=time.perf_counter() - start,
        )

    async def _part(self, part: Part, of: int) -> None:
        at = part.position
        try:
            reply = await self._ask("part", at, prompts.part(part, of), part.tokens)
        except ModelError as error:
            self._answered[at] = PartAnswer(part, error=error)
            if self.policy.on_failure == "raise" or isinstance(error, _HOPELESS):
                raise self._failure(f"Part {at} of {of}", at, error) from error
        else:
            self._answered[at] = PartAnswer(part, reply)

    async def _level(self, pieces: list[_Piece], of: int, missing: Sequence[int]) -> list[_Piece]:
        level = groups([tokens(piece.text) for piece in pieces], self.policy)
        merged: dict[int, _Piece] = {}

        async def one(at: int, group: list[_Piece]) -> None:
            last = len(level) == 1
            merged[at] = await self._merge(group, of, missing if last else (), last=last)

        await self._all([partial(one, at, pieces[group]) for at, group in enumerate(level)])
        return [merged[at] for at in range(len(level))]

    async def _merge(
        self, group: list[_Piece], of: int, missing: Sequence[int], *, last: bool
    ) -> _Piece:
        if len(group) == 1:
            return group[0]
        first, end = group[0].first, group[-1].last
        listed = [(piece.first, piece.last, piece.text) for piece in group]
        text = prompts.merge(listed, of, missing, last=last)
        try:
            reply = await self._ask("merge", first, text, tokens(text))
        except ModelError as error:
            where = f"Merging the answers for parts {first} to {end}"
            if self.policy.on_failure == "raise" or isinstance(error, _HOPELESS):
                raise self._failure(where, first, error) from error
            self.notes.append(f"{where} failed ({error}); they stand one after the other.")
            return _Piece(first, end, "\n\n".join(piece.text for piece in group))
        return _Piece(first, end, reply.message.content)

    async def _ask(
        self, stage: Literal["part", "merge"], position: int, text: str, load: int
    ) -> Reply:
        likely = expected(self._shared, load, self.policy, first=not self.done)
        held = self._hold(self._cost(likely) or 0.0)
        try:
            user = User(text)
            originals = (self._system, user)
            request = Request([self._head, self.model.encode(user)], originals=originals)
            reply = await self.model.ask(request)
        except ModelError as error:
            self._tell(stage, position, str(error))
            raise
        finally:
            self._reserved -= held
        self.spent += reply.usage
        cost = self._cost(reply.usage) if reply.cost_usd is None else reply.cost_usd
        self.cost = None if self.cost is None or cost is None else self.cost + cost
        if reply.finish_reason == "length":
            self.notes.append(
                f"The answer to {stage} {position} was cut at max_tokens; raise "
                "GLM(max_tokens=...)."
            )
        self._tell(stage, position)
        return reply

    def _tell(self, stage: Literal["part", "merge"], position: int, error: str = "") -> None:
        self.done += 1
        if self.on_progress:
            total = max(self.estimate.parts + self.estimate.merges, self.done)
            self.on_progress(
                Progress(stage, position, self.done, total, self.spent, self.cost, error)
            )

    def _hold(self, cost: float) -> float:
        """Set the likely cost of one request aside, or refuse to start it."""
        limit = self.policy.cost_usd
        used = (self.cost or 0.0) + self._reserved
        if limit is not None and used + cost > limit:
            raise LimitExceeded(
                f"The work spent or began ${used:.4f} of ${limit:.4f}, and the next request would "
                "exceed that. Raise Policy(cost_usd=...) or Policy(answer_tokens=...), which the "
                "estimate starts from.",
                "cost_usd",
            )
        self._reserved += cost
        return cost

    def _cost(self, usage: Usage) -> float | None:
        price = self.model.price
        return price.cost(usage) if price else None

    def _failure(self, what: str, position: int, error: ModelError) -> PartFailed:
        answers = {at: found.text for at, found in self._answered.items() if found.reply}
        return PartFailed(
            f"{what} failed: {error} {len(answers)} answers that were paid for stand in "
            "`error.answers`.",
            position,
            answers,
            error.fault,
        )

    async def _all(self, work: Sequence[Callable[[], Coroutine[Any, Any, None]]]) -> None:
        """Do it all, `policy.parallel` at a time; the first error ends the others."""
        free = asyncio.Semaphore(self.policy.parallel)

        async def one(job: Callable[[], Coroutine[Any, Any, None]]) -> None:
            async with free:
                await job()

        try:
            async with asyncio.TaskGroup() as group:
                for job in work:
                    group.create_task(one(job))
        except BaseExceptionGroup as failed:
            ours = [error for error in failed.exceptions if isinstance(error, AgentkitError)]
            if len(ours) < len(failed.exceptions):
                raise
            raise ours[0] from ours[0].__cause__
