"""Exports: what training systems read is what the model was sent and said."""

from __future__ import annotations

import asyncio
import json

import orjson
import pytest
from openai.types.chat import (
    ChatCompletionMessage,
    ChatCompletionMessageParam,
    ChatCompletionToolUnionParam,
)
from pydantic import TypeAdapter

from agentkit.errors import LogUnreadable
from agentkit.events import load_line
from agentkit.store import MemoryStore
from agentkit.trace import atif, jsonl, openai, read_run, sharegpt
from bodies import notes
from trace_recording import cut, recorded


@pytest.fixture(scope="module")
def run():
    return recorded()


def test_openai_messages_round_trip_through_openais_own_types(run):
    exported = orjson.loads(orjson.dumps(openai(run)))
    messages = exported["messages"]
    roles = [message["role"] for message in messages]
    assert roles == [
        *("system", "user", "assistant", "tool", "tool", "tool", "assistant", "tool"),
        *("assistant", "system", "user", "assistant"),
    ]
    for message in messages:
        if message["role"] == "assistant":
            said = ChatCompletionMessage.model_validate(message)
            assert said.model_dump(exclude_unset=True) == message
        else:
            parsed = TypeAdapter(ChatCompletionMessageParam).validate_python(message)
            assert json.loads(json.dumps(parsed, default=list)) == message
    for listed in exported["tools"]:
        assert TypeAdapter(ChatCompletionToolUnionParam).validate_python(listed) == listed
    assert messages[2]["reasoning_content"] == "Two cities."
    assert messages[2]["tool_calls"][2]["function"] == {"name": "wether", "arguments": "{"}
    assert [message["tool_call_id"] for message in messages[3:6]] == [
        call["id"] for call in messages[2]["tool_calls"]
    ]
    assert messages[3]["content"] == "Firenze: 21 °C"
    assert messages[8]["reasoning_content"] == "Enough."


def test_a_reward_is_kept_where_it_is_given(run):
    assert openai(run, 0.7)["reward"] == sharegpt(run, 0.7)["reward"] == 0.7
    assert atif(run, 0.7)["extra"] == {"reward": 0.7}
    assert "reward" not in {**openai(run), **sharegpt(run)}
    assert "extra" not in atif(run)


def test_a_log_that_stops_in_the_middle_is_a_valid_conversation(run):
    started = [event for event in run.events if event.kind == "tool_started"]
    whole = openai(cut(run, "tool_finished"))["messages"]
    assert started
    assert whole[-1]["role"] == "tool"
    assert "unknown" in whole[-1]["content"]


def test_sharegpt_alternates_and_loses_nothing(run):
    exported = sharegpt(run)
    turns = exported["conversations"]
    sides = [turn["from"] in ("gpt", "function_call") for turn in turns]
    assert sides == [bool(index % 2) for index in range(len(turns))]
    assert exported["system"].startswith("You help.")
    assert {tool["function"]["name"] for tool in json.loads(exported["tools"])} == {
        "weather",
        "ask",
        "read_result",
    }
    calls = turns[1]
    assert calls["from"] == "function_call"
    thought, _, rest = calls["value"].partition("</think>\n\n")
    assert thought == "<think>\nTwo cities.\n\nI look twice.\n"
    assert [call["name"] for call in json.loads(rest)] == ["weather", "ask", "wether"]
    assert len(json.loads(turns[2]["value"])) == 3
    assert json.loads(turns[3]["value"]) == {"name": "weather", "arguments": {"city": "北京"}}
    assert turns[4] == {"from": "observation", "value": "北京: 21 °C"}
    assert turns[5]["value"] == "<think>\nEnough.\n</think>\n\nAll is fine."
    assert turns[6]["value"] == "[>] one step is left\n\nAnd again?"


def test_atif_is_valid_by_an_independent_reader_and_embeds_the_sub_agents_run(run):
    from atif import Trajectory

    exported = orjson.loads(orjson.dumps(atif(run, 1.0)))
    document = Trajectory.model_validate(exported)
    assert document.to_json_dict() == exported
    assert [step.source for step in document.steps] == [
        *("system", "user", "agent", "agent", "agent", "system", "user", "agent")
    ]
    acting = document.steps[2]
    assert acting.reasoning_content == "Two cities."
    assert {result.source_call_id for result in acting.observation.results} == {
        call.tool_call_id for call in acting.tool_calls
    }
    assert acting.tool_calls[2].extra == {"text": "{"}
    [child] = document.subagent_trajectories
    refs = [ref for r in acting.observation.results for ref in r.subagent_trajectory_ref or ()]
    assert [ref.trajectory_id for ref in refs] == [child.trajectory_id]
    assert child.agent.name == "child"
    assert child.steps[-1].message == "The answer of the child."
    agent_steps = [step for step in document.steps if step.source == "agent"]
    totals = document.final_metrics
    assert totals.total_prompt_tokens == sum(step.metrics.prompt_tokens for step in agent_steps)
    assert totals.total_cost_usd == pytest.approx(sum(s.metrics.cost_usd for s in agent_steps))
    assert totals.total_cached_tokens <= totals.total_prompt_tokens


def test_event_lines_are_the_log(run):
    assert tuple(load_line(line) for line in jsonl(run).splitlines()) == run.events


def test_a_log_without_its_beginning_is_told():
    async def main():
        store = MemoryStore()
        await store.append("run", notes("run", 2), 0)
        with pytest.raises(LogUnreadable, match="begins with 'noted'"):
            await read_run(store, "run")

    asyncio.run(main())
