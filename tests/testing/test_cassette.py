"""Cassettes: recorded over real HTTP, replayed without a server, strict and free of keys."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest
import yaml

from agentkit import GLM, Agent, MemoryStore, longtext, tool
from agentkit.errors import Overloaded, StreamBroken
from agentkit.longtext import Policy
from agentkit.model import RetryPolicy
from agentkit.testing import Call, Cassette, CassetteMismatch, GLMServer, Refuse, Say
from agentkit.testing.tape import Interaction, load, prefix_breaks, save

RECORDED = sorted((Path(__file__).parents[1] / "recorded").glob("*.yaml"))
KEY = "0123456789abcdef0123456789abcdef.Secret0123456789"
QUICK = RetryPolicy(attempts=1, patient_attempts=1)
NOWHERE = "http://127.0.0.1:9/api/paas/v4"


def record(path, script, use, **options):
    """Use a GLM on a server and record it."""

    async def main():
        async with GLMServer(script, key=KEY) as server, Cassette(path, "record") as cassette:
            model = GLM(
                base_url=server.base_url, api_key=KEY, http=cassette, retry=QUICK, **options
            )
            return await use(model)

    return asyncio.run(main())


def replay(path, use, mode="replay", **options):
    """Use a GLM on the recording; there is no server, and no key."""

    async def main():
        async with Cassette(path, mode) as cassette:
            model = GLM(base_url=NOWHERE, http=cassette, retry=QUICK, **options)
            return await use(model)

    return asyncio.run(main())


@pytest.mark.parametrize("stream", [True, False])
def test_what_was_recorded_is_replayed_to_the_last_byte(tmp_path, stream):
    path = tmp_path / "folder" / "hello.json"
    answer = Say("Bonjour, 你好, привет!", thinking="hm\n\nhm")
    use = lambda model: model.answer("Say hello.")  # noqa: E731
    first = record(path, [answer], use, stream=stream)
    again = replay(path, use, stream=stream)
    assert again.output == first.output == answer.text
    assert again.replies[0].message == first.replies[0].message
    assert again.replies[0].usage == first.replies[0].usage
    assert again.replies[0].id == first.replies[0].id


def test_an_agent_with_tools_runs_on_a_recording(tmp_path):
    @tool
    def look_up(key: str) -> str:
        """Look a key up."""
        return f"{key} is 42"

    async def use(model):
        return (await Agent(model, tools=[look_up], store=MemoryStore()).run("Look up x.")).output

    path = tmp_path / "agent.json"
    script = [Say("", "hm", [Call("look_up", {"key": "x"})]), "42"]
    assert record(path, script, use) == replay(path, use) == "42"
    assert prefix_breaks(load(path)) == []
    assert len(load(path)) == 2


def test_parallel_requests_find_their_own_answers(tmp_path):
    def brain(request):
        return Say(request["messages"][-1]["content"].split("<part>")[1][:30])

    async def use(model):
        text = "\n\n".join(f"# Part {number}\n\n{'words ' * 60}" for number in range(9))
        answer = await longtext.process(model, text, "Go.", policy=Policy(part_tokens=120))
        return [part.text for part in answer.parts]

    path = tmp_path / "parts.json"
    assert record(path, lambda r: brain(r) if "<part>" in str(r) else Say("merged"), use) == replay(
        path, use
    )
    assert prefix_breaks(load(path)) == []


def test_the_file_is_readable_and_holds_no_key_wherever_it_stood(tmp_path):
    path = tmp_path / "keys.json"
    script = [
        Say(f"your key is {KEY}"),
        Refuse(401, "1000", f"wrong key {KEY} or sk-abcdefghijklmnop0123"),
    ]

    async def use(model):
        text = await model.complete(f"My key is {KEY}.")
        with pytest.raises(Exception, match="1000"):
            await model.complete("Again.")
        return text

    async def main():
        async with (
            GLMServer(script, chunk_size=500) as server,
            Cassette(path, "record") as cassette,
        ):
            return await use(GLM(base_url=server.base_url, api_key=KEY, http=cassette))

    asyncio.run(main())
    text = path.read_text()
    assert KEY not in text
    assert "sk-abcdef" not in text
    assert "authorization" not in text.lower()
    data = json.loads(text)
    assert (
        data["interactions"][0]["request"]["body"]["messages"][0]["content"] == "My key is [key]."
    )
    assert any(line.startswith("data: ") for line in data["interactions"][0]["response"]["lines"])
    assert max(map(len, text.splitlines())) < 500
    # The prompt with the real key finds its redacted recording.
    assert "[key]" in replay(path, use, api_key=KEY)


def test_a_key_that_a_stream_gives_in_pieces_is_not_recorded(tmp_path):
    path = tmp_path / "pieces.json"
    with pytest.raises(ValueError, match="in pieces"):
        record(path, [Say(f"your key is {KEY}")], lambda model: model.complete("Go."))
    assert not path.exists()


def test_a_request_that_differs_is_refused_with_a_readable_difference(tmp_path):
    path = tmp_path / "one.json"
    record(path, ["hello"], lambda model: model.complete("Say hello."))
    with pytest.raises(CassetteMismatch) as caught:
        replay(path, lambda model: model.complete("Say goodbye."))
    assert '-      "content": "Say hello."' in str(caught.value)
    assert '+      "content": "Say goodbye."' in str(caught.value)
    with pytest.raises(CassetteMismatch, match="temperature"):
        replay(path, lambda model: model.complete("Say hello."), temperature=0.5)


def test_each_recording_is_used_once_and_the_unused_are_named(tmp_path):
    path = tmp_path / "two.json"

    async def both(model):
        return [await model.complete("One."), await model.complete("Two.")]

    record(path, ["1", "2"], both)
    with pytest.raises(CassetteMismatch, match=r"Two\."):
        replay(path, lambda model: model.complete("One."))

    async def thrice(model):
        return [*await both(model), await model.complete("One.")]

    with pytest.raises(CassetteMismatch, match="once more"):
        replay(path, thrice)

    async def main():
        async with Cassette(path, allow_unused=True) as cassette:
            await GLM(base_url=NOWHERE, http=cassette).complete("Two.")
            return cassette.unused

    (left,) = asyncio.run(main())
    assert "One." in left


def test_errors_and_broken_streams_are_replayed_as_they_were(tmp_path):
    path = tmp_path / "errors.json"

    async def use(model):
        with pytest.raises(Overloaded, match="1305"):
            await model.complete("One.")
        with pytest.raises(StreamBroken):
            await model.complete("Two.")

    record(path, [Refuse(429, "1305", "busy"), Say("word " * 40, cut=3)], use)
    replay(path, use)
    assert load(path)[1].broken


def test_auto_records_what_is_missing_and_replays_what_is_there(tmp_path):
    path = tmp_path / "auto.json"

    async def main():
        async with GLMServer(["hello"], key=KEY) as server:
            said = []
            for _ in range(2):
                async with Cassette(path, "auto") as cassette:
                    model = GLM(base_url=server.base_url, api_key=KEY, http=cassette)
                    said.append(await model.complete("Say hello."))
            return said, len(server.requests)

    assert asyncio.run(main()) == (["hello", "hello"], 1)


def test_a_missing_or_damaged_file_is_told(tmp_path):
    with pytest.raises(FileNotFoundError):
        Cassette(tmp_path / "nothing.json")
    for text in ("{", "[]", '{"version": 99, "interactions": []}', '{"version": 1}'):
        path = tmp_path / "bad.json"
        path.write_text(text)
        with pytest.raises(ValueError, match=r"bad\.json"):
            Cassette(path)


def interactions(path):
    """Read a file of the YAML recordings."""
    for item in yaml.safe_load(path.read_text())["interactions"]:
        request, response = item["request"], item["response"]
        headers = {name: values[0] for name, values in response["headers"].items()}
        yield Interaction(
            request["method"],
            request["url"],
            json.loads(request["body"]),
            response["code"],
            headers,
            response["body"].encode(),
        )


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_recorded_traffic_becomes_a_cassette_with_a_stable_prefix(path, tmp_path):
    recorded = list(interactions(path))
    assert prefix_breaks(recorded) == []
    save(tmp_path / "made.json", recorded)

    async def main():
        async with Cassette(tmp_path / "made.json") as cassette:
            assert cassette.prefix_breaks() == []
            async with httpx.AsyncClient(transport=cassette) as client:
                for item in reversed(recorded):
                    body = json.dumps(dict(reversed(item.request.items())), indent=1)
                    response = await client.post(item.url, content=body)
                    assert response.content == item.body
                    assert response.status_code == item.status

    asyncio.run(main())


def conversation(*changes):
    """Two requests of one conversation, the second one changed."""
    first = {
        "model": "glm-5",
        "tools": [{"name": "f"}],
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
    }
    more = [*first["messages"], {"role": "assistant", "content": "a"}]
    second = {**first, "tools": [*first["tools"]], "messages": more}
    for change in changes:
        change(second)
    return [Interaction("POST", "http://x/chat/completions", body, 200) for body in (first, second)]


def test_a_prefix_that_moves_is_found_with_the_first_message_that_differs():
    assert prefix_breaks(conversation()) == []
    ((number, moved),) = prefix_breaks(
        conversation(
            lambda body: body["messages"].__setitem__(0, {"role": "system", "content": "t"})
        )
    )
    assert (number, moved.role, moved.index) == (2, "system", 0)
    ((_, moved),) = prefix_breaks(conversation(lambda body: body["tools"].append({"name": "g"})))
    assert moved.role == "tools"
    again = conversation() + conversation()
    assert prefix_breaks(again) == []
