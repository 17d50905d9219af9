"""The store: durable events and blobs."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentkit.store.base import LEASE_SECONDS, Claim, RunSummary, Store
    from agentkit.store.memory import MemoryStore
    from agentkit.store.retention import Pruned, prune
    from agentkit.store.sqlite import SQLiteStore
    from agentkit.store.url import open_store
else:
    from agentkit.late import late

    __getattr__, __dir__ = late(
        __name__,
        {
            "agentkit.store.base": "LEASE_SECONDS Claim RunSummary Store",
            "agentkit.store.memory": "MemoryStore",
            "agentkit.store.retention": "Pruned prune",
            "agentkit.store.sqlite": "SQLiteStore",
            "agentkit.store.url": "open_store",
        },
    )

__all__ = [
    "LEASE_SECONDS",
    "Claim",
    "MemoryStore",
    "Pruned",
    "RunSummary",
    "SQLiteStore",
    "Store",
    "open_store",
    "prune",
]
