"""Arguments that are secrets stay out of whatever an edit of the context writes to the log."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from contexts import EAGER, SMALL, Worker, kinds

from agentkit import ApprovalPolicy, Rule, SQLiteStore, tool
from agentkit.context import Compact, ContextPolicy
from agentkit.events import dump_line
from agentkit.testing import Call, Say, ScriptedModel
from agentkit.tool import Answer

SECRET = "hunter2-hunter2"
PIN = 48_151_623
PATH = "vault/hunter3-hunter3.txt"
LEAKY = f"+ facts | the password {SECRET} works, the pin is {PIN}, all lies in {PATH}"


@tool(redact=("password", "pin", "path"))
def write_login(user: str, password: str, pin: int, path: str) -> str:
    """Log in and write that down."""
    return f"{user} is in. " + "All is well. " * 200


class Leaky(Worker):
    """Logs in at its first steps, and tells the secrets in each summary."""

    def __call__(self, request):
        said = super().__call__(request)
        given = {"user": f"me{self.count}", "password": SECRET, "pin": PIN, "path": PATH}
        if said.calls and said.calls[0].name == "work" and self.count in {1, 2, 8, 20}:
            return replace(said, calls=[*said.calls, Call("write_login", given)])
        return said


FRESH = ContextPolicy(offload=None, clear=None, compact=Compact(mode="fresh", at=9_000, tail=1_000))


@pytest.mark.parametrize("policy", [SMALL, FRESH, EAGER])
def test_no_edit_of_the_context_writes_a_redacted_argument(policy, tmp_path):
    worker = Leaky(40, summaries=[LEAKY] * 99)
    sent = []

    def brain(request):
        sent.append(str(request["messages"]))
        if "You summarise" in request["messages"][0]["content"]:
            return Say(LEAKY.removeprefix("+ facts | "))
        return worker(request)

    async def main():
        store = SQLiteStore(tmp_path)
        agent = worker.agent(
            policy=policy,
            tools=[write_login],
            store=store,
            model=ScriptedModel(brain),
            approval=ApprovalPolicy((Rule("ask", "write_login", reason="it writes"),)),
            approver=lambda question: Answer(approved=True),
        )
        async with agent.open() as run:
            await run.send("Log in, then work.")
            ledger = run.context.ledger
            pinned = [ledger.approvals, ledger.files, *[c.arguments for c in ledger.calls.values()]]
            prompt = str(run.context.messages)
        log = await store.load(run.id)
        again = await agent.resume(run.id)
        await store.close()
        return log, str(pinned), prompt, again

    log, pinned, prompt, again = asyncio.run(main())
    assert again.output == "finished"
    assert kinds(log, "cleared" if policy is EAGER else "compacted")
    assert any(SECRET in text for text in sent)  # the model goes on with its own words
    written = b"".join(map(dump_line, log)).decode()
    for secret in (SECRET, str(PIN), "hunter3"):
        assert secret not in pinned
        assert secret not in prompt.partition("[State of this work")[2].partition("Assistant(")[0]
        assert secret not in written
        for path in tmp_path.rglob("*"):
            assert not path.is_file() or secret.encode() not in path.read_bytes()
    for edit in kinds(log, "compacted"):
        assert "the password [redacted] works, the pin is [redacted]" in edit.content
