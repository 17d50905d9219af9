"""Shared by the survival tests: tools, and one question over real HTTP."""

import asyncio

import orjson

from agentkit.errors import ModelError
from agentkit.events import ArgumentsDelta, ReplyRestarted, TextDelta, ThinkingDelta
from agentkit.messages import User
from agentkit.model import GLM, Request, RetryPolicy
from agentkit.testing import GLMServer

QUICK = RetryPolicy(attempts=3, base=0.001, patient_base=0.001, patient_attempts=3)


def declare(name, **properties):
    required = [key for key, schema in properties.items() if "default" not in schema]
    parameters = {"type": "object", "properties": properties, "required": required}
    function = {"name": name, "description": "", "parameters": parameters}
    return {"type": "function", "function": function}


TEXT, NUMBER, FLAG = {"type": "string"}, {"type": "integer"}, {"type": "boolean", "default": False}
LIST = {"type": "array", "items": {"type": "integer"}, "default": []}
TOOLS = orjson.dumps(
    [
        declare("get_weather", city=TEXT, days={**NUMBER, "default": 1}, exact=FLAG),
        declare("write_file", path=TEXT, text=TEXT),
        declare("get_time"),
        declare("pick", items=LIST, note={"anyOf": [TEXT, {"type": "null"}], "default": None}),
    ]
)


class Asked:
    """A reply, or the error instead of it, and all that was seen on the way."""

    def __init__(self):
        self.reply = self.error = None
        self.deltas = []
        self.requests = []
        self.log = []

    @property
    def calls(self):
        return [(c.name, c.arguments) for c in self.reply.message.tool_calls]

    @property
    def given(self):
        return [(name, orjson.loads(text or "{}")) for name, text in self.calls]

    @property
    def faults(self):
        return " | ".join(self.reply.faults)

    def shown(self, kind=TextDelta):
        """What a subscriber has seen, after what it was told to forget."""
        last = max((n for n, d in enumerate(self.deltas) if type(d) is ReplyRestarted), default=-1)
        return "".join(d.text for d in self.deltas[last + 1 :] if type(d) is kind)

    def argument_text(self):
        return self.shown(ArgumentsDelta)

    def thinking_shown(self):
        return self.shown(ThinkingDelta)


def ask(script, *, tools=TOOLS, failures=(), stream=True, chunk_size=12, **parameters):
    """Ask once over HTTP on loopback."""
    asked = Asked()

    async def main():
        async with GLMServer(script, failures=failures, chunk_size=chunk_size) as server:
            model = GLM(base_url=server.base_url, retry=QUICK, stream=stream, **parameters)
            request = Request([model.encode(User("hello"))], tools)
            try:
                asked.reply = await model.ask(request, asked.deltas.append)
            except ModelError as error:
                asked.error = error
            asked.requests, asked.log = server.requests, server.log

    asyncio.run(main())
    return asked
