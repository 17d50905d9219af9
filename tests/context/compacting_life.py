"""One life of a run that compacts, as a process that is killed, or kills itself at a given moment.

python tests/context/compacting_life.py FOLDER BASE_URL MOMENT [RUN]
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from contexts import SMALL, Worker

from agentkit import GLM, SQLiteStore
from agentkit.events import Compacted

TASK = "Build the parser. Never touch main.py!"


class Killing(SQLiteStore):
    """A store that ends its process around the append of a compaction.

    Attributes:
        moment: "before" or "after" it is on disk; anything else for never.
    """

    moment = ""

    async def append(self, run_id, events, expect, claim=None):
        compacts = any(isinstance(event.body, Compacted) for event in events)
        if compacts and self.moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        await super().append(run_id, events, expect, claim)
        if compacts and self.moment == "after":
            os.kill(os.getpid(), signal.SIGKILL)


async def main(folder, base_url, moment, run_id=None):
    """Begin the run, or go on with it."""
    store = Killing(Path(folder))
    store.moment = moment
    agent = Worker(0).agent(policy=SMALL, store=store, model=GLM(base_url=base_url))
    result = await (agent.resume(run_id) if run_id else agent.run(TASK))
    print(result.output)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
