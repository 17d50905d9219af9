"""Large results lie in blobs; the prompt shows a part, and `read_result` opens the rest."""

from __future__ import annotations

import asyncio
import hashlib
import re

import pytest
from contexts import HANDLE, Watched, Worker, filler, fresh, kinds, notes
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit import MemoryStore, SQLiteStore, ToolError, tool
from agentkit.cli.context import explained
from agentkit.context import ContextPolicy, Offload, ResultReader
from agentkit.context.offload import ingest, rows
from agentkit.events import Offloaded, ToolFinished, ToolStarted, UserMessage
from agentkit.testing import Call, GLMServer, Say
from logs import read_log


def finished(content, *, call="c", status="ok", name="read_file"):
    return ToolFinished(call_id=call, name=name, status=status, content=content)


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


class Ingest:
    """A context that takes results as a run does."""

    def __init__(self, window=None):
        self.store = MemoryStore()
        self.context = fresh(ContextPolicy(clear=None), window=window)
        self.log = []

    def take(self, *bodies):
        done = asyncio.run(ingest(self.context, bodies, self.store.put_blob))
        for body in done:
            self.context.apply(body)
        self.log += done
        return done

    def read(self, handle, **how):
        reader = ResultReader(self.store, Offload())
        events = [type("E", (), {"body": body}) for body in self.log]
        reader.attach(self.context.ledger, events)
        return asyncio.run(reader.read_result(handle, **how))


def test_a_large_result_leaves_head_tail_matching_lines_handle_and_hash():
    lines = [f"line {at}: nothing of note" for at in range(1_000)]
    lines[500] = "line 500: the parser_module raised here"
    text = "\n".join(lines)
    run = Ingest()
    start = ToolStarted(call_id="c", name="read_file", arguments={"query": "parser_module"})
    start, note, result = run.take(start, finished(text))
    assert (note.call_id, note.handle, note.size) == ("c", digest(text), len(text))
    shown = result.content
    assert digest(text) in shown
    assert "line 0:" in shown
    assert "line 999:" in shown
    assert "501: line 500: the parser_module raised here" in shown
    assert len(shown) < 2_600  # about 500 tokens and the lines around them
    assert asyncio.run(run.store.get_blob(note.handle)) == text.encode()


def test_small_results_stay_as_they_are():
    run = Ingest()
    assert run.take(finished("short")) == [finished("short")]
    text = "x" * 5_000
    assert run.take(finished(text)) == [finished(text)]


def test_errors_stay_whole_up_to_their_own_limit_and_pages_of_paged_tools_too():
    text = "word " * 2_500  # about 3,500 tokens
    run = Ingest()
    assert run.take(finished(text, status="error")) == [finished(text, status="error")]
    paged = finished(text, call="d", name="read_document")
    assert Ingest().take(paged) == [paged]
    assert len(Ingest().take(finished(text))) == 2
    huge = finished("word " * 5_000, status="timeout", call="e")
    assert len(run.take(huge)) == 2


def test_an_identical_result_that_still_stands_is_not_repeated():
    text = "the same text again\n" * 60
    run = Ingest()
    run.take(finished(text, call="a"))
    note, again = run.take(finished(text, call="b"))
    assert note.same_as == "a"
    assert again.content.startswith("[unchanged")
    assert digest(text)[:12] in again.content
    third = run.take(finished(text, call="c"))[1]
    assert third.content == again.content  # so that a loop shows as a loop


def test_an_identical_result_whose_first_was_cleared_is_shown_again():
    from agentkit.events import Cleared

    text = "the same text again\n" * 60
    run = Ingest()
    run.take(finished(text, call="a"))
    run.context.apply(Cleared(results={"a": "[cleared]"}))
    assert run.take(finished(text, call="b")) == [finished(text, call="b")]


def test_a_message_of_more_than_half_the_window_is_shown_in_part_and_its_text_stays_in_the_log():
    text = "please read this\n" + "data " * 60_000 + "\nand never touch main.py"
    run = Ingest(window=50_000)
    note, said = run.take(UserMessage(content=text))
    assert isinstance(note, Offloaded)
    assert said.content == text
    shown = run.context.messages[-1].content
    assert len(shown) < 10_000
    assert shown.rstrip().endswith("and never touch main.py")
    assert run.read(note.handle, pattern="never touch").endswith("and never touch main.py")


def test_a_large_text_can_be_read_by_lines_by_pattern_and_page_by_page():
    lines = [f"row {at} {'pad ' * 30}" for at in range(2_000)]
    run = Ingest()
    note, _ = run.take(finished("\n".join(lines)))
    assert run.read(note.handle, lines="120-122").splitlines() == [
        "[lines 120-122 of 2000]",
        *lines[119:122],
    ]
    assert run.read(note.handle[:8], pattern="row 77 p|ROW 1999 p").count("\n") == 5
    page = run.read(note.handle)
    assert "go on with lines=" in page.splitlines()[0]
    assert len(page) < 4_000 * 4


SOURCE = (
    """\
class Parser:
    def fast_parse(self, text):
        raise TypeError("x[0] is no (thing")
class parsing:
    price = "$5.00"
# main.py, mainXpy
"""
    + "pass\n" * 2_000
)


@pytest.mark.parametrize(
    ("pattern", "lines"),
    [
        ("def .*parse", [2]),
        ("^class", [1, 4]),
        (r"^class \w+:$|\$\d", [1, 4, 5]),
        ("typeerror|VALUEERROR", [3]),
        ("(?m)^CLASS", [1, 4]),
        # What is no expression, or none that matches, is looked for as it stands.
        ("no (thing", [3]),
        ("x[0]", [3]),
        ("$5.00", [5]),
        ("[|$5.00", [3, 5]),
        ("main.py", [6]),
    ],
)
def test_patterns_are_regular_expressions_or_what_models_mean_by_them(pattern, lines):
    run = Ingest()
    note, _ = run.take(finished(SOURCE))
    shown = run.read(note.handle, pattern=pattern).splitlines()
    assert shown[0] == f"[{len(lines)} lines match]"
    numbered = {int(row.partition(": ")[0]): row.partition(": ")[2] for row in shown[1:]}
    assert set(lines) <= numbered.keys()
    assert all(min(abs(at - line) for line in lines) <= 1 for at in numbered)
    assert all(SOURCE.splitlines()[at - 1] == row for at, row in numbered.items())


def test_a_pattern_that_would_run_for_years_is_stopped_and_what_it_found_is_kept(monkeypatch):
    monkeypatch.setattr("agentkit.context.reader._SECONDS", 5.0)  # enough to start under load
    run = Ingest()
    note, _ = run.take(finished("aaaa\n" + "a" * 60 + "!\n" + "filling\n" * 2_000))
    shown = run.read(note.handle, pattern="^(a|a)+$").splitlines()
    assert shown[0].startswith("[1 lines match; stopped after 5 seconds")
    assert shown[1] == "1: aaaa"
    monkeypatch.setattr("agentkit.context.reader._SECONDS", 0.5)
    with pytest.raises(ToolError, match=r"as far as 0\.5 seconds"):
        run.read(note.handle, pattern="^(a|a)+b$")


def test_one_long_line_can_be_read_to_its_end():
    text = "".join(chr(97 + at % 26) for at in range(30_000))
    run = Ingest()
    note, _ = run.take(finished(text))
    total = len(rows(text))
    whole, at = "", 1
    while at <= total:
        page = run.read(note.handle, lines=f"{at}-").splitlines()[1:]
        whole += "".join(page)
        at += len(page)
    assert whole == text


@pytest.mark.parametrize(
    ("handle", "how", "match"),
    [
        ("0" * 64, {}, "No text of this run"),
        ("../../etc/passwd", {}, "No text"),
        ("", {}, "No text|2 texts|1 texts"),
        ("ok", {"lines": "9-4"}, "it has the lines"),
        ("ok", {"lines": "x"}, "expected a range"),
        ("ok", {"lines": "99999"}, "it has the lines"),
        ("ok", {"pattern": "nowhere"}, "None of its"),
    ],
)
def test_what_cannot_be_opened_is_said_so_that_the_model_can_mend_it(handle, how, match):
    run = Ingest()
    note, _ = run.take(finished("some line\n" * 2_000))
    with pytest.raises(ToolError, match=match):
        run.read(note.handle if handle == "ok" else handle, **how)


def test_another_runs_blob_is_not_opened():
    run = Ingest()
    foreign = asyncio.run(run.store.put_blob(b"secret of another run"))
    with pytest.raises(ToolError, match="No text of this run"):
        run.read(foreign)


def test_a_result_that_was_never_offloaded_is_opened_from_the_log():
    text = "inline but not tiny " * 30
    run = Ingest()
    run.take(finished(text))
    assert text in run.read(digest(text)[:12])


@settings(deadline=None)
@given(st.text(), st.integers(1, 400))
def test_a_preview_shows_only_what_is_there_and_stays_small(text, size):
    from agentkit.context.offload import Shown

    shown = Shown(text, "0" * 64, 9).preview(size)
    assert len(shown) < 2 * size + 1_500


def test_a_run_offloads_and_reads_back_over_the_wire_and_a_lost_blob_is_told(tmp_path):
    text = "\n".join(f"key {at}" for at in range(4_000))

    @tool
    def fetch() -> str:
        """Fetch."""
        return text

    def brain(request):
        last = request["messages"][-1]["content"]
        turn = sum(m["role"] == "assistant" for m in request["messages"])
        if turn == 0:
            return Say(calls=[Call("fetch")])
        if turn == 1:
            brain.handle = HANDLE.search(last)[1]
            return Say(calls=[Call("read_result", {"handle": brain.handle, "lines": "3999-4000"})])
        if turn == 2:
            brain.page = last
            (tmp_path / "blobs" / brain.handle[:2] / brain.handle).unlink()
            return Say(calls=[Call("read_result", {"handle": brain.handle})])
        brain.lost = last
        return Say("done")

    async def main():
        from agentkit import GLM

        store = SQLiteStore(tmp_path)
        async with GLMServer(brain) as server:
            worker = Worker(0).agent(
                model=GLM(base_url=server.base_url), tools=[fetch], policy="default", store=store
            )
            result = await worker.run("go")
        await store.close()
        return result

    result = asyncio.run(main())
    assert result.output == "done"
    assert "key 3999" in brain.page
    assert "cannot be read any more" in brain.lost
    log = read_log(tmp_path, result.run_id)
    assert [note.handle for note in kinds(log, "offloaded")] == [digest(text)]
    finished_ = kinds(log, "tool_finished")[0]
    assert len(finished_.content) < 3_000


def bare(sent):
    """Return prompts and tools without the random ids of calls."""
    parts = [[*prompt, tools] for prompt, tools, _ in sent]
    return [[re.sub(rb"call_[0-9a-f]{24}", b"call", each) for each in prompt] for prompt in parts]


def test_the_tool_joins_with_the_first_edit_that_needs_it_and_stays():
    """A run that needs no edit sends what an unmanaged one sends, to the byte."""
    sizes = [400, 400, 60_000, 400, 60_000, 400]

    @tool
    def look(step: int) -> str:
        """Look."""
        return filler(sizes[step], step)

    def run(policy, steps):
        script = [*[Say("", "", [Call("look", {"step": at})]) for at in range(steps)], Say("done")]
        model = Watched(script)
        agent = Worker(0).agent(policy=policy, model=model, tools=[look])
        asyncio.run(agent.run("go"))
        return model.sent

    short, unmanaged = run("default", 2), run("unmanaged", 2)
    assert bare(short) == bare(unmanaged)
    sent = run("default", 6)
    tools = [each[1] for each in sent]
    assert [b"read_result" in each for each in tools] == [False] * 3 + [True] * 4
    assert len(set(tools)) == 2


def test_the_turn_in_which_the_tool_joins_says_why_its_call_was_cold():
    store = MemoryStore()
    worker = Worker(3, size=60_000)

    async def main():
        result = await worker.agent(policy="default", store=store).run("go")
        return await explained(store, result.run_id)

    log, turns = asyncio.run(main())
    assert not notes(log, "prefix_break")
    assert ["read_result joined" in row.cold for row in turns] == [False, True, False, False]
    assert turns[1].usage.cached == 0
    assert turns[2].usage.cached > 0
