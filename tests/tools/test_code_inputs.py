"""What `files=[...]` puts into the sandbox: documents, artifacts and texts of the run itself."""

import asyncio
import hashlib

import pytest
from test_code import Fake

from agentkit import Agent, Artifact, MemoryStore, ToolResult, tool
from agentkit.errors import StoreError
from agentkit.messages import ToolOutput
from agentkit.testing import Call, Say, ScriptedModel
from agentkit.tool import ToolContext, UnknownHandle
from agentkit_sandbox import ExecResult, File, SandboxPolicy
from agentkit_tools.code import CodeInterpreter

ROWS = "day,visits\n" + "".join(f"{day},{day * 37 % 101}\n" for day in range(20_000))
BIG = b"".join(b"%09d\n" % (number * 7919 % 1_000_003) for number in range(5_000_000))
ALIKE = [f"{'x' * 400}{number}" for number in (20907, 27742)]  # their sha256 begin the same


def sha256(text):
    return hashlib.sha256(text if isinstance(text, bytes) else text.encode()).hexdigest()


HANDLE = sha256(ROWS)[:12]


@tool
async def export() -> str:
    """Return a large table."""
    return ROWS


@tool
async def record() -> ToolResult:
    """Make a large file."""
    return ToolResult("recorded", (Artifact("big.txt", "text/plain", BIG),))


@tool
async def alike(at: int) -> str:
    """Return one of two texts."""
    return ALIKE[at]


def play(*calls, tools=(), store=None, backend=None, **options):
    """Run these calls, each in a turn of its own; return the texts that the model was given."""
    script = [Say(calls=[Call(name, arguments)]) for name, arguments in calls]
    agent = Agent(
        ScriptedModel([*script, Say("done")]),
        tools=[export, record, alike, CodeInterpreter(backend=backend, **options), *tools],
        store=store or MemoryStore(),
        strict=True,
    )
    result = asyncio.run(agent.run("go"))
    return [one.content for one in result.messages if isinstance(one, ToolOutput)]


def code(*files, text="x"):
    return "execute_code", {"code": text, "files": [*files]}


def put_in(fake):
    return getattr(fake, "put_in", [])


def test_what_an_earlier_call_made_can_be_put_in_again():
    made = File("a.csv", "text/csv", b"1,2")
    fake = Fake(ExecResult("ok", artifacts=(made,)), ExecResult("ok", value="1"))
    play(code(), code("a.csv"), backend=fake)
    assert put_in(fake) == [("a.csv", b"1,2")]


def test_what_was_made_before_a_resume_can_be_put_in_after_it():
    made = ExecResult("ok", artifacts=(File("a.csv", "text/csv", b"1,2"),))
    script = [Say(calls=[Call(*code())]), Say("made"), Say(calls=[Call(*code("a.csv"))]), Say("x")]
    fake = Fake(made, ExecResult("ok"))
    agent = Agent(
        ScriptedModel(script),
        tools=[CodeInterpreter(backend=fake)],
        store=MemoryStore(),
        strict=True,
    )

    async def main():
        async with agent.open() as run:
            await run.send("make it")
        async with agent.open(run_id=run.id) as run:
            await run.send("use it")

    asyncio.run(main())
    assert put_in(fake) == [("a.csv", b"1,2")]


def test_the_newest_artifact_of_a_name_is_put_in_and_comes_before_a_document(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"document")
    (tmp_path / "b.csv").write_bytes(b"other")
    made = [ExecResult("ok", artifacts=(File("a.csv", "text/csv", one),)) for one in (b"1", b"2")]
    fake = Fake(*made, ExecResult("ok"))
    play(code(), code(), code("a.csv", "b.csv"), backend=fake, documents=tmp_path)
    assert put_in(fake) == [("a.csv", b"2"), ("b.csv", b"other")]


def test_a_large_result_is_put_in_by_its_handle_whole_or_short():
    fake = Fake(ExecResult("ok"))
    shown = play(("export", {}), code(HANDLE, f"sha256:{sha256(ROWS)}"), backend=fake)
    assert sha256(ROWS) in shown[0]
    assert len(shown[0]) < len(ROWS) / 10
    assert put_in(fake) == [(HANDLE, ROWS.encode()), (f"sha256:{sha256(ROWS)}", ROWS.encode())]


def test_what_the_run_does_not_keep_is_told_with_what_it_keeps(tmp_path):
    made = ExecResult("ok", artifacts=(File("a.csv", "text/csv", b""),))
    fake = Fake(made, ExecResult("ok"))
    for wrong in ("b.csv", HANDLE, "../a.csv"):
        said = play(code(), code(wrong), backend=Fake(made, ExecResult("ok")), documents=tmp_path)
        assert "Nothing of this run has the name or the handle" in said[1]
        assert "a.csv" in said[1]
        assert "no document of this id" in said[1]
    assert put_in(fake) == []


def test_a_prefix_that_two_texts_share_is_refused():
    fake = Fake(ExecResult("ok"))
    prefix = sha256(ALIKE[0])[:8]
    said = play(("alike", {"at": 0}), ("alike", {"at": 1}), code(prefix), backend=fake)
    assert "2 texts of this run" in said[2]
    assert put_in(fake) == []


def test_a_blob_that_is_gone_is_told():
    class Gone(MemoryStore):
        async def get_blob(self, sha256):
            raise StoreError("The blob is missing.")

    fake = Fake(ExecResult("ok"))
    said = play(("export", {}), code(HANDLE), backend=fake, store=Gone())
    assert "cannot be read any more (The blob is missing.)" in said[1]
    assert put_in(fake) == []


def test_a_tool_opens_what_its_own_run_keeps_and_nothing_of_another():
    opened = []

    @tool
    async def look(name: str, context: ToolContext) -> str:
        """Look."""
        opened.append(await context.open(name))
        return "seen"

    store = MemoryStore()
    calls = [("record", {}), ("look", {"name": "big.txt"}), ("look", {"name": sha256(BIG)[:8]})]
    play(*calls, tools=[look], store=store, backend=Fake())
    assert [one == BIG for one in opened] == [True, True]
    (said,) = play(("look", {"name": sha256(BIG)}), tools=[look], store=store, backend=Fake())
    assert "Nothing of this run" in said


def test_outside_of_a_run_nothing_is_open():
    context = ToolContext("run", "call", "tool", print)
    with pytest.raises(UnknownHandle, match="belongs to no run"):
        asyncio.run(context.open("a.csv"))


@pytest.mark.docker
def test_code_analyses_a_large_result_by_its_handle():
    text = f"import pandas as pd\nint(pd.read_csv('{HANDLE}').visits.sum())"
    shown = play(("export", {}), code(HANDLE, text=text))
    assert f"Value: {sum(day * 37 % 101 for day in range(20_000))}" in shown[1]
    assert len(shown[0]) + len(shown[1]) < len(ROWS) / 10


@pytest.mark.docker
def test_code_analyses_an_artifact_of_fifty_megabytes_and_none_of_it_is_shown():
    shown = play(("record", {}), code("big.txt", text="sum(map(int, open('big.txt')))"))
    assert f"Value: {sum(number * 7919 % 1_000_003 for number in range(5_000_000))}" in shown[1]
    assert len("".join(shown)) < 1_000


@pytest.mark.docker
def test_an_artifact_too_large_for_the_workspace_is_refused_and_the_sandbox_goes_on():
    small = SandboxPolicy(workspace_mb=32)
    said = play(("record", {}), code("big.txt"), code(text="1 + 1"), policy=small)
    assert "the workspace has room for 32 MiB" in said[1]
    assert said[2] == "Value: 2"
