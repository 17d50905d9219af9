"""Threads for tools that block: as many as calls run at once, and none that holds up the exit.

`concurrent.futures` joins its threads when the interpreter exits, so one tool that hangs would
keep the program from ending. These threads are daemons, and an abandoned one is replaced.
"""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable


class Threads:
    """Runs functions in daemon threads, which are started when needed and kept for reuse.

    There is no limit here: the dispatcher's cap bounds how many jobs run at once. Used from one
    thread, the event loop's.
    """

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._threads = 0
        self._idle = 0
        self._lock = threading.Lock()

    def submit(self, job: Callable[[], object]) -> None:
        """Run a job that never raises in a thread, with the caller's context variables."""
        context = contextvars.copy_context()
        with self._lock:
            starts = self._idle == 0
            if starts:
                self._threads += 1
            else:
                self._idle -= 1
        if starts:
            name = f"agentkit-tool-{self._threads}"
            threading.Thread(target=self._work, name=name, daemon=True).start()
        self._jobs.put(lambda: context.run(job))

    def close(self) -> None:
        """Let the idle threads end; busy ones end after their job."""
        for _ in range(self._threads):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            del job  # a thread that waits must not keep arguments alive
            with self._lock:
                self._idle += 1
