"""The store: durable events and blobs."""

from agentkit.store.base import Claim, RunSummary, Store
from agentkit.store.memory import MemoryStore
from agentkit.store.retention import Pruned, prune
from agentkit.store.sqlite import SQLiteStore
from agentkit.store.url import open_store

__all__ = [
    "Claim",
    "MemoryStore",
    "Pruned",
    "RunSummary",
    "SQLiteStore",
    "Store",
    "open_store",
    "prune",
]
