"""A family of agents: a chief, clerks below it, and runners below them, who ask before they send.

Every call has an effect that its test can see once; the models go by what stands in the prompt.
"""

from __future__ import annotations

from dataclasses import replace

from agentkit import Agent, ApprovalPolicy, Rule, tool
from agentkit.testing import Call, Say, ScriptedModel

ASKING = ApprovalPolicy((Rule("ask", "send", reason="it leaves the house"),))


def tools_on(done):
    """Return the tools, which write what they do into a list."""

    @tool
    def send(to: str) -> str:
        """Send."""
        done.append(f"send {to}")
        return f"sent to {to}"

    @tool
    def write(text: str) -> str:
        """Write."""
        done.append(f"write {text}")
        return f"wrote {text}"

    return [send, write]


def said(request):
    """The task of a prompt, and the results of its calls so far."""
    messages = request["messages"]
    return messages[1]["content"], [m["content"] for m in messages if m["role"] == "tool"]


def clerk(request):
    """Write, then write and send at once, then say what came of it; "via" has others send."""
    task, results = said(request)
    if not results:
        return Say(calls=[Call("write", {"text": f"draft {task}"}, id="w1")])
    if len(results) == 1:
        copy = Call("write", {"text": f"copy {task}"}, id="w2")
        if task.startswith("via "):
            sending = Call("runner", {"task": task.removeprefix("via ")}, id="r1")
        else:
            sending = Call("send", {"to": task}, id="s1")
        return Say(calls=[sending, copy])
    return Say(f"{task}: {' / '.join(results)}")


def runner(request):
    task, results = said(request)
    return Say(f"ran: {results[0]}" if results else "", calls=[] if results else [send_to(task)])


def send_to(whom):
    return Call("send", {"to": whom}, id="s1")


def chief(*calls):
    def brain(request):
        _, results = said(request)
        return Say("all: " + " | ".join(results)) if results else Say(calls=list(calls))

    return brain


def family(store, tools, *calls, **options):
    """Return a chief who makes these calls first; below are clerks, and below them runners."""
    lowest = Agent(ScriptedModel(runner), name="runner", tools=tools, approval=ASKING)
    middle = replace(
        lowest, model=ScriptedModel(clerk), name="clerk", tools=[*tools, lowest.as_tool()]
    )
    above = [middle.as_tool(), *tools]
    brain = ScriptedModel(chief(*calls))
    return Agent(brain, name="chief", tools=above, store=store, strict=True, **options)


def ask_clerk(task, call_id):
    return Call("clerk", {"task": task}, id=call_id)


async def bodies(store, run_id, kind):
    return [event.body for event in await store.load(run_id) if isinstance(event.body, kind)]
