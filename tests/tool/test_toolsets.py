"""From a mixture of tools to the list that one run has."""

import asyncio
import importlib
from contextlib import AsyncExitStack, asynccontextmanager

import orjson
import pytest

from agentkit.errors import ConfigError
from agentkit.tool import Toolset, collect, definitions, raw_tool, tool


class Shelf:
    def __init__(self):
        self.trace = []

    @tool
    def put(self, thing: str): ...

    @tool
    def take(self, thing: str): ...

    @asynccontextmanager
    async def open(self):
        self.trace.append("opened")
        yield [self.take, self.put]
        self.trace.append("closed")


class Lamp:
    def switch(self, *, on: bool): ...


def look(where: str):
    """Look."""


def names(*sources):
    async def main():
        async with AsyncExitStack() as stack:
            return [one.name for one in await collect(sources, stack)]

    return asyncio.run(main())


def test_functions_methods_tools_and_toolsets_are_sorted_by_name():
    shelf = Shelf()
    assert isinstance(shelf, Toolset)
    raw = raw_tool("a_raw", "", {"type": "object"}, print)
    assert names(shelf, look, Lamp().switch, raw) == ["a_raw", "look", "put", "switch", "take"]
    assert shelf.trace == ["opened", "closed"]


def test_two_tools_of_one_name_are_refused_by_name():
    with pytest.raises(ConfigError, match=r"'take'.*Shelf.*Shelf"):
        names(Shelf(), Shelf())


def test_more_tools_than_glm_takes_are_refused():
    many = [raw_tool(f"t{index}", "", {"type": "object"}, print) for index in range(129)]
    assert len(names(*many[:128])) == 128
    with pytest.raises(ConfigError, match="129 tools"):
        names(*many)


@pytest.mark.parametrize("wrong", [Shelf, Lamp, "look", 3, Shelf.put])
def test_what_is_no_tool_is_refused(wrong):
    with pytest.raises(ConfigError):
        names(wrong)


def test_definitions_are_canonical():
    one, two = tool(look), raw_tool("a", "A.", {"type": "object", "properties": {}}, print)
    assert definitions([one, two]) == definitions([two, one])
    assert definitions([two]) == (
        b'[{"function":{"description":"A.","name":"a","parameters":'
        b'{"properties":{},"type":"object"}},"type":"function"}]'
    )
    listed = orjson.loads(definitions([one, two]))
    assert [item["function"]["name"] for item in listed] == ["a", "look"]


def test_the_public_names_are_sorted_and_exist():
    # `agentkit.tool` as an attribute is the decorator; the package of that name is imported from.
    package = importlib.import_module("agentkit.tool")
    assert package.__all__ == sorted(package.__all__)
    for name in package.__all__:
        assert getattr(package, name) is not None
