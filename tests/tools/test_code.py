"""`execute_code` as the model sees it."""

import asyncio
import shutil

import pytest

from agentkit.tool import ToolContext, ToolError, Toolset
from agentkit_sandbox import (
    ExecResult,
    File,
    Runner,
    SandboxLost,
    SandboxPolicy,
    SandboxUnavailable,
)
from agentkit_tools.code import CodeInterpreter
from agentkit_tools.code.report import describe

CONTEXT = ToolContext("run", "call", "execute_code", lambda text: None)


class Fake:
    """A back end and its sandboxes in one: answers with prepared results."""

    def __init__(self, *results):
        self.results, self.started, self.closed = list(results), 0, 0

    async def start(self, policy, on_wait=None):
        self.started += 1
        await asyncio.sleep(0.01)
        if isinstance(self.results[0], SandboxUnavailable):
            raise self.results.pop(0)
        return self

    async def reap(self):
        return 0

    async def execute(self, code, timeout=30.0, *, on_output=None):  # noqa: ASYNC109 (the protocol)
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    async def ping(self):
        return True

    async def shell(self, command, timeout=30.0, *, on_output=None):  # noqa: ASYNC109 (the protocol)
        return await self.execute(command, timeout, on_output=on_output)

    async def put(self, name, data):
        self.put_in = [*getattr(self, "put_in", []), (name, data)]

    async def close(self):
        self.closed += 1


def calls(fake, count=1, **options):
    async def run():
        async with CodeInterpreter(backend=fake, **options).open() as [execute_code, _]:
            return [await execute_code.function(code="x", context=CONTEXT) for _ in range(count)]

    return asyncio.run(run())


def test_it_is_a_toolset_of_two_tools_whose_calls_keep_their_order():
    async def run():
        interpreter = CodeInterpreter(prewarm=False)
        assert isinstance(interpreter, Toolset)
        async with interpreter.open() as [tool, shell], interpreter.open() as [other, _]:
            assert (tool.name, shell.name) == ("execute_code", "run_shell")
            assert tool.group == shell.group
            assert tool.group is not None
            assert tool.group != other.group
            assert set(tool.parameters["properties"]) == {"code", "timeout", "files"}
            assert tool.parameters["required"] == ["code"]

    asyncio.run(run())


def test_without_a_sandbox_the_model_is_told_and_can_go_on():
    fake = Fake(SandboxUnavailable("No daemon. Run `agentkit setup`."))
    [result] = calls(fake)
    assert not result.ok
    assert "agentkit setup" in result.content
    assert "table" in result.content


def test_a_lost_sandbox_is_told_and_replaced():
    fake = Fake(SandboxLost("It was lost."), ExecResult("ok", value="1"))
    first, second = calls(fake, 2)
    assert "gone" in first.content
    assert not first.ok
    assert second.content == "Value: 1"
    assert fake.started == 2


def test_after_a_call_that_was_cut_off_the_model_learns_that_its_state_is_gone():
    class Slow(Fake):
        async def execute(self, code, timeout=30.0, *, on_output=None):  # noqa: ASYNC109
            if code == "slow":
                await asyncio.sleep(60)
            return ExecResult("ok", value="1")

    async def run():
        fake = Slow(None)
        async with CodeInterpreter(backend=fake).open() as [execute_code, _]:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await execute_code.function(code="slow", context=CONTEXT)
            assert fake.closed == 1
            second = await execute_code.function(code="x", context=CONTEXT)
            third = await execute_code.function(code="x", context=CONTEXT)
        return second.content, third.content

    second, third = asyncio.run(run())
    assert "are gone" in second
    assert second.endswith("Value: 1")
    assert third == "Value: 1"


def test_an_unused_sandbox_is_closed_with_the_run():
    fake = Fake(None)
    calls(fake, 0)
    assert fake.closed == 0, "it was still starting, and a cancelled start cleans up itself"

    async def run():
        async with CodeInterpreter(backend=fake).open():
            await asyncio.sleep(0.05)

    asyncio.run(run())
    assert fake.closed == 1


def test_without_prewarming_nothing_starts_unasked():
    fake = Fake(None)
    calls(fake, 0, prewarm=False)
    assert fake.started == 0


def test_files_become_artifacts_and_are_named():
    fake = Fake(ExecResult("ok", artifacts=(File("a.png", "image/png", b"x" * 2048),)))
    [result] = calls(fake)
    assert "a.png (2 KB)" in result.content
    assert [(a.name, a.media_type) for a in result.artifacts] == [("a.png", "image/png")]


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (ExecResult("ok"), ["nothing was printed"]),
        (ExecResult("ok", stdout="a\n", value="2"), ["a\nValue: 2"]),
        (
            ExecResult("timeout", stdout="half\n"),
            ["half", "within 5 seconds", "Variables are kept"],
        ),
        (ExecResult("timeout", state_lost=True, detail="killed"), ["State lost (killed)"]),
        (ExecResult("ok", detail="1 still ran"), ["Note: 1 still ran."]),
        (
            ExecResult("crashed", exit_code=137, detail="killed by SIGKILL"),
            ["The shell ended: killed by SIGKILL.", "Variables are kept."],
        ),
        (
            ExecResult("crashed", detail="out of memory", state_lost=True),
            ["ended: out of memory.", "State lost: all variables"],
        ),
        (ExecResult("error", error="ZeroDivisionError"), ["ZeroDivisionError"]),
        (ExecResult("ok", skipped=(("b.bin", "larger than 10"),)), ["b.bin (larger than 10)"]),
        (ExecResult("ok", stderr="w\n"), ["stderr:\nw"]),
        (ExecResult("error", exit_code=3), ["Exit code 3."]),
    ],
)
def test_results_are_told_in_words(result, words):
    text = describe(result, 5, 1000)
    assert all(word in text for word in words)


def test_long_output_keeps_head_and_tail():
    text = describe(ExecResult("ok", stdout="a" * 5000 + "z" * 5000), 5, 1000)
    assert text.startswith("aaa")
    assert text.endswith("zzz")
    assert "9001 characters left out" in text or "characters left out" in text
    assert len(text) < 1100


@pytest.mark.docker
def test_a_chart_is_drawn():
    async def run():
        async with CodeInterpreter().open() as [execute_code, _]:
            code = "import matplotlib.pyplot as plt\nn = [77.8, 56.2]\nplt.bar(['SWE', 'TB'], n)"
            first = await execute_code.function(code=code, context=CONTEXT)
            second = await execute_code.function(code="sum(n)", context=CONTEXT)
        return first, second

    first, second = asyncio.run(run())
    assert first.ok
    assert first.artifacts[0].data.startswith(b"\x89PNG")
    assert second.content == "Value: 134.0"


def files_of(fake, *names, documents=None):
    """Call with files by name; returns the result."""

    async def run():
        async with CodeInterpreter(backend=fake, documents=documents).open() as [execute_code, _]:
            first = await execute_code.function(code="x", context=CONTEXT)
            second = await execute_code.function(code="x", files=list(names), context=CONTEXT)
        return first, second

    return asyncio.run(run())


def test_documents_are_put_in_by_their_id_and_nothing_else_is(tmp_path):
    folder = tmp_path / "docs"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "sales.csv").write_bytes(b"a,b")
    (tmp_path / "secret").write_text("x")
    (folder / "link").symlink_to(tmp_path / "secret")
    fake = Fake(ExecResult("ok"), ExecResult("ok"))
    assert files_of(fake, "sub/sales.csv", documents=folder)[1].ok
    assert fake.put_in == [("sales.csv", b"a,b")]
    for name in ("link", "../secret", str(tmp_path / "secret"), "none.csv", "sub", "a\0b"):
        with pytest.raises(ToolError, match=r"no document of this id|could not be read"):
            files_of(Fake(ExecResult("ok"), ExecResult("ok")), name, documents=folder)


def test_what_is_waited_for_is_told_as_progress():
    class Busy(Fake):
        async def start(self, policy, on_wait=None):
            await asyncio.sleep(0.01)
            on_wait("waiting for memory")
            return await super().start(policy)

    async def run():
        told = []
        context = ToolContext("run", "call", "execute_code", told.append)
        fake = Busy(ExecResult("ok"))
        async with CodeInterpreter(backend=fake).open() as [execute_code, _]:
            await execute_code.function(code="x", context=context)
        return told

    assert asyncio.run(run()) == ["starting the sandbox", "waiting for memory"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, ["pandas, matplotlib.", "no network"]),
        ({"packages": ["polars"]}, ["matplotlib, polars."]),
        ({"policy": SandboxPolicy(allowlist=("a.example",))}, ["a.example alone", "proxy"]),
        ({"unsafe_local": True}, ["without a sandbox"]),
        ({"isolation": "bwrap"}, ["no network"]),
        ({"policy": SandboxPolicy(image="r", runner=Runner(("Rscript",)))}, ["`Rscript`"]),
    ],
)
def test_the_model_is_told_where_its_programs_run(options, words):
    async def run():
        async with CodeInterpreter(prewarm=False, **options).open() as tools:
            return [tool.description for tool in tools]

    for description in asyncio.run(run()):
        assert all(word in description for word in words)


@pytest.mark.parametrize(
    "options",
    [
        {"isolation": "none"},
        {"isolation": "bwrap", "packages": ["polars"]},
        {"unsafe_local": True, "isolation": "bwrap"},
        {"unsafe_local": True, "backend": Fake()},
    ],
)
def test_options_that_contradict_each_other_are_refused(options):
    with pytest.raises(ValueError, match=r"isolation|packages"):
        CodeInterpreter(**options)
    with pytest.raises(NotADirectoryError, match="no folder"):
        CodeInterpreter(documents="/nowhere")


@pytest.mark.parametrize("options", [{"unsafe_local": True}, {"isolation": "bwrap"}])
def test_other_ways_of_running_code_work_through_the_same_tools(options):
    if options.get("isolation") and shutil.which("bwrap") is None:
        pytest.skip("BUBBLEWRAP IS NOT TESTED HERE. Install the package bubblewrap.")

    async def run():
        policy = SandboxPolicy(preload=())
        async with CodeInterpreter(policy=policy, **options).open() as [execute_code, run_shell]:
            await execute_code.function(code="open('a.txt', 'w').write('one')", context=CONTEXT)
            return await run_shell.function(command="cat a.txt; exit 3", context=CONTEXT)

    result = asyncio.run(run())
    assert result.content == "one\nExit code 3."
    assert not result.ok
