"""The store: durable events and blobs."""

from agentkit.store.base import LEASE_SECONDS, Claim, RunSummary, Store
from agentkit.store.memory import MemoryStore
from agentkit.store.retention import Pruned, prune
from agentkit.store.sqlite import SQLiteStore
from agentkit.store.url import open_store

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
