"""What a model writes in place of its work is checked, refused, asked for again, or left out."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from contexts import SMALL, Watched, Worker, filler, kinds, notes, work

from agentkit import GLM
from agentkit.context import Clear, Compact, ContextPolicy
from agentkit.testing import Call, GLMServer, Refuse, Say, ScriptedModel

TASK = "Build the parser of the new format and keep all of the old one working as it does today"
BAD = {
    "empty": "",
    "only thought": Say("", "I should write a summary now"),
    "a tool call": Say("", "", [Call("work", {"step": 1})]),
    "no patch": "I have done many things and all is well.",
    "another language": "\n".join(
        f"+ facts | 我们已经完成了解析器的第{i}部分工作" for i in range(9)
    ),
    "too long": "+ facts | " + "very long words " * 900,
    "an invented path": "+ facts | the result lies in src/invented/module.py",
    "an invented figure": "+ facts | the test took 98765 seconds",
    "an invented handle": "+ facts | read_result deadbeefdeadbeef has it",
    "cut": Say("+ facts | the pars", finish_reason="length"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_summary_is_refused_once_and_asked_for_again(name):
    worker = Worker(24, summaries=[BAD[name]])
    log, _, _ = work(worker, said=TASK)
    first, second = notes(log, "summary")[:2]
    assert first.data["problems"]
    assert not second.data["problems"]
    if name != "empty":  # what has no text at all is an error of the model layer
        assert first.data["problems"][0] in worker.asked[1]["messages"][-1]["content"]
    assert kinds(log, "compacted")[0].mode == "summary"
    assert len(kinds(log, "tool_started")) == worker.turns  # no call of a summary is made
    assert log[-1].kind == "run_finished"


@pytest.mark.parametrize("name", BAD)
def test_a_summary_that_fails_twice_is_never_adopted(name):
    worker = Worker(24, summaries=[BAD[name]] * 99)
    log, _, _ = work(worker, policy=replace(SMALL, clear=Clear(keep=2)), said=TASK)
    assert all(note.data["problems"] for note in notes(log, "summary"))
    assert not [body for body in kinds(log, "compacted") if body.mode == "summary"]
    assert kinds(log, "cleared")[0].reason == "summary_failed"
    assert log[-1].kind == "run_finished"


CHINESE = "请为新格式编写解析器，并保持旧解析器继续可用，不要修改主程序。完成后写一份说明。"


@pytest.mark.parametrize(
    ("said", "summary", "problem"),
    [
        (TASK, BAD["another language"], "write it in Latin script"),
        (
            CHINESE,
            "+ facts | the parser of the new format is done and all tests pass now",
            "Chinese",
        ),
        (CHINESE, "+ facts | 新格式的 parser 已完成，class Parser 通过了 unit tests", ""),
        ("go", BAD["another language"], ""),
    ],
    ids=[
        "chinese of english",
        "english of chinese",
        "chinese with code",
        "too little said to tell",
    ],
)
def test_a_summary_is_in_the_script_of_the_user(said, summary, problem):
    log, _, _ = work(Worker(24, summaries=[summary]), said=said)
    found = notes(log, "summary")[0].data["problems"]
    assert problem in " ".join(found)
    assert bool(found) is bool(problem)
    adopted = kinds(log, "compacted")[0]
    assert (summary.partition(" | ")[2].split("\n")[0] in adopted.content) is not bool(problem)


class Talker:
    """A model that answers at length, and summarises as it is told to."""

    def __init__(self, *summaries, size=2_000):
        self.left = list(summaries)
        self.size = size
        self.asked = []

    def __call__(self, request):
        last = request["messages"][-1]["content"]
        if last.startswith("[Upkeep"):
            self.asked.append(last)
            return Say(self.left.pop(0))
        return Say(filler(self.size, len(request["messages"])))

    def talk(self, *said):
        """Return the log of a talk that is compacted on request, and what that saved."""

        async def main():
            policy = ContextPolicy(compact=Compact(tail=1_000))
            agent = Worker(0).agent(policy=policy, model=ScriptedModel(self))
            async with agent.open() as run:
                for text in said:
                    await run.send(text)
                saved = await run.compact()
                await run.send("go on")
                return run.events, saved

        return asyncio.run(main())


LONG = "+ facts | " + filler(9_000)


def test_a_summary_longer_than_what_it_replaces_is_refused_and_asked_for_again():
    talker = Talker(LONG, "+ facts | all is well")
    log, saved = talker.talk("one", "two", "three")
    (problem,) = notes(log, "summary")[0].data["problems"]
    assert "longer than the" in problem
    assert problem in talker.asked[1]
    (edit,) = kinds(log, "compacted")
    assert (edit.mode, edit.reason) == ("summary", "asked")
    assert "all is well" in edit.content
    assert saved > 500


def test_where_it_is_so_twice_the_ledger_alone_stands_there():
    log, saved = Talker(LONG, LONG).talk("one", "two", "three")
    (edit,) = kinds(log, "compacted")
    assert edit.mode == "ledger"
    assert filler(9_000)[:100] not in edit.content
    assert saved > 500


def test_what_a_compaction_would_make_longer_is_left_alone_and_nobody_is_asked():
    said = [filler(1_500, at) for at in range(3)]  # which the ledger keeps whole
    log, saved = Talker(size=10).talk(*said)
    assert saved == 0
    assert not kinds(log, "compacted")
    assert not notes(log, "summary")


def test_an_overflow_whose_summaries_all_fail_leaves_the_ledger_and_the_run_goes_on():
    def brain(request):
        if request["messages"][-1]["content"].startswith("[Upkeep"):
            return Say("I would rather not.")
        if len(json.dumps(request["messages"])) > 60_000:
            return Refuse(400, "1261", "Prompt exceeds max length")
        return worker(request)

    worker = Worker(40)

    async def main():
        async with GLMServer(brain) as server:
            policy = ContextPolicy(offload=None, clear=None, compact=Compact(tail=2_000))
            agent = worker.agent(policy=policy, model=GLM(base_url=server.base_url))
            async with agent.open() as run:
                await run.send("Never touch main.py")
                return run.events

    log = asyncio.run(main())
    assert [bool(note.data["problems"]) for note in notes(log, "summary")] == [True, True]
    (edit,) = kinds(log, "compacted")
    assert (edit.mode, edit.reason, edit.user) == ("ledger", "overflow", "Never touch main.py")
    assert log[-1].kind == "run_finished"


def test_an_empty_summary_from_a_fresh_prompt_leaves_the_ledger():
    def brain(request):
        if "You summarise" in request["messages"][0]["content"]:
            return Say("")
        return worker(request)

    worker = Worker(24)
    policy = replace(SMALL, compact=replace(SMALL.compact, mode="fresh"))
    log, _, _ = work(worker, policy=policy, model=Watched(brain), said="Never touch main.py")
    assert {edit.mode for edit in kinds(log, "compacted")} == {"ledger"}
