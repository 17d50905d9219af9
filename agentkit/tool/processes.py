"""Processes for functions that keep a core busy: they run beside the event loop and can be killed.

A worker is a fresh interpreter (spawned, never forked: the parent has threads) that imports the
function's module and serves one call after the other. Only the outcome comes back, so that a
result of a gigabyte stays there.
"""

from __future__ import annotations

import importlib
import signal
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from agentkit.errors import ToolError
from agentkit.tool.base import Tool
from agentkit.tool.bounds import failed, finished
from agentkit.tool.policy import DispatchPolicy
from agentkit.tool.results import Outcome

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

_END_SECONDS = 1.0


class _Worker:
    """One process and the pipe to it."""

    def __init__(self) -> None:
        import multiprocessing  # noqa: PLC0415 - only for tools that want a process

        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(target=serve, args=(theirs,), daemon=True)
        try:
            self.process.start()
        finally:
            theirs.close()

    def end(self) -> int | None:
        """Kill the process, unless it has ended, and return its exit code."""
        self.pipe.close()
        if self.process.is_alive():
            self.process.join(0.05)  # it may be about to end by itself, with a code that tells why
        if self.process.is_alive():
            self.process.kill()
        self.process.join(_END_SECONDS)
        return self.process.exitcode


class Job:
    """One call in a process of its own. `run` blocks a thread; `kill` may come from any other."""

    def __init__(self, processes: Processes, tool: Tool, keywords: Mapping[str, Any]) -> None:
        self._processes = processes
        self._function = (tool.function.__module__, tool.function.__qualname__)
        self._keywords = dict(keywords)
        self._lock = threading.Lock()
        self._worker: _Worker | None = None
        self._killed = False

    def run(self, policy: DispatchPolicy) -> tuple[Outcome, bool]:
        """Return the outcome, and whether the function raised something worth another attempt.

        Raises:
            ToolError: the process ended before the function did.
            Exception: the arguments cannot be pickled.
        """
        worker = self._processes.take()
        with self._lock:
            self._worker = worker
        if self._killed:
            worker.process.kill()
        try:
            worker.pipe.send((*self._function, self._keywords, policy))
            answer: tuple[Outcome, bool] = worker.pipe.recv()
        except (EOFError, OSError):
            code = self._processes.drop(worker)
            raise ToolError(
                f"The process of this call ended before the call did (exit code {code}); part of "
                "its work may be done. Try another way."
            ) from None
        except BaseException:
            self._processes.give_back(worker)
            raise
        finally:
            with self._lock:
                self._worker = None
        self._processes.give_back(worker)
        return answer

    def kill(self) -> None:
        """End the process; `run` then raises."""
        with self._lock:
            self._killed = True
            if self._worker is not None:
                self._worker.process.kill()


class Processes:
    """The worker processes of one run, started when needed and kept for reuse."""

    def __init__(self) -> None:
        self._idle: list[_Worker] = []
        self._lock = threading.Lock()
        self._closed = False

    def take(self) -> _Worker:
        """Return a worker that nobody else uses. Starting one takes about a second."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return _Worker()

    def give_back(self, worker: _Worker) -> None:
        """Keep a worker for the next call."""
        with self._lock:
            if not self._closed and worker.process.is_alive():
                self._idle.append(worker)
                return
        worker.end()

    def drop(self, worker: _Worker) -> int | None:
        """Give up a worker and return the exit code of its process."""
        return worker.end()

    def close(self) -> None:
        """End the idle workers; those that work end after their call or are killed with it."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.process.kill()
            worker.end()


def serve(pipe: Connection) -> None:
    """Serve calls in a worker process until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this
    while True:
        try:
            module, name, keywords, policy = pipe.recv()
        except (EOFError, OSError):
            return
        except Exception as error:  # noqa: BLE001 - arguments that this process cannot read
            pipe.send((Outcome("error", f"The arguments did not arrive: {error!r}"), False))
            continue
        answer = _answer(module, name, keywords, policy)
        try:
            pipe.send(answer)
        except OSError:
            return


def _answer(
    module: str, name: str, keywords: Mapping[str, Any], policy: DispatchPolicy
) -> tuple[Outcome, bool]:
    try:
        return finished(_find(module, name)(**keywords), policy), False
    except BaseException as error:  # noqa: BLE001 - whatever a tool raises is its result
        return failed(error, policy)


def _find(module: str, name: str) -> Callable[..., Any]:
    found: Any = getattr(importlib.import_module(module), name, None)
    if isinstance(found, Tool):  # the decorator left it in the function's place
        found = found.function
    if not callable(found):
        raise ToolError(
            f"There is no function {name} in {module}; a tool with process=True has to be found "
            "under its own name at the top level of its module."
        )
    return found
