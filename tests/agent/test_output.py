"""Structured output: through a final tool or JSON mode, checked, asked again, bounded."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from agentkit import GLM, Agent, Guardrails, MemoryStore, Output, tool
from agentkit.errors import GuardrailTripped, OutputInvalid
from agentkit.events import PartialOutput, Reminder, RunFinished
from agentkit.testing import Call, GLMServer, Say, ScriptedModel


class City(BaseModel):
    """A city."""

    name: str
    people: int = Field(ge=0)


@dataclass
class Point:
    x: float
    y: float


class Row(TypedDict):
    key: str


class Node(BaseModel):
    value: int
    children: list[Node] = []


@tool
def look_up(name: str) -> str:
    """Look up."""
    return f"{name}: 9 million"


def run(script, kind, *, events=None, **options):
    model = ScriptedModel(script)
    agent = Agent(model, tools=[look_up], output=kind, store=MemoryStore(), strict=True, **options)
    result = asyncio.run(agent.run("go", events.append if events is not None else None))
    return result, model


def final(**arguments):
    return Say(calls=[Call("final_output", arguments)])


@pytest.mark.parametrize(
    ("kind", "arguments", "value"),
    [
        (City, {"name": "London", "people": 9}, City(name="London", people=9)),
        (Point, {"x": 1, "y": 2.5}, Point(1.0, 2.5)),
        (Row, {"key": "k"}, {"key": "k"}),
        (list[City], {"value": [{"name": "A", "people": 1}]}, [City(name="A", people=1)]),
        (City | Point, {"x": 1, "y": 2}, Point(1, 2)),
        (Literal["yes", "no"], {"value": "no"}, "no"),
        (int, {"value": 3}, 3),
        (dict, {"any": [1]}, {"any": [1]}),
        (Node, {"value": 1, "children": [{"value": 2}]}, Node(value=1, children=[Node(value=2)])),
    ],
    ids=str,
)
def test_an_output_of_any_type_comes_through_the_final_tool(kind, arguments, value):
    events = []
    result, _ = run([final(**arguments)], kind, events=events)
    assert result.output == value
    assert type(result.output) is type(value)
    logged = events[-1].body
    assert isinstance(logged, RunFinished)


def test_the_model_works_with_its_tools_first_and_what_does_not_fit_is_asked_again():
    script = [
        Say(calls=[Call("look_up", {"name": "London"})]),
        final(name="London", people=-1),
        final(name="London", people=9),
    ]
    result, model = run(script, City)
    assert result.output == City(name="London", people=9)
    told = model.requests[2][-1]
    assert told["role"] == "tool"
    assert "people: expected greater than or equal to 0, got -1" in told["content"]


def test_an_answer_in_words_is_led_to_the_final_tool_and_json_in_words_is_taken():
    events = []
    result, model = run(["I think London.", final(name="L", people=1)], City, events=events)
    assert result.output.name == "L"
    assert model.requests[1][-1]["role"] == "system"
    assert "final_output" in model.requests[1][-1]["content"]
    assert [e.body.topic for e in events if getattr(e, "kind", "") == "reminder"] == ["output"]
    result, _ = run(['```json\n{"name": "L", "people": 1}\n```'], City)
    assert result.output == City(name="L", people=1)


@pytest.mark.parametrize(
    "script",
    [
        [final(name="L")] * 4,
        ["words"] * 4,
        [final(), "words", final(), "words"],
    ],
    ids=["calls", "words", "both"],
)
def test_an_output_that_stays_wrong_ends_the_run_with_what_was_wrong(script):
    with pytest.raises(OutputInvalid, match=r"City.*in 3 tries"):
        run(script, City)


def test_json_mode_asks_the_endpoint_and_checks_what_comes():
    script = ['{"name": "L"}', '{"name": "L", "people": 2}']
    events = []
    result, model = run(script, Output(City, mode="json"), events=events)
    assert result.output == City(name="L", people=2)
    assert "JSON Schema" in model.requests[0][0]["content"]
    reminder = next(e.body for e in events if isinstance(getattr(e, "body", None), Reminder))
    assert "people: Field required" in reminder.content


def test_partial_outputs_are_streamed_and_grow():
    events = []

    async def main():
        async with GLMServer([final(name="London on Thames", people=9)]) as server:
            model = GLM("glm-5", base_url=server.base_url, tool_stream=True)
            agent = Agent(model, output=City, store=MemoryStore())
            return await agent.run("go", events.append)

    result = asyncio.run(main())
    seen = [event.value for event in events if isinstance(event, PartialOutput)]
    assert seen[-1] == {"name": "London on Thames", "people": 9} == result.output.model_dump()
    assert len(seen) > 1
    assert all("London on Thames".startswith(value.get("name", "")) for value in seen)


def test_partial_outputs_in_json_mode_come_from_the_text():
    events = []
    run(['{"name": "London on Thames", "people": 9}'], Output(City, mode="json"), events=events)
    seen = [event.value for event in events if isinstance(event, PartialOutput)]
    assert seen[0] != seen[-1] == {"name": "London on Thames", "people": 9}


def test_an_output_guard_refuses_with_a_reason_and_the_model_mends_it():
    def plausible(city):
        return "too small" if city.people < 5 else None

    script = [final(name="L", people=1), final(name="L", people=9)]
    result, model = run(script, City, guardrails=Guardrails(output=(plausible,)))
    assert result.output.people == 9
    assert "too small" in model.requests[1][-1]["content"]

    async def polite(text):
        return None if "please" in text else "say please"

    agent = Agent(
        ScriptedModel(["no", "no", "no"]),
        store=MemoryStore(),
        guardrails=Guardrails(output=(polite,)),
    )
    with pytest.raises(GuardrailTripped, match="say please") as caught:
        asyncio.run(agent.run("go"))
    assert caught.value.stage == "output"


def test_a_finished_run_gives_its_typed_output_again():
    store = MemoryStore()
    agent = Agent(ScriptedModel([final(x=1, y=2)]), output=Point, store=store)

    async def main():
        first = await agent.run("go")
        again = await agent.resume(first.run_id)
        assert again.output == first.output == Point(1, 2)
        assert len(await store.load(first.run_id)) == first.turns + 5

    asyncio.run(main())
