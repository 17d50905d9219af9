"""A pytest plugin: recorded runs as tests.

    pytest_plugins = ["agentkit.testing.pytest_plugin"]  # in conftest.py

    @pytest.mark.agentkit_replay("runs/refund.jsonl")
    def test_refund(replayed):
        result = replayed(agent)

`agentkit export RUN --format jsonl -o runs/refund.jsonl` makes the file. The model and the tools
answer from it; each request has to be the recorded one byte by byte, so a changed instruction, tool
or version of agentkit that would change what GLM is sent fails the test.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from agentkit.agent import Agent, Result

MARK = "agentkit_replay"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", f"{MARK}(path): a run, as JSON lines, to be replayed")


@pytest.fixture
def replayed(request: pytest.FixtureRequest) -> Callable[[Agent[Any]], Result[Any]]:
    """Return a function that replays the marked run with an agent and returns its result."""
    from agentkit.agent.replay import replay  # noqa: PLC0415 - pytest loads this file in every run
    from agentkit.events import load_line  # noqa: PLC0415
    from agentkit.store import MemoryStore  # noqa: PLC0415

    mark = request.node.get_closest_marker(MARK)
    if mark is None or len(mark.args) != 1:
        raise pytest.UsageError(f"`replayed` needs @pytest.mark.{MARK}(path of a .jsonl file).")
    path = Path(mark.args[0])
    if not path.is_absolute():
        path = request.path.parent / path
    events = [load_line(line) for line in path.read_text("utf-8").splitlines() if line]

    def run(agent: Agent[Any]) -> Result[Any]:
        return asyncio.run(replay(replace(agent, store=MemoryStore()), events))

    return run
