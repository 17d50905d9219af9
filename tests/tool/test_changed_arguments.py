"""A tool that changes what it was given changes neither the log nor its next attempt."""

import asyncio
from typing import Any

import pytest
from dispatching import call, turn

from agentkit.tool import raw_tool, tool

SCHEMA = {"type": "object", "properties": {"names": {"type": "array"}}, "required": ["names"]}
GIVEN = {"names": ["a", ["b"]]}


def consume(names: list[Any]):
    names[1].clear()
    names.clear()
    raise OSError("lost")


@pytest.mark.parametrize("typed", [False, True])
def test_the_log_keeps_the_arguments_as_the_tool_got_them(typed):
    one = tool(consume) if typed else raw_tool("consume", "Consume.", SCHEMA, consume)
    log = asyncio.run(turn([one], [call(one, GIVEN)]))
    assert log.started[0].arguments == GIVEN


@pytest.mark.parametrize("blocking", [False, True])
@pytest.mark.parametrize("typed", [False, True])
def test_every_attempt_gets_the_arguments_as_the_model_wrote_them(typed, blocking):
    got = []

    def take(names: list[Any]):
        got.append(repr(names))
        consume(names)

    async def take_async(names: list[Any]):
        take(names)

    function = take if blocking else take_async
    if typed:
        one = tool(name="take", idempotent=True, retries=1)(function)
    else:
        one = raw_tool("take", "Take.", SCHEMA, function, idempotent=True, retries=1)
    asyncio.run(turn([one], [call(one, GIVEN)]))
    assert got == [repr(GIVEN["names"])] * 2
