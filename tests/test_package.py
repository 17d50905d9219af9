"""What holds for the packages as a whole: names, imports, the error tree, sizes, the log."""

from __future__ import annotations

import ast
import importlib
import inspect
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


def test_importing_agentkit_loads_nothing_that_a_run_may_not_need():
    heavy = (
        "docker,jsonschema,structlog,pydantic.type_adapter,trafilatura,requests,psycopg,"
        "opentelemetry"
    )
    loaded = run(
        f"import sys, agentkit; print([m for m in {heavy.split(',')} if m in sys.modules])"
    )
    assert loaded.stdout.strip() == "[]"


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
