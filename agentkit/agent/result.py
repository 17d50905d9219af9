"""The result of a run: its output, what it cost, and the files that it made."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Generic

from typing_extensions import TypeVar

from agentkit.agent.plan import Step
from agentkit.messages import Message
from agentkit.tool import Artifact, Question
from agentkit.usage import Usage

T = TypeVar("T", default=str)


# Without slots: Python 3.11 cannot parametrise frozen ones, as in Result[int](...).
@dataclass(frozen=True)
class Result(Generic[T]):
    """What came of a run.

    Attributes:
        output: the final answer, of the type that the agent gives. None while calls are pending.
        run_id: id of the run in its store.
        turns: replies of the model.
        usage: tokens of all replies, those of sub-agents included.
        cost_usd: dollars, likewise, or None when a reply had no known price.
        seconds: wall time.
        artifacts: files that tools made, the newest of each name.
        messages: the whole conversation, the instructions first.
        plan: the plan as the model left it.
        pending: calls that wait for approval, in this run or in those of sub-agents, as `run_id`
            says; the run is paused until `Agent.resume` answers.
    """

    output: T
    run_id: str
    turns: int
    usage: Usage
    cost_usd: float | None
    seconds: float
    artifacts: tuple[Artifact, ...]
    messages: tuple[Message, ...]
    plan: tuple[Step, ...]
    pending: tuple[Question, ...] = ()

    def save_artifacts(self, folder: Path | str) -> list[Path]:
        """Write the artifacts into a folder and return their paths, in the artifacts' order.

        Nothing is overwritten: a name that is taken gets a number.

        Raises:
            OSError: the folder cannot be written.
        """
        return [save_artifact(Path(folder), artifact) for artifact in self.artifacts]


def save_artifact(folder: Path, artifact: Artifact) -> Path:
    """Write one artifact into a folder under a name that is free, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    name = Path(Path(artifact.name).name or "artifact")
    for number in count(1):
        path = folder / (name if number == 1 else f"{name.stem}-{number}{name.suffix}")
        try:
            with path.open("xb") as file:
                file.write(artifact.data)
        except FileExistsError:
            continue
        return path
    raise AssertionError("the count has no end")
