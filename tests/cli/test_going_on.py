"""`agentkit resume`, `fork`, `replay` and `diff`, as a person at a shell uses them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import textwrap

import pytest

from agentkit.cli.command import Command, command_of
from agentkit.errors import ConfigError
from agentkit.events import Event
from agentkit.testing import Call, GLMServer, Say

KEY = "secret-key-0123456789"

TOOLS = """
    from agentkit import tool

    @tool(destructive=True)
    def erase(path: str) -> str:
        open("erased", "a").write(path + "\\n")
        return f"erased {path}"
"""

SUB_AGENT = """
    from agentkit import Agent, ApprovalPolicy, Rule
    import tools

    asking = ApprovalPolicy((Rule("ask", hint="destructive"),))
    cleaner = Agent(name="cleaner", tools=[tools.erase], approval=asking).as_tool()
"""


def brain(request):
    said = [m["content"] for m in request["messages"] if m["role"] in ("user", "tool")]
    if len(said) < 2:
        return Say("I erase it", calls=[Call("erase", {"path": said[0]}, id="call_1")])
    return Say(f"{request['model']}: {' / '.join(said)}")


@pytest.fixture
def shell(tmp_path):
    """A function that runs `agentkit` beside a server and returns code, stdout and stderr."""
    (tmp_path / "tools.py").write_text(textwrap.dedent(TOOLS))

    def run(*words, script=brain):
        async def main():
            async with GLMServer(script, key=KEY) as server:
                env = {k: v for k, v in os.environ.items() if not k.startswith(("ZAI", "AGENTKIT"))}
                env |= {"AGENTKIT_HOME": str(tmp_path / "home"), "ZAI_API_KEY": KEY}
                process = await asyncio.create_subprocess_exec(
                    *[sys.executable, "-m", "agentkit.cli.main", *words],
                    env={**env, "ZAI_BASE_URL": server.base_url},
                    cwd=tmp_path,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                )
                out, err = await process.communicate()
                return process.returncode, out.decode(), err.decode()

        return asyncio.run(main())

    return run


def run_id(err):
    return next(line for line in err.splitlines() if "· run " in line).rsplit(" ", 1)[-1]


def test_a_run_pauses_for_an_approval_and_goes_on_when_it_comes(shell, tmp_path):
    code, out, err = shell("run", "a.txt", "--tools", "tools.py", "--ask", "destructive")
    assert (code, out) == (3, "")
    assert f"go on with: agentkit resume {run_id(err)} --approve call_1" in err
    assert not (tmp_path / "erased").exists()
    code, out, err = shell("resume", run_id(err)[:20], "--approve", "call_1")
    assert (code, out) == (0, "glm-5: a.txt / erased a.txt\n"), err
    assert (tmp_path / "erased").read_text() == "a.txt\n"


def two_cleaners(request):
    """Above: a cleaner for each file; below: erase it."""
    tools = [one["function"]["name"] for one in request["tools"]]
    if "cleaner" not in tools:
        return brain(request)
    said = [m["content"] for m in request["messages"] if m["role"] == "tool"]
    files = "a.txt", "b.txt"
    calls = [Call("cleaner", {"task": one}, id=f"for_{one[0]}") for one in files]
    return Say(" | ".join(said)) if said else Say(calls=calls)


def test_calls_of_sub_agents_are_approved_by_their_runs(shell, tmp_path):
    (tmp_path / "subs.py").write_text(textwrap.dedent(SUB_AGENT))
    code, out, err = shell("run", "Clean up.", "--tools", "subs.py:cleaner", script=two_cleaners)
    assert (code, out) == (3, ""), err
    top = run_id(err)
    waits = re.findall(r"waits for approval: erase, call (\S+)/call_1 of run (\S+)", err)
    assert len(waits) == 2
    assert all(run == again for run, again in waits)
    assert f"go on with: agentkit resume {top} --approve {waits[0][0]}/call_1" in err
    _, out, _ = shell("runs", "list")
    assert out.count("  paused  ") == 3
    assert out.count("↳ cleaner") == 2
    _, out, _ = shell("runs", "show", top)
    assert f"approval of {waits[0][0]}/call_1, {waits[1][0]}/call_1" in out
    code, _, err = shell("resume", top, "--approve", "call_1", script=two_cleaners)
    assert code == 2
    assert all(f"{run}/call_1 (erase)" in err for run, _ in waits)
    first, second = (f"{run}/call_1" for run, _ in waits)
    words = "--approve", first, "--deny-call", f"{second}=not b"
    code, out, err = shell("resume", top, *words, script=two_cleaners)
    assert code == 0, err
    assert "a.txt / erased a.txt | " in out
    assert "Reason: not b." in out
    assert (tmp_path / "erased").read_text() == "a.txt\n"


def test_a_denied_call_tells_the_model_why(shell, tmp_path):
    _, _, err = shell("run", "a.txt", "--tools", "tools.py", "--ask", "er*")
    code, out, _ = shell("resume", run_id(err), "--deny-call", "call_1=not that file")
    assert code == 0
    assert "not that file" in out
    code, _, err = shell("resume", run_id(err), "--approve", "call_1")
    assert code == 2
    assert "No call 'call_1'" in err


def test_fork_replay_and_diff(shell, tmp_path):
    _, _, err = shell("run", "a.txt", "--tools", "tools.py")
    first = run_id(err)
    code, out, err = shell("fork", first, "--at", "2", "--edit", "b.txt", "--model", "glm-5.3")
    assert (code, out) == (0, "glm-5.3: b.txt / erased b.txt\n"), err
    forked = run_id(err)
    assert (tmp_path / "erased").read_text() == "a.txt\nb.txt\n"
    code, out, _ = shell("diff", first, forked, "--json")
    changes = [json.loads(line)["change"] for line in out.splitlines()]
    assert (code, changes) == (1, ["calls", "calls"])
    code, out, _ = shell("diff", first, forked)
    assert "erase" in out
    assert "2 turns" in out
    code, out, err = shell("replay", first, script=[])
    assert (code, out) == (0, "glm-5: a.txt / erased a.txt\n"), err
    assert (tmp_path / "erased").read_text() == "a.txt\nb.txt\n"
    code, _, err = shell("replay", first, "--instructions", "Be terse.", script=[])
    assert code == 1
    assert "Request 1 differs" in err


@pytest.mark.parametrize(
    "server",
    ["npx some-server --api-key s3cr3t", "https://me:s3cr3t@example.org", "http://a.b/?t=s3cr3t"],
)
def test_a_server_with_a_secret_is_not_kept_and_has_to_be_given_again(server):
    command = Command(servers=("npx plain-server", server))
    note = command.note()
    assert "s3cr3t" not in str(note)
    assert "npx plain-server" in note.data["servers"]
    kept = command_of([Event("r", 0, "", note)])
    with pytest.raises(ConfigError, match="Give --mcp again"):
        kept.agent()
    again = kept.changed({"servers": command.servers})
    assert again == command


def test_what_cannot_go_on_says_why(shell):
    code, _, err = shell("resume", "ffff")
    assert code == 1
    assert "No run begins with 'ffff'" in err
    _, _, err = shell("run", "a.txt", "--tools", "tools.py")
    code, _, err = shell("resume", run_id(err), "--instructions", "Other.")
    assert code == 1
    assert "+Other." in err
