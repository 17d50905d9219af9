"""What the author of a tool may say of it."""

import functools

import pytest

from agentkit.errors import ToolDefinitionError
from agentkit.tool import ToolContext, raw_tool, tool


def top_level() -> int:
    return 1


async def top_level_async() -> int:
    return 1


def with_context(context: ToolContext) -> int:
    return 1


def test_names_of_resources_may_be_one_or_many():
    made = tool(writes="repo", reads=("index", "cache"))(top_level)
    assert (made.writes, made.reads) == (("repo",), ("index", "cache"))


def test_flags_of_a_raw_tool_are_the_same():
    schema = {"type": "object", "properties": {}}
    made = raw_tool(
        "work", "", schema, top_level, destructive=True, open_world=True, priority=2, writes="a"
    )
    assert (made.destructive, made.open_world, made.priority, made.writes) == (
        True,
        True,
        2,
        ("a",),
    )


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        ({"retries": 2}, "read_only=True or idempotent=True"),
        ({"retries": -1, "read_only": True}, "0 or more"),
        ({"max_concurrency": 0}, "1 or more"),
        ({"timeout": 0}, "seconds above 0"),
        ({"writes": 3}, "a name or a tuple of names"),
        ({"writes": ("a", "")}, "a name or a tuple of names"),
        ({"redonly": True}, "no option redonly"),
    ],
)
def test_a_flag_that_makes_no_sense_is_refused_where_it_is_written(flags, word):
    with pytest.raises(ToolDefinitionError, match=word):
        tool(**flags)(top_level)
    schema = {"type": "object", "properties": {}}
    with pytest.raises(ToolDefinitionError, match=word):
        raw_tool("work", "", schema, top_level, **flags)


class Worker:
    def work(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda: 1, "not at the top level"),
        (top_level_async, "async"),
        (with_context, "ToolContext"),
        (functools.partial(top_level), "partial, not a function"),
        (Worker().work, "method, not a function"),
    ],
)
def test_a_function_that_another_process_could_not_find_is_refused_with_the_reason(function, why):
    with pytest.raises(ToolDefinitionError, match=why):
        tool(process=True, name="work")(function)
