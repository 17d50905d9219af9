"""What holds for the packages as a whole: names, imports, the error tree, sizes, the log."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

import agentkit
import agentkit_sandbox
import agentkit_tools
from agentkit import errors

ROOT = Path(__file__).parents[1]
SOURCES = [
    path
    for folder in ("agentkit", "tools/agentkit_tools", "sandbox/agentkit_sandbox")
    for path in sorted((ROOT / folder).rglob("*.py"))
]


def run(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True)


@pytest.mark.parametrize(
    "name",
    [
        "agentkit",
        "agentkit.agent",
        "agentkit.context",
        "agentkit.events",
        "agentkit.model",
        "agentkit.store",
        "agentkit.testing",
        "agentkit.trace",
        "agentkit_sandbox",
        "agentkit_tools",
    ],
)
def test_what_a_package_offers_is_sorted_and_there(name):
    module = importlib.import_module(name)
    assert module.__all__ == sorted(module.__all__, key=lambda one: (not one.isupper(), one))
    for one in module.__all__:
        offered = getattr(module, one)
        if inspect.isclass(offered) or inspect.isroutine(offered):
            assert inspect.getdoc(offered)


# What each step loads of these would be loaded for nothing: it can do its work without.
HEAVY = (
    "agentkit.cli",
    "agentkit.context.verify",
    "agentkit.longtext",
    "agentkit.mcp",
    "agentkit.testing",
    "agentkit.trace",
    "docker",
    "jinja2",
    "jsonschema",
    "mcp",
    "opentelemetry",
    "prompt_toolkit",
    "psycopg",
    "pydantic.type_adapter",
    "requests",
    "structlog",
    "trafilatura",
)


def loaded_of(program, *unwanted):
    """Run a program in an interpreter of its own; return which of the modules it has loaded."""
    told = run(f"import json, sys\n{program}\nprint(json.dumps([*sys.modules]))")
    modules = json.loads(told.stdout.splitlines()[-1])
    return [one for one in unwanted if any(f"{each}.".startswith(f"{one}.") for each in modules)]


@pytest.mark.parametrize(
    ("program", "unwanted"),
    [
        ("import agentkit", "agentkit.errors asyncio httpx pydantic rich sqlite3"),
        (
            "from agentkit import open_store",
            "agentkit.agent agentkit.model agentkit.tool.base httpx pydantic rich",
        ),
        ("from agentkit import tool", "agentkit.agent agentkit.model httpx rich sqlite3"),
        ("from agentkit import GLM", "agentkit.agent httpx pydantic rich sqlite3"),
        ("from agentkit import *", "agentkit.agent.replay agentkit.model.probe httpx rich"),
        ("from agentkit import GLM, Agent; Agent(GLM(api_key='k'))", "agentkit.agent.replay"),
    ],
)
def test_an_import_loads_no_more_than_what_was_asked_for(program, unwanted):
    assert loaded_of(program, *HEAVY, *unwanted.split()) == []


COMMAND = """
from agentkit.cli.main import main
sys.argv = ["agentkit", *{words!r}]
try:
    main()
except SystemExit as ended:
    assert not ended.code
"""


@pytest.mark.parametrize(
    ("words", "unwanted"),
    [
        (["--help"], "agentkit.cli.runs agentkit.events agentkit.store asyncio sqlite3"),
        (["runs", "list"], "agentkit.cli.run agentkit.tool.base importlib.metadata"),
    ],
)
def test_a_command_loads_no_agent_and_no_model(words, unwanted, tmp_path, monkeypatch):
    monkeypatch.setenv("AGENTKIT_HOME", str(tmp_path))
    heavy = {*HEAVY, "agentkit.agent", "agentkit.model", "httpx", "pydantic", "rich"}
    heavy.discard("agentkit.cli")
    assert loaded_of(COMMAND.format(words=words), *sorted(heavy), *unwanted.split()) == []


LATE = [
    "agentkit",
    *(f"agentkit.{one}" for one in ("agent", "context", "model", "store", "tool")),
    "agentkit_sandbox",
]


@pytest.mark.parametrize("name", LATE)
def test_what_a_package_brings_late_is_what_it_shows_the_type_checker(name):
    module = importlib.import_module(name)
    tree = ast.parse(Path(module.__file__).read_text("utf-8"))
    (shown,) = (node for node in tree.body if isinstance(node, ast.If))
    homes = {
        alias.name: node.module
        for node in shown.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(homes) == sorted(module.__all__)
    for one, home in homes.items():
        assert getattr(module, one) is getattr(importlib.import_module(home), one)
    assert set(homes) <= set(dir(module))


EACH_FIRST = """
import os
import click, httpx, pydantic  # outside of the children, which are forks: they take long
failed = []
for name in {names!r}:
    child = os.fork()
    if not child:
        try:
            __import__(name)
            os._exit(0)
        finally:
            os._exit(1)
    if os.waitpid(child, 0)[1]:
        failed.append(name)
print(failed)
"""


@pytest.mark.slow
@pytest.mark.parametrize("room", ["agent", "cli", "context", "events", "model", "store", "tool"])
def test_each_module_can_be_the_first_that_is_imported(room):
    folder = ROOT / "agentkit" / room
    names = [f"agentkit.{room}.{path.stem}" for path in sorted(folder.glob("[!_]*.py"))]
    assert names
    assert run(EACH_FIRST.format(names=names)).stdout.strip() == "[]"


def test_a_name_that_is_not_there_fails_where_it_is_imported():
    for name in LATE:
        with pytest.raises(ImportError, match="cannot import name 'Agnet'"):
            exec(f"from {name} import Agnet")
        with pytest.raises(AttributeError, match="has no attribute 'Agnet'"):
            importlib.import_module(name).Agnet  # noqa: B018


def test_tool_is_the_decorator_whatever_was_imported_before():
    again = "importlib, agentkit; importlib.reload(agentkit)"
    for first in ("agentkit.tool", "agentkit.tool.schema", "agentkit.agent", again):
        told = run(f"import {first}; from agentkit import tool; print(tool.__module__)")
        assert told.stdout.strip() == "agentkit.tool.schema"
    told = run("import agentkit; print(agentkit.errors.ToolError.__name__, agentkit.tool.__name__)")
    assert told.stdout.split() == ["ToolError", "tool"]


def test_the_error_tree_in_the_docstring_is_the_tree():
    drawn = [
        line.strip("│├└─ ").split()[0] for line in errors.__doc__.splitlines() if "── " in line
    ]
    classes = [
        name
        for name, one in vars(errors).items()
        if inspect.isclass(one) and issubclass(one, errors.AgentkitError)
    ]
    assert sorted([*drawn, "AgentkitError"]) == sorted(classes)


def test_every_file_has_one_job_and_fits_on_a_few_screens():
    long = {
        str(path.relative_to(ROOT)): count
        for path in SOURCES
        if (count := len(path.read_text("utf-8").splitlines())) > 400
    }
    assert not long


def test_functions_are_short():
    long = {
        f"{path.relative_to(ROOT)}:{node.name}": node.end_lineno - node.lineno
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno > 60
    }
    assert not long


def test_a_warning_of_the_library_goes_to_stderr_unless_the_program_configured_structlog():
    program = "from agentkit.log import warn; warn('model', 'model.retry', attempt=1)"
    plain = run(program)
    assert plain.stdout == ""
    assert "model.retry" in plain.stderr
    own = run(
        "import structlog; structlog.configure(processors=[structlog.processors.JSONRenderer()]);"
        + program
    )
    assert '"event": "model.retry"' in own.stdout


def test_the_three_packages_are_separate():
    assert agentkit.__doc__
    assert agentkit_sandbox.__doc__
    assert agentkit_tools.__doc__
    for folder in ("tools", "sandbox"):
        assert not (ROOT / folder / "__init__.py").exists()
