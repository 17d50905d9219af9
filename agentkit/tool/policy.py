"""The policy of dispatch: how many calls run at once, how long, and how much they may return."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from agentkit.errors import ConfigError


@dataclass(frozen=True, slots=True)
class DispatchPolicy:
    """How tool calls run.

    Attributes:
        concurrency: calls of a run that run at once, in tasks and threads together. Default 16.
        total_concurrency: calls that run at once in all runs of the event loop before this run
            starts one more. Default 128. A run inside a tool call, such as a sub-agent's, may
            always have one, so that nested runs cannot block each other.
        processes: calls that run at once in processes of their own, in all runs of the event loop.
            Default: the machine's cores.
        timeout: seconds a call may take unless its tool says otherwise. Default 300.
        grace: seconds that a stopped call has to end before it is abandoned. Default 2.
        max_result_characters: longer results lose their middle. Default 40,000, about 10,000
            tokens.
        max_result_bytes: of a larger value only the beginning is turned into text. Default 16 MiB.
        max_artifact_bytes: files that a call makes are kept up to this, together. Default 256 MiB.
        fault_patience: turns in a row in which the arguments of a tool may not fit, after which it
            is set aside for the run. Default 5.
    """

    concurrency: int = 16
    total_concurrency: int = 128
    processes: int = field(default_factory=lambda: os.cpu_count() or 1)
    timeout: float = 300.0
    grace: float = 2.0
    max_result_characters: int = 40_000
    max_result_bytes: int = 16 << 20
    max_artifact_bytes: int = 256 << 20
    fault_patience: int = 5

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if not value > 0:
                raise ConfigError(f"DispatchPolicy({name}={value!r}): expected a positive number.")
