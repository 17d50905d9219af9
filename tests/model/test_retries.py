"""Retries, the gate of a key, fallbacks and dollar limits, over real HTTP on loopback."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from agentkit import GLM, Agent, Limits, MemoryStore, Price, ReminderPolicy, RetryPolicy, tool
from agentkit.errors import (
    AuthenticationFailed,
    LimitExceeded,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    ServerFault,
    StreamBroken,
)
from agentkit.events import ReplyRestarted, TextDelta
from agentkit.messages import User
from agentkit.model import Request
from agentkit.model.faults import PROVIDER_ZONE, from_response, reset_time
from agentkit.model.gate import GROW_AFTER, Gate
from agentkit.testing import Call, GLMServer, Raw, Refuse, Say

QUICK = RetryPolicy(base=0.001, patient_base=0.001, cap=0.01)


def ask(script, *, retry=QUICK, emit=None, **options):
    """Ask once; return the reply and how many requests the server saw."""

    async def main():
        async with GLMServer(script) as server:
            model = GLM(base_url=server.base_url, retry=retry, **options)
            request = Request([model.encode(User("hello"))], originals=[User("hello")])
            return await model.ask(request, emit), len(server.requests)

    return asyncio.run(main())


def test_an_answer_that_breaks_off_is_asked_anew_as_a_whole_and_subscribers_are_told():
    seen = []
    reply, requests = ask([Say("half of it", cut=1), Say("all of it")], emit=seen.append)
    assert (reply.message.content, reply.attempts, requests) == ("all of it", 2, 2)
    restart = next(at for at, event in enumerate(seen) if isinstance(event, ReplyRestarted))
    before = "".join(event.text for event in seen[:restart] if isinstance(event, TextDelta))
    after = "".join(event.text for event in seen[restart:] if isinstance(event, TextDelta))
    assert (before, after) == ("half of it", "all of it")


def test_an_answer_that_always_breaks_off_ends_in_a_typed_error():
    with pytest.raises(StreamBroken):
        ask(lambda _: Say("x" * 100, cut=3))


def test_a_failure_inside_the_server_in_mid_answer_is_asked_anew():
    reply, _ = ask([Say("x", finish_reason="network_error"), "fine"])
    assert reply.message.content == "fine"


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [("7", 7, 7), ("0.5", 0.5, 0.5), ("soon", None, None), ("", None, None), ("-3", 0, 0)],
)
def test_retry_after_is_read_in_seconds(header, low, high):
    waited = from_response(429, b'{"error":{"code":"1302"}}', "", header).fault.retry_after
    assert waited == low == high


def test_retry_after_is_read_as_a_date_and_is_the_least_pause():
    until = datetime.now(UTC) + timedelta(seconds=90)
    error = from_response(
        429, b'{"error":{"code":"1302"}}', "", f"{until:%a, %d %b %Y %H:%M:%S} GMT"
    )
    assert 80 < error.fault.retry_after <= 90
    assert RetryPolicy().pause(error, 1) >= error.fault.retry_after


def test_an_overload_is_waited_out_for_minutes_and_a_fault_for_seconds():
    policy = RetryPolicy()

    def patience(error):
        pauses = []
        while (pause := policy.pause(error, len(pauses) + 1)) is not None:
            pauses.append(pause)
        return sum(pauses)

    assert 120 < patience(Overloaded("busy")) < 600
    assert patience(ServerFault("broken")) < 5
    assert patience(AuthenticationFailed("key")) == 0


def test_a_used_up_quota_says_when_it_is_filled_again():
    message = "Usage limit reached for 5 hour. Your limit will reset at 2030-01-02 10:00:00"
    with pytest.raises(QuotaExhausted) as caught:
        ask(lambda _: Refuse(429, "1308", message))
    assert caught.value.resets_at == datetime(2030, 1, 2, 2, 0, tzinfo=UTC)
    assert reset_time("no time here") is None
    assert reset_time("at 2030-13-45 99:00") is None


def test_a_used_up_quota_is_waited_out_when_the_policy_allows_it():
    soon = datetime.now(PROVIDER_ZONE) - timedelta(seconds=4)
    refusal = Refuse(429, "1310", f"will reset at {soon:%Y-%m-%d %H:%M:%S}")
    reply, requests = ask([refusal, "fine"], retry=RetryPolicy(quota_wait=60))
    assert (reply.message.content, requests) == ("fine", 2)
    with pytest.raises(QuotaExhausted):
        ask([refusal, "fine"])


def test_the_gate_of_a_key_bounds_the_requests_of_all_models_that_use_it():
    most = 0

    async def main():
        async with GLMServer(lambda _: Say("x" * 40), chunk_seconds=0.01) as server:
            models = [
                GLM(base_url=server.base_url, api_key="same", concurrency=3) for _ in range(4)
            ]
            watching = True

            async def watch():
                nonlocal most
                while watching:
                    gates = {id(m._transport.gate): m._transport.gate for m in models}
                    assert len(gates) == 1
                    most = max(most, next(iter(gates.values())).in_flight)
                    await asyncio.sleep(0.002)

            async with AsyncExitStack() as stack:
                for model in models:
                    await stack.enter_async_context(model.connect())
                watcher = asyncio.create_task(watch())
                request = Request([models[0].encode(User("x"))])
                async with asyncio.TaskGroup() as group:
                    for model in models * 3:
                        group.create_task(model.ask(request))
                watching = False
                await watcher

    asyncio.run(main())
    assert most == 3


def test_a_complaint_halves_the_gate_once_and_good_answers_open_it_again():
    async def main():
        gate = Gate(8)
        gate.slow_down(0.01)
        gate.slow_down(0.01)  # of the same wave
        assert gate.limit == 4
        await asyncio.sleep(0.02)
        gate.slow_down(0.0)
        assert gate.limit == 2
        for _ in range(GROW_AFTER):
            gate.went_well()
        assert gate.limit == 3
        for _ in range(GROW_AFTER * 10):
            gate.went_well()
        assert gate.limit == 8

    asyncio.run(main())


def test_the_gate_keeps_order_and_loses_no_place_when_waiters_are_cancelled():
    async def main():
        gate = Gate(1)
        order = []

        async def pass_through(name):
            async with gate.through():
                order.append(name)
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(pass_through(name)) for name in range(20)]
            await asyncio.sleep(0)
            for task in tasks[5:15:2]:
                task.cancel()
        assert order == [name for name in range(20) if name not in range(5, 15, 2)]
        assert gate.in_flight == 0

    asyncio.run(main())


def test_too_many_requests_slow_the_key_down_and_all_answers_still_come():
    refused = 0

    async def main():
        def brain(_):
            nonlocal refused
            if flying_now() > 2:
                refused += 1
                return Refuse(429, "1302", "too many requests in flight")
            return Say("ok")

        def flying_now():
            return model._transport.gate.in_flight

        async with GLMServer(brain) as server:
            model = GLM(base_url=server.base_url, retry=RetryPolicy(patient_base=0.02, cap=0.1))
            request = Request([model.encode(User("x"))])
            async with model.connect():
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(model.ask(request)) for _ in range(12)]
                assert model._transport.gate.limit < 64
        return [task.result().message.content for task in tasks]

    assert asyncio.run(main()) == ["ok"] * 12
    assert refused


def fallen_back(first, second, **options):
    """Run an agent whose model has a fallback; return the result, log and request counts."""

    async def main():
        async with GLMServer(first) as one, GLMServer(second) as two:
            spare = GLM("glm-4.7", base_url=two.base_url, retry=QUICK)
            model = GLM(base_url=one.base_url, retry=QUICK, fallback=[spare], **options)
            store = MemoryStore()
            async with Agent(model, store=store, tools=[ping]).open() as talk:
                result = await talk.send("go")
            log = await store.load(talk.id)
            return result, log, len(one.requests), len(two.requests)

    return asyncio.run(main())


@tool
async def ping() -> str:
    """Answer."""
    return "pong"


def test_a_fallback_answers_stays_and_is_logged_with_what_it_costs_the_cache():
    script = [Say(calls=[Call("ping", "")]), "from the spare"]
    result, log, first, second = fallen_back(lambda _: Refuse(429, "1113", "no balance"), script)
    assert result.output == "from the spare"
    assert (first, second) == (1, 2)
    notes = [event.body for event in log if event.kind == "noted"]
    assert [note.topic for note in notes] == ["failover", "fallback", "fallback"]
    assert notes[1].data["wanted"] == "glm-5"
    assert notes[1].data["cache_loss_usd"] > 0
    assert "no balance" in notes[1].text


def test_a_wrong_key_is_told_and_not_papered_over_by_a_fallback():
    with pytest.raises(AuthenticationFailed):
        fallen_back(lambda _: Refuse(401, "1000", "wrong"), ["unused"])


def test_when_the_last_fallback_fails_too_its_error_is_raised():
    with pytest.raises(RateLimited):
        fallen_back(lambda _: Refuse(500, "1234"), lambda _: Refuse(429, "1302"))


def test_a_dollar_limit_stops_before_the_call_that_would_exceed_it():
    prices = Price(input=100.0, cached=20.0, output=300.0)
    spent = []

    async def main():
        async with GLMServer(lambda _: Say("so " * 30, calls=[Call("ping", "")])) as server:
            model = GLM(base_url=server.base_url, price=prices)
            agent = Agent(
                model,
                tools=[ping],
                store=MemoryStore(),
                limits=Limits(cost_usd=0.5),
                reminders=ReminderPolicy(loop_tell=0, loop_stop=0),
            )
            async with agent.open() as talk:
                try:
                    await talk.send("go")
                finally:
                    spent.append(talk.spent.cost_usd)
                    bounds = [body.get("max_tokens") for body in server.requests]
                    assert all(bounds)
                    assert bounds[-1] < bounds[0]

    with pytest.raises(LimitExceeded, match="prompt alone") as caught:
        asyncio.run(main())
    assert caught.value.limit == "cost_usd"
    assert 0 < spent[0] <= 0.5


def test_a_bound_by_dollars_never_raises_the_callers_own_max_tokens():
    async def main():
        async with GLMServer(["ok"]) as server:
            model = GLM(base_url=server.base_url, max_tokens=500)
            agent = Agent(model, store=MemoryStore(), limits=Limits(cost_usd=5))
            await agent.run("go")
            return server.requests[0]["max_tokens"]

    assert asyncio.run(main()) == 500


def test_an_answer_without_usage_is_estimated_so_that_a_dollar_limit_still_holds():
    chunk = '{"choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":"stop"}]}'
    body = f"data: {chunk % ('word ' * 200)}\n\ndata: [DONE]\n\n".encode()
    reply, _ = ask(lambda _: Raw(body, 200, "text/event-stream"))
    assert 200 < reply.usage.output < 400
    assert reply.usage.input > 10
    assert reply.cost_usd > 0
    assert any("estimated" in fault for fault in reply.faults)


def test_a_server_that_keeps_the_stream_open_after_its_end_is_not_waited_for():
    chunk = b'{"choices":[{"index":0,"delta":{"content":"whole"},"finish_reason":"stop"}]}'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    gone = asyncio.Event()

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head + b"data: " + chunk + b"\n\ndata: [DONE]\n\n")
        while await reader.read(1 << 16):
            pass
        gone.set()  # the client hung up; until then the stream stays open
        writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, asyncio.timeout(30):
            model = GLM(base_url=f"http://127.0.0.1:{port}/v1", api_key="k")
            reply = await model.ask(Request([model.encode(User("x"))]))
            await gone.wait()
            return reply

    assert asyncio.run(main()).message.content == "whole"


def test_a_reply_that_was_cut_short_is_noted_in_the_log():
    async def main():
        store = MemoryStore()
        async with GLMServer([Say("the beginning of", finish_reason="length")]) as server:
            result = await Agent(GLM(base_url=server.base_url), store=store).run("go")
        return result, await store.load(result.run_id)

    result, log = asyncio.run(main())
    assert result.output == "the beginning of"
    (note,) = [event.body for event in log if event.kind == "noted"]
    assert note.topic == "length"
    assert "max_tokens" in note.text
