"""Long documents on a real server: parts in parallel, merged, priced, honest on failure."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import pytest

from agentkit import GLM, longtext
from agentkit.errors import (
    BalanceExhausted,
    ConfigError,
    LimitExceeded,
    PartFailed,
    RequestRejected,
)
from agentkit.longtext import Policy
from agentkit.model import Price, RetryPolicy
from agentkit.testing import GLMServer, Refuse, Say

QUICK = RetryPolicy(base=0.001)
TASK = "List every number that stands in the text. " + "Be exact and keep the order. " * 60
SMALL = Policy(part_tokens=300, answer_tokens=30, fan_in=3)


def document(sections=12):
    return "\n\n".join(
        f"# Section {number}\n\nThe number here is {1000 + number}. {'Filling words here. ' * 40}"
        for number in range(1, sections + 1)
    )


def brain(request):
    """Answer with the numbers that the message holds: the merged answer must hold them all."""
    return Say(" ".join(re.findall(r"\b1\d\d\d\b", request["messages"][-1]["content"])))


def process(script, text, task=TASK, policy=SMALL, price=None, on_progress=None):
    async def main():
        async with GLMServer(script) as server:
            model = GLM(base_url=server.base_url, retry=QUICK, price=price)
            try:
                answer = await longtext.process(
                    model, text, task, policy=policy, on_progress=on_progress
                )
            except Exception as error:  # noqa: BLE001 - looked at by the test
                return error, server.requests
            return answer, server.requests

    return asyncio.run(main())


def test_every_part_is_worked_on_and_the_merged_answer_holds_what_all_of_them_said():
    answer, requests = process(brain, document())
    assert answer.text.split() == [str(1000 + number) for number in range(1, 13)]
    assert len(requests) == answer.estimate.parts + answer.estimate.merges
    assert answer.estimate.merges > 1  # a tree, not one last request
    assert answer.failed == ()
    assert answer.cost_usd > 0
    assert "".join(part.part.text for part in answer.parts) == document()


def test_all_requests_begin_alike_and_the_shared_prefix_is_served_from_the_cache():
    answer, requests = process(brain, document())
    heads = {request["messages"][0]["content"] for request in requests}
    (head,) = heads
    assert head.endswith(TASK.strip())
    assert requests[0]["messages"][1]["content"].startswith("Part 1 of")
    # The server's cache is an exact one: what it serves of each request is measured, not assumed.
    shared = len(head.encode()) // 4 // 64 * 64
    assert answer.usage.cached >= shared * (len(requests) - 1)
    assert answer.estimate.usage.cached > 0


def test_the_first_part_goes_ahead_alone_and_then_no_more_than_allowed_are_in_flight():
    class Watched(GLM):
        running = peak = 0

        async def ask(self, request, emit=None):
            self.running += 1
            self.peak = max(self.peak, self.running)
            peaks.append(self.running)
            try:
                return await super().ask(request, emit)
            finally:
                self.running -= 1

    peaks = []

    async def main():
        async with GLMServer(brain, chunk_seconds=0.01) as server:
            model = Watched(base_url=server.base_url)
            answer = await longtext.process(
                model, document(), TASK, policy=replace(SMALL, parallel=4)
            )
            return model.peak, answer.estimate.parts, server.requests

    peak, parts, _ = asyncio.run(main())
    assert peak == 4
    assert peaks[0] == 1
    assert parts > 5


def test_the_estimate_is_near_what_the_work_really_takes_and_rather_above_it():
    text = document(40)
    answer, _ = process(brain, text)
    foreseen = longtext.estimate(GLM(base_url="http://127.0.0.1:9"), text, TASK, SMALL)
    assert foreseen == answer.estimate
    assert answer.usage.input <= foreseen.usage.input <= answer.usage.input * 1.5
    assert foreseen.cost_usd == pytest.approx(Price(1.0, 0.2, 3.2).cost(foreseen.usage))
    assert "parts" in str(foreseen)
    assert "$" in str(foreseen)


def test_a_document_above_the_limit_is_refused_before_anything_is_sent():
    error, requests = process(brain, document(), policy=replace(SMALL, cost_usd=0.0001))
    assert isinstance(error, LimitExceeded)
    assert "Nothing was sent" in str(error)
    assert requests == []


def test_work_that_turns_out_dearer_than_estimated_stops_before_the_limit():
    def talkative(request):
        return Say(" ".join(map(str, range(4000))))

    limit = 0.05
    error, requests = process(talkative, document(), policy=replace(SMALL, cost_usd=limit))
    assert isinstance(error, LimitExceeded)
    assert 1 <= len(requests) <= 12


def test_a_document_that_fits_is_one_request_without_a_merge():
    answer, requests = process(brain, "Only 1007 here.")
    assert (answer.text, len(requests), answer.estimate.merges) == ("1007", 1, 0)
    assert requests[0]["messages"][1]["content"].startswith("The whole document")


def failing(*positions, answer=None):
    def decide(request):
        found = re.match(r"Part (\d+) of", request["messages"][-1]["content"])
        if found and int(found[1]) in positions:
            return answer or Refuse(400, "1301", "unsafe content")
        return brain(request)

    return decide


def test_a_part_that_fails_is_named_by_its_position_and_what_was_paid_for_is_kept():
    error, _ = process(failing(4), document())
    assert isinstance(error, PartFailed)
    assert error.position == 4
    assert "Part 4 of" in str(error)
    assert error.fault.code == "1301"
    assert error.answers[1] == "1001"
    assert error.__cause__.fault is error.fault


def test_a_partial_answer_lists_the_parts_that_are_missing_and_tells_the_model_too():
    answer, requests = process(
        failing(4, 7), document(), policy=replace(SMALL, on_failure="partial")
    )
    assert answer.failed == (4, 7)
    assert "4, 7" in requests[-1]["messages"][-1]["content"].split("<answer")[0]
    numbers = {str(1000 + number) for number in range(1, 13)}
    for part in answer.parts:
        if part.part.position in answer.failed:
            assert type(part.error).__name__ == "ContentRefused"
            numbers -= set(re.findall(r"\b1\d\d\d\b", part.part.text))
    assert set(answer.text.split()) == numbers


def test_a_key_without_balance_ends_the_work_at_the_first_request_even_when_partial():
    answer = Refuse(429, "1113", "no balance")
    policy = replace(SMALL, on_failure="partial")
    error, requests = process(failing(*range(1, 20), answer=answer), document(), policy=policy)
    assert isinstance(error, PartFailed)
    assert isinstance(error.__cause__, BalanceExhausted)
    assert len(requests) == 1


def test_no_answer_at_all_is_an_error_even_when_partial():
    policy = replace(SMALL, on_failure="partial")
    error, _ = process(lambda _: Refuse(400, "1210", "bad"), document(), policy=policy)
    assert isinstance(error, PartFailed)
    assert "All" in str(error)
    assert RequestRejected.__name__ not in str(error)


def test_merging_that_fails_leaves_the_answers_side_by_side_with_a_note_when_partial():
    def decide(request):
        text = request["messages"][-1]["content"]
        return Refuse(400, "1301") if "Write the final answer" in text else brain(request)

    answer, _ = process(decide, document(), policy=replace(SMALL, on_failure="partial"))
    assert len(answer.text.split()) == 12
    assert any("Merging" in note for note in answer.notes)
    error, _ = process(decide, document())
    assert isinstance(error, PartFailed)


def test_progress_counts_every_request_and_an_answer_that_was_cut_is_noted():
    seen = []

    def decide(request):
        return Say(brain(request).text, finish_reason="length")

    answer, requests = process(decide, document(), on_progress=seen.append)
    assert [progress.done for progress in seen] == list(range(1, len(requests) + 1))
    assert seen[-1].done == seen[-1].total
    assert seen[-1].cost_usd == answer.cost_usd
    assert seen[-1].stage == "merge"
    assert len(answer.notes) == len(requests)


def test_a_cancelled_work_leaves_nothing_running():
    async def main():
        asked = asyncio.Event()

        def decide(request):
            asked.set()
            return brain(request)

        async with GLMServer(decide, chunk_seconds=5) as server:
            work = longtext.process(GLM(base_url=server.base_url), document(), TASK, policy=SMALL)
            task = asyncio.create_task(work)
            await asked.wait()
            before = len(asyncio.all_tasks())
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert len(asyncio.all_tasks()) < before

    asyncio.run(main())


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"part_tokens": 1}, "part_tokens"),
        ({"parallel": 0}, "parallel"),
        ({"fan_in": 1}, "fan_in"),
        ({"on_failure": "ignore"}, "partial"),
        ({"cost_usd": 0}, "cost_usd"),
    ],
)
def test_a_wrong_policy_is_refused_with_what_is_expected(options, word):
    with pytest.raises(ConfigError, match=word):
        Policy(**options)


@pytest.mark.parametrize(("text", "task", "word"), [(" ", "x", "document"), ("x", "", "instr")])
def test_nothing_to_work_on_is_told_before_anything_is_sent(text, task, word):
    error, requests = process(brain, text, task)
    assert isinstance(error, ConfigError)
    assert word in str(error)
    assert requests == []
