"""Holding a run: a claim that is renewed while its owner works, and given back at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from agentkit.errors import RunTaken, StoreError
from agentkit.log import warn
from agentkit.store.base import LEASE_SECONDS, Claim, Store


@asynccontextmanager
async def hold(store: Store, run_id: str, seconds: float = LEASE_SECONDS) -> AsyncGenerator[Claim]:
    """Be the only worker of a run inside the context.

    The lease is renewed three times in its length. Where that fails, because the store is away or
    this process hung, another worker may take the run over; then the next append under the claim
    raises RunTaken, so nothing else has to watch for it.

    Args:
        store: where the run is kept.
        run_id: a run that has events.
        seconds: length of the lease: how long a worker that hangs keeps the run from others.

    Raises:
        RunTaken: somebody else holds the run.
        RunNotFound: there is no such run.
        StoreError: the store cannot be used.
    """
    claim = await store.claim(run_id, seconds)
    renewing = asyncio.create_task(_renew(store, claim, seconds), name=f"lease of {run_id}")
    try:
        yield claim
    finally:
        renewing.cancel()
        await asyncio.wait([renewing])
        with suppress(StoreError):  # the lease ends by itself
            await store.release(claim)


async def _renew(store: Store, claim: Claim, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds / 3)
        try:
            await store.renew(claim, seconds)
        except RunTaken:
            warn("store", "lease.lost", run_id=claim.run_id, epoch=claim.epoch)
            return
        except StoreError as error:
            warn("store", "lease.not_renewed", run_id=claim.run_id, error=str(error))
