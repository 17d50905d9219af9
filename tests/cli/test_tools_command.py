"""`agentkit tools` and `--mcp`: tools from the shell, run as an agent runs them."""

import asyncio
import json
import os
import pty
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from test_commands import KEY, agentkit, call

from agentkit.testing import Call, GLMServer, Say
from logs import read_log

ODD = Path(__file__).parents[1] / "mcp" / "odd_server.py"
MCP = shlex.join([sys.executable, str(ODD), "plain"])
MINE = '''
from agentkit import Artifact, ToolContext, ToolResult, tool
from beside import ONE

@tool(read_only=True)
def add(numbers: list[int], context: ToolContext) -> int:
    """Add numbers.

    Args:
        numbers: what to add.
    """
    context.progress("adding")
    return sum(numbers) + ONE - 1

@tool
def draw() -> ToolResult:
    """Draw."""
    return ToolResult("drawn", (Artifact("chart.txt", "text/plain", b"+"),))

def fail(why: str):
    raise ValueError(why)

class Needy:
    def __init__(self, what): ...
'''


@pytest.fixture
def home(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "beside.py").write_text("ONE = 1\n")
    return tmp_path


def test_a_users_own_tools_are_listed_and_described(home):
    code, out, _ = call("tools", "list", "--tools", "mine.py", home=home)
    assert (code, out) == (0, "add\tAdd numbers.\ndraw\tDraw.\n")
    code, out, _ = call("tools", "list", "--tools", "mine:add", "--json", home=home)
    assert json.loads(out)["hints"] == ["read_only"]
    code, out, _ = call("tools", "describe", "add", "--tools", "mine.py", home=home)
    assert json.loads(out)["parameters"]["properties"]["numbers"]["description"] == "what to add."


def test_a_call_is_repaired_told_and_answered_as_in_a_run(home):
    words = ("tools", "call", "add", "--tools", "mine.py", "--args", '{"numbers": "[1, 2]"}')
    code, out, err = call(*words, home=home)
    assert (code, out) == (0, "3\n")
    assert "repaired numbers: decoded JSON" in err
    assert "adding" in err
    code, out, _ = call(*words[:-1], '{"number": 1}', home=home)
    assert code == 1
    assert "did you mean numbers?" in out


def test_arguments_come_from_a_file_and_files_are_saved(home):
    (home / "args.json").write_text('{"why": "no reason"}')
    code, out, _ = call(
        "tools", "call", "fail", "--tools", "mine.py:fail", "--args", "@args.json", home=home
    )
    assert code == 1
    assert out.startswith("ValueError: no reason")
    code, out, err = call("tools", "call", "draw", "--tools", "mine.py", home=home)
    assert (code, out) == (0, "drawn\n")
    assert "saved artifacts/chart.txt" in err
    assert (home / "artifacts/chart.txt").read_text() == "+"


def test_without_options_the_installed_toolsets_are_listed(home):
    code, out, err = call("tools", "list", home=home)
    assert code == 0
    assert "execute_code\t" in out
    assert "left out: --tools documents: " in err
    assert "documents:ARGUMENT" in err


@pytest.mark.parametrize(
    ("words", "phrase"),
    [
        (["describe", "ad", "--tools", "mine.py"], "There are: add, draw"),
        (["list", "--tools", "mine.py:nothing"], "nothing"),
        (["list", "--tools", "beside.py"], "made with @tool"),
        (["list", "--tools", "nowhere.py"], "no file"),
        (["list", "--tools", "mine.py:Needy"], "missing 1 required"),
        (["list", "--tools", "nowhere:x"], "neither a toolset (code, documents) nor a module"),
        (["list", "--tools", "code:x"], "without an argument"),
        (["list", "--mcp", "no-such-program"], "there is no 'no-such-program'"),
        (["list", "--mcp", "nowhere.json"], "nowhere.json cannot be read"),
        (["call", "add", "--tools", "mine.py", "--args", "@nowhere"], "nowhere"),
    ],
)
def test_a_mistake_is_one_clear_sentence(home, words, phrase):
    code, out, err = call("tools", *words, home=home)
    assert (code, out) == (2, "")
    assert phrase in err
    assert "Traceback" not in err


def test_an_agent_calls_the_tools_of_an_mcp_server_and_of_a_file(home):
    servers = {"mcpServers": {"odd": {"command": sys.executable, "args": [str(ODD), "plain"]}}}
    (home / "mcp.json").write_text(json.dumps(servers))
    turn = Say(calls=[Call("odd__echo", {"text": "hi"}), Call("add", {"numbers": [1, 2]})])

    async def main():
        async with GLMServer([turn, "done"]) as server:
            process = await agentkit(
                *("run", "x", "--mcp", "mcp.json", "--tools", "mine.py", "--json"),
                home=home,
                ZAI_BASE_URL=server.base_url,
                ZAI_API_KEY=KEY,
            )
            out, err = await process.communicate()
            assert process.returncode == 0, err
            return json.loads(out.splitlines()[0])["run_id"]

    log = read_log(home, asyncio.run(main()))
    results = {e.body.name: e.body for e in log if e.kind == "tool_finished"}
    assert results["add"].content == "3"
    assert '\n{"text": "hi"}\n' in results["odd__echo"].content  # marked as data from outside


def test_a_tool_of_an_mcp_server_is_called_from_the_shell(home):
    code, out, err = call(
        "tools", "call", "odd__echo", "--mcp", MCP, "--args", '{"text": "hi"}', home=home
    )
    assert (code, err) == (0, "")
    assert '\n{"text": "hi"}\n' in out


@pytest.mark.parametrize(
    ("typed", "answer"),
    [("y\nyes\n", "ordered 5 tea"), ("n\n", "was decline"), ("y\nn\n", "not ord")],
)
def test_what_a_server_asks_is_asked_on_the_terminal(home, typed, answer):
    shop = Path(__file__).parents[2] / "examples" / "03_shop_server.py"
    server = shlex.join([sys.executable, str(shop)])
    words = [
        *(sys.executable, "-m", "agentkit.cli.main", "tools", "call", "03-shop__order"),
        *("--mcp", server, "--args", '{"product": "tea", "amount": 5}'),
    ]
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        words, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, cwd=home, text=True
    ) as process:
        os.close(theirs)
        os.write(ours, typed.encode())
        out, _ = process.communicate(timeout=60)
        shown = os.read(ours, 10_000).decode()
    os.close(ours)
    assert answer in out
    assert "The MCP server '03-shop' asks:" in shown
    assert "Order 5 tea?" in shown
