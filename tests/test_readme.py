"""What the README says: its Python compiles and imports, its commands take their options."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import click
import pytest

from agentkit import tool
from agentkit.cli.main import cli

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"(?:^|`)agentkit ([a-z]+[^`\n#|]*)", README, re.MULTILINE)


@pytest.mark.parametrize("block", BLOCKS)
def test_its_python_compiles_and_finds_its_names(block):
    compile(block, "README.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            for name in node.names:
                if not hasattr(module, name.name):
                    importlib.import_module(f"{node.module}.{name.name}")


def test_its_test_passes():
    @tool
    async def exchange_rate(base: str, quote: str) -> float:
        """Rate of one currency in another, by ISO 4217 codes."""
        return 7.8

    (block,) = (block for block in BLOCKS if "def test_" in block)
    found = {"exchange_rate": exchange_rate}
    exec(block, found)
    found["test_it_asks_the_bank"]()


@pytest.mark.parametrize("words", sorted({words.strip() for words in COMMANDS}))
def test_its_commands_and_their_options_are_there(words):
    context, command = click.Context(cli), cli
    for word in words.split():
        if not isinstance(command, click.Group) or word.isupper():
            break
        command = command.get_command(context, word)
    known = {option for parameter in command.params for option in parameter.opts}
    assert set(re.findall(r"(?<= )--[a-z-]+", words)) <= known | {"--help"}
