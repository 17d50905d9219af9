"""Reading a run's log from a folder, as many tests do."""

from __future__ import annotations

import asyncio

from agentkit.store import SQLiteStore


def read_log(folder, run_id):
    """Return the events of a run in the folder's store, and close the store."""

    async def main():
        store = SQLiteStore(folder)
        try:
            return await store.load(run_id)
        finally:
            await store.close()

    return asyncio.run(main())
