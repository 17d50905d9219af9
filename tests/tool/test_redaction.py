"""Secrets in tool arguments: the call gets them, the log does not."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from agentkit import GLM, Agent, tool
from agentkit.errors import ToolDefinitionError
from agentkit.events import ApprovalAsked, Replied, ToolFinished, ToolStarted, dump_line
from agentkit.messages import Assistant, ToolCall
from agentkit.store import SQLiteStore
from agentkit.testing import Call, GLMServer, Say
from agentkit.tool import as_tool
from agentkit.tool.arguments import bind
from agentkit.tool.base import REDACTED, ArgumentFault
from agentkit.tool.redact import redacted
from agentkit.usage import Usage

SECRET = "hunter2-hunter2"


@tool(redact=("password",))
def log_in(user: str, password: str = "") -> str:
    """Log in."""
    return f"{user} is in" if password == SECRET else "refused"


def replied(arguments, name="log_in"):
    return Replied(
        message=Assistant("", "", (ToolCall("c", name, arguments),)),
        usage=Usage(),
        cost_usd=0.0,
        finish_reason="tool_calls",
        model="m",
        request_digest="",
        seconds=0.0,
    )


def test_the_call_gets_the_secret_the_model_its_own_words_and_the_log_neither(tmp_path):
    async def main():
        store = SQLiteStore(tmp_path)
        told = []
        call = Call("log_in", {"user": "me", "password": SECRET})
        async with GLMServer([Say(calls=[call]), "done"]) as server:
            agent = Agent(GLM(base_url=server.base_url), tools=[log_in], store=store, strict=True)
            result = await agent.run("Log in.", told.append)
            sent = server.requests[-1]["messages"]
        log = await store.load(result.run_id)
        await store.close()
        return log, told, sent

    log, told, sent = asyncio.run(main())
    assert any(isinstance(e.body, ToolFinished) and e.body.content == "me is in" for e in log)
    [call] = next(message["tool_calls"] for message in sent if message.get("tool_calls"))
    assert orjson.loads(call["function"]["arguments"])["password"] == SECRET
    assert SECRET not in b"".join(map(dump_line, log)).decode()
    started = next(event.body for event in log if isinstance(event.body, ToolStarted))
    assert started.arguments == {"user": "me", "password": REDACTED}
    durable = [event for event in told if hasattr(event, "seq")]
    assert durable == log
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes()


@pytest.mark.parametrize(
    "text", ['{"password": "hunter2', '"hunter2"', "[1]", '"{\\"password\\":1}"']
)
def test_arguments_that_are_no_object_are_not_kept_at_all(text):
    body = redacted(replied(text), {"log_in": as_tool(log_in)})
    assert body.message.tool_calls[0].arguments == '"[redacted]"'


def test_what_has_no_secret_stays_as_it_is():
    tools = {"log_in": as_tool(log_in)}
    for text in ('{ "user":  "me" }', "{}"):
        body = replied(text)
        assert redacted(body, tools) is body
    other = replied('{"password": "x"}', name="other")
    assert redacted(other, tools) is other
    asked = ApprovalAsked(call_id="c", name="log_in", arguments={"user": "a", "password": "x"})
    assert redacted(asked, tools).arguments == {"user": "a", "password": REDACTED}


def test_a_call_that_was_redacted_is_refused_rather_than_run_with_the_mark():
    with pytest.raises(ArgumentFault, match="password of log_in was redacted"):
        bind(as_tool(log_in), '{"user": "me", "password": "[redacted]"}')
    assert bind(as_tool(log_in), '{"user": "[redacted]"}').keywords == {"user": "[redacted]"}


def test_a_misspelt_parameter_is_refused_rather_than_leaked():
    with pytest.raises(ToolDefinitionError, match="no parameter 'pasword'"):

        @tool(redact=("pasword",))
        def log_in(password: str) -> str:
            """Log in."""
            return password
