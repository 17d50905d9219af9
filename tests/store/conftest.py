"""The three stores, each behind the same tests."""

import asyncio

import pytest

from agentkit.store import MemoryStore, SQLiteStore, open_store


@pytest.fixture(params=["sqlite", "memory", "postgres"])
def store(request, tmp_path):
    """A fresh, empty store."""
    if request.param == "sqlite":
        made = SQLiteStore(tmp_path / "log")
    elif request.param == "memory":
        made = MemoryStore()
    else:
        made = open_store(request.getfixturevalue("postgres_server").url())
    yield made
    asyncio.run(made.close())


@pytest.fixture(params=["sqlite", "postgres"])
def places(request, tmp_path):
    """A function that opens the same durable store again and again, as other processes would."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/log"
    else:
        url = request.getfixturevalue("postgres_server").url()
    return lambda: open_store(url)
