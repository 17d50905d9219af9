"""The store: durable events and blobs."""

from agentkit.store.base import RunSummary, Store
from agentkit.store.memory import MemoryStore
from agentkit.store.sqlite import SQLiteStore

__all__ = ["MemoryStore", "RunSummary", "SQLiteStore", "Store"]
