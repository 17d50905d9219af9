"""Runs as data for training: OpenAI messages, ShareGPT conversations, event lines.

All hold what the model really wrote, thinking and tool calls included, and the whole conversation,
whatever was later cleared from the prompt. Redacted arguments stay redacted.
"""

from __future__ import annotations

from typing import Any, cast

import orjson

from agentkit.events import dump_line
from agentkit.messages import (
    Assistant,
    Content,
    Message,
    System,
    Text,
    ToolCall,
    ToolOutput,
    User,
    plain_text,
)
from agentkit.trace.recorded import Recorded

Json = dict[str, Any]


def jsonl(run: Recorded) -> bytes:
    """Return the events, one JSON line each, as `agentkit.events.load_line` reads them."""
    return b"".join(dump_line(event) for event in run.events)


def openai(run: Recorded, reward: float | None = None) -> Json:
    """Return a run as OpenAI's chat format has it, plus `reasoning_content` as GLM spells thinking.

    Args:
        run: the run.
        reward: kept under "reward" when given.
    """
    return {
        "messages": [_openai(message) for message in run.messages()],
        **({"tools": list(run.tools)} if run.tools else {}),
        **_about(run, reward),
    }


def sharegpt(run: Recorded, reward: float | None = None) -> Json:
    """Return a run as a ShareGPT conversation with tools, as LLaMA-Factory reads it.

    What the user and the tools say alternates with what the model says: neighbours of one side are
    joined. Parallel calls are one JSON list, and so are their results. Thinking stands in <think>
    tags before the rest; the text beside tool calls, for which the format has no place, ends it.

    Args:
        run: the run.
        reward: kept under "reward" when given.
    """
    system, *messages = run.messages()
    assert isinstance(system, System)
    turns: list[tuple[bool, str, str]] = []  # whether the model speaks, role, text
    results: list[str] = []
    for message in messages:
        if isinstance(message, ToolOutput):
            results.append(message.content)
            continue
        _observed(turns, results)
        turns.append(_sharegpt(message))
    _observed(turns, results)
    joined: list[Json] = []
    last: bool | None = None
    for speaks, role, text in turns:
        if speaks is last:
            joined[-1]["value"] += f"\n\n{text}"
        else:
            joined.append({"from": role, "value": text})
        last = speaks
    return {
        "conversations": joined,
        "system": system.content,
        **({"tools": orjson.dumps(run.tools).decode()} if run.tools else {}),
        **_about(run, reward),
    }


def _about(run: Recorded, reward: float | None) -> Json:
    about: Json = {"run_id": run.events[0].run_id, "model": run.started.model}
    return about if reward is None else {**about, "reward": reward}


def _openai(message: Message) -> Json:
    match message:
        case System(content):
            return {"role": "system", "content": content}
        case User(content):
            return {"role": "user", "content": _parts(content)}
        case ToolOutput(call_id, content):
            return {"role": "tool", "tool_call_id": call_id, "content": content}
        case Assistant(content, thinking, calls):
            said: Json = {"role": "assistant", "content": content}
            if thinking:
                said["reasoning_content"] = thinking
            if calls:
                said["tool_calls"] = [
                    {
                        "id": call.id,
                        "type": "function",
                        "function": {"name": call.name, "arguments": call.arguments},
                    }
                    for call in calls
                ]
            return said


def _parts(content: Content) -> Any:
    if isinstance(content, str):
        return content
    return [
        {"type": "text", "text": part.text}
        if isinstance(part, Text)
        else {"type": "image_url", "image_url": {"url": part.url}}
        for part in content
    ]


def _observed(turns: list[tuple[bool, str, str]], results: list[str]) -> None:
    if results:
        text = results[0] if len(results) == 1 else orjson.dumps(results).decode()
        turns.append((False, "observation", text))
        results.clear()


def _sharegpt(message: Message) -> tuple[bool, str, str]:
    if not isinstance(message, Assistant):
        assert not isinstance(message, ToolOutput)
        return False, "human", plain_text(message.content)
    said = [message.thinking] if message.thinking else []
    if message.tool_calls and message.content:
        said.append(message.content)
    thought = "<think>\n{}\n</think>\n\n".format("\n\n".join(said)) if said else ""
    if not message.tool_calls:
        return True, "gpt", f"{thought}{message.content}"
    calls = [{"name": call.name, "arguments": arguments_of(call)} for call in message.tool_calls]
    return True, "function_call", thought + orjson.dumps(calls if calls[1:] else calls[0]).decode()


def arguments_of(call: ToolCall) -> Json:
    """Return the arguments of a call as an object; {} for what is none, as the model is shown."""
    try:
        found: Any = orjson.loads(call.arguments)
    except orjson.JSONDecodeError:
        return {}
    return cast("Json", found) if isinstance(found, dict) else {}
