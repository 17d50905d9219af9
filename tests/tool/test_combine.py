"""Toolsets made of toolsets."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.errors import ConfigError
from agentkit.tool import (
    ArgumentFault,
    ToolContext,
    Toolset,
    bind,
    collect,
    combine_tools,
    filter_tools,
    prefix_tools,
    rename_tools,
    tool,
)


class Shelf:
    def __init__(self):
        self.trace = []

    @tool
    def put(self, thing: str): ...

    @tool(read_only=True)
    def take(self, thing: str, context: ToolContext): ...

    @asynccontextmanager
    async def open(self):
        self.trace.append("opened")
        yield [self.take, self.put]
        self.trace.append("closed")


def look(where: str):
    """Look."""


def tools(*sources):
    async def main():
        async with AsyncExitStack() as stack:
            return await collect(sources, stack)

    return asyncio.run(main())


def names(*sources):
    return [one.name for one in tools(*sources)]


def test_tools_are_chosen_by_name_pattern_and_predicate():
    assert names(filter_tools([Shelf(), look], "take", "l*")) == ["look", "take"]
    assert names(filter_tools(Shelf(), without=["p?t"])) == ["take"]
    assert names(filter_tools(Shelf(), where=lambda one: one.read_only)) == ["take"]


def test_changes_nest_and_the_sources_are_opened_once_for_each_run():
    shelf = Shelf()
    changed = combine_tools(rename_tools(prefix_tools(shelf, "s_"), {"s_put": "store"}), [[look]])
    assert isinstance(changed, Toolset)
    assert names(changed) == ["look", "s_take", "store"]
    assert names(changed) == ["look", "s_take", "store"]
    assert shelf.trace == ["opened", "closed"] * 2


def test_a_renamed_tool_keeps_everything_but_its_name():
    shelf = Shelf()
    before = {one.name: one for one in tools(shelf)}["take"]
    (after,) = tools(filter_tools(rename_tools(shelf, {"take": "fetch"}), "fetch"))
    for kept in ("parameters", "description", "group", "context_parameter", "read_only"):
        assert getattr(after, kept) == getattr(before, kept)
    with pytest.raises(ArgumentFault, match="The arguments of fetch do not fit"):
        bind(after, "{}")
    assert bind(after, '{"thing": "x"}').keywords == {"thing": "x"}


@pytest.mark.parametrize(
    ("sources", "phrase"),
    [
        ([prefix_tools(Shelf(), "a_"), prefix_tools(Shelf(), "a_")], r"'a_take'.*Shelf.*prefixed"),
        ([combine_tools(Shelf(), look, look)], r"Two tools are called 'look'.*look.*look"),
        ([rename_tools(Shelf(), {"take": "put"})], "Shelf.*would be called 'put'"),
        ([rename_tools(Shelf(), {"tak": "x"})], "no tool is called 'tak'. Did you mean 'take'"),
        ([filter_tools(Shelf(), "zz*")], "no tool is called 'zz\\*'. There are: put, take"),
        ([filter_tools(Shelf(), without=["x"])], "no tool is called 'x'"),
        ([prefix_tools(Shelf(), "a b")], "GLM takes"),
        ([prefix_tools(Shelf(), "a" * 64)], "GLM takes"),
        ([filter_tools([3])], "a callable"),
    ],
)
def test_what_cannot_be_is_refused_by_name_with_where_it_came_from(sources, phrase):
    with pytest.raises(ConfigError, match=phrase):
        names(*sources)


LABEL = st.text("abc_", min_size=1, max_size=3)


@given(st.lists(LABEL, unique=True, max_size=5), LABEL, st.data())
def test_no_change_loses_or_doubles_a_tool_unseen(labels, prefix, data):
    made = [tool(name=label)(lambda: None) for label in labels]
    assert names(prefix_tools(made, prefix)) == sorted(prefix + label for label in labels)
    mapping = data.draw(st.dictionaries(st.sampled_from(labels), LABEL)) if labels else {}
    wanted = [mapping.get(label, label) for label in labels]
    if len({*wanted}) == len(wanted):
        assert names(rename_tools(made, mapping)) == sorted(wanted)
    else:
        with pytest.raises(ConfigError, match="would be called"):
            names(rename_tools(made, mapping))
