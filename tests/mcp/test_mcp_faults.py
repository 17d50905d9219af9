"""MCP servers that misbehave: nothing they do ends a run, repeats a call or leaves a process."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
import structlog
from calling import opened
from forgetful import forgetful

from agentkit.errors import ConfigError
from agentkit.mcp import MCPServer, MCPServers

ODD = str(Path(__file__).with_name("odd_server.py"))
TOKEN = "tok_0123456789abcdef"


def odd(mode="plain", file=os.devnull, **options):
    return MCPServer(
        sys.executable, ODD, mode, str(file), name="odd", env={"SOME_TOKEN": TOKEN}, **options
    )


def notes(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def until(true):
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - another process makes it true
            await asyncio.sleep(0.02)


@pytest.fixture
def log():
    """What the operator's log takes."""
    with structlog.testing.capture_logs() as taken:
        structlog.configure(processors=structlog.get_config()["processors"])
        yield taken
    structlog.reset_defaults()


def test_tools_are_prefixed_and_their_schemas_and_hints_taken_over():
    async def main():
        async with opened(odd()) as run:
            assert [*run.tools] == sorted(run.tools)
            assert {name.split("__")[0] for name in run.tools} == {"odd"}
            echo, die = run.tools["odd__echo"], run.tools["odd__die"]
            assert "$schema" not in echo.parameters
            assert (echo.read_only, echo.idempotent, echo.destructive) == (True, True, False)
            assert (die.read_only, die.idempotent, die.destructive) == (False, False, True)
            assert echo.open_world
            assert echo.reads == die.writes
            assert die.writes[0].startswith("mcp odd@")
            assert die.description == "die"
            (changed,) = [name for name in run.tools if "reference" in name]
            assert changed.startswith("odd__far_reference_")

    asyncio.run(main())


@pytest.mark.parametrize("tool", ["odd__echo", "odd__modern"])
def test_each_schema_is_checked_by_its_own_draft(tool):
    """A pair is `items` with a list in draft-07, and `prefixItems` in 2020-12."""

    async def main():
        async with opened(odd()) as run:
            wrong = await run.one(tool, text="x", pair=["a", 1])
            assert wrong.status == "error"
            assert "pair[0]" in wrong.content
            right = await run.one(tool, text="x", pair='[1, "a"]')
            assert json.loads(right.content)["pair"] == [1, "a"]

    asyncio.run(main())


def test_a_schema_that_refers_to_an_address_is_not_fetched():
    async def main():
        async with opened(odd()) as run:
            (name,) = [one for one in run.tools if "reference" in one]
            done = await run.one(name, x=1)
            assert done.status == "error"
            assert "could not be checked" in done.content

    asyncio.run(main())


def test_content_of_all_kinds_becomes_text_and_artifacts_without_the_secret():
    async def main():
        async with opened(odd()) as run:
            done = await run.one("odd__content")
            assert done.status == "ok"
            assert TOKEN not in done.content
            assert "***" in done.content
            assert "[image saved as the file content-2.png, image/png, 8 bytes]" in done.content
            assert "content-3 was left out: it is no valid base64" in done.content
            assert "[resource note://1]\na note" in done.content
            assert "- note://2: two. Second." in done.content
            assert done.content.endswith('{"n": 1}')
            assert sorted(run.artifacts) == ["b_2F.bin", "content-2.png"]
            assert run.artifacts["b_2F.bin"].data == b"\x00\x01\x02"
            failed = await run.one("odd__fail")
            assert (failed.status, failed.content) == ("error", "no such city")

    asyncio.run(main())


def test_a_server_that_dies_is_told_and_started_again_without_a_second_call(tmp_path, log):
    file = tmp_path / "told"

    async def main():
        async with opened(odd(file=file)) as run:
            died = await run.one("odd__die")
            assert died.status == "error"
            assert "ended with exit code 3" in died.content
            assert "not known" in died.content
            assert (await run.one("odd__echo", text="again")).status == "ok"

    asyncio.run(main())
    told = notes(file)
    assert [one for one in told if one.get("name")] == [
        {"method": "tools/call", "name": name, "request": None} for name in ("die", "echo")
    ]
    assert len([one for one in told if "started" in one]) == 2
    assert {"mcp.lost", "mcp.restart"} <= {line["event"] for line in log}


def test_a_call_that_is_cancelled_while_its_server_restarts_leaves_the_restart_to_the_next(
    tmp_path,
):
    file = tmp_path / "told"

    async def main():
        async with opened(odd("slow_again", file)) as run:
            assert (await run.one("odd__die")).status == "error"
            call = asyncio.create_task(run.one("odd__echo", text="a"))
            await until(lambda: file.read_text().count("begun") == 2)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert (await run.one("odd__echo", text="b")).status == "ok"

    asyncio.run(main())
    assert file.read_text().count("begun") == 2


def test_a_server_that_dies_at_every_call_is_set_aside(monkeypatch):
    monkeypatch.setattr("agentkit.mcp.connection._BACKOFF", 0.0)

    async def main():
        async with opened(odd()) as run:
            said = [(await run.one("odd__die")).content for _ in range(7)]
            assert ["set aside" in one for one in said] == [False] * 6 + [True]

    asyncio.run(main())


@pytest.mark.parametrize("how", ["timeout", "cancel"])
def test_a_call_that_is_given_up_is_cancelled_at_the_server(tmp_path, how):
    file = tmp_path / "told"

    async def main():
        options = {"timeout": 0.3} if how == "timeout" else {}
        async with opened(odd(file=file, **options)) as run:
            call = asyncio.create_task(run.one("odd__sleep"))
            if how == "cancel":
                await until(lambda: "sleep" in file.read_text())
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
            else:
                assert (await call).status == "timeout"
            assert (await run.one("odd__echo", text="still there")).status == "ok"

    asyncio.run(main())
    assert "notifications/cancelled" in [one.get("method") for one in notes(file)]


def test_a_changed_list_is_told_and_takes_effect_in_the_next_run(log):
    async def main():
        async with opened(odd()) as run:
            await run.one("odd__change_list")
            await until(lambda: any(line["event"] == "mcp.tools_changed" for line in log))
            assert (await run.one("odd__added")).status == "error"

    asyncio.run(main())
    (changed,) = [line for line in log if line["event"] == "mcp.tools_changed"]
    assert changed["new"] == ["added"]


def test_what_a_server_writes_goes_to_the_log_and_not_to_the_terminal(log, capfd):
    async def main():
        async with opened(odd()) as run:
            await run.one("odd__echo", text="x")

    asyncio.run(main())
    assert capfd.readouterr() == ("", "")
    lines = {(line["event"], line.get("line")) for line in log}
    assert ("mcp.stderr", "ready") in lines
    assert ("mcp.stdout", "a log line where only messages belong") in lines


@pytest.mark.parametrize("mode", ["family", "stubborn"])
def test_no_process_outlives_the_run(tmp_path, mode):
    """Neither a child that its parent leaves behind nor one that ignores SIGTERM."""
    file = tmp_path / "told"

    async def main():
        async with opened(odd(mode, file)) as run:
            assert (await run.one("odd__echo", text="x")).status == "ok"

    asyncio.run(main())
    (pids,) = [one["pids"] for one in notes(file) if "pids" in one]
    assert not [pid for pid in pids if is_alive(pid)]


def test_a_run_that_is_cancelled_while_its_server_starts_leaves_no_process(tmp_path):
    file = tmp_path / "told"

    async def main():
        async def run():
            async with opened(odd("family", file)):
                await asyncio.sleep(60)

        task = asyncio.create_task(run())
        await until(lambda: file.exists() and "pids" in file.read_text())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert not [pid for pid in notes(file)[0]["pids"] if is_alive(pid)]


@pytest.mark.parametrize(
    ("server", "phrase"),
    [
        (odd("broken"), r"cannot start with \*\*\*"),
        (odd("silent", start_timeout=0.5), "no answer within 0.5 seconds"),
        (odd("no_object"), r"tools\..*inputSchema"),
        (odd("twice"), "two tools 'echo'"),
        (MCPServer("no-such-program-here"), "there is no 'no-such-program-here'"),
        (MCPServer(url="http://127.0.0.1:9/mcp"), "ConnectError"),
    ],
)
def test_a_server_that_cannot_be_used_is_one_clear_error(server, phrase):
    async def main():
        async with opened(server):
            pass

    with pytest.raises(ConfigError, match=phrase) as raised:
        asyncio.run(main())
    assert TOKEN not in str(raised.value)


def test_several_servers_start_at_once_and_one_that_fails_ends_the_others(tmp_path):
    file = tmp_path / "told"

    async def main():
        two = MCPServers((odd("family", file), odd("broken")))
        async with opened(two):
            pass

    with pytest.raises(ConfigError, match="did not start"):
        asyncio.run(main())
    if file.exists():
        assert not [pid for pid in notes(file)[0]["pids"] if is_alive(pid)]


def test_a_session_that_was_forgotten_is_begun_anew():
    """A 404 says for certain that nothing was run; an error without words does not."""

    async def main(status):
        async with forgetful(status) as (server, calls), opened(server) as run:
            said = [(await run.one("far__count")).content for _ in range(3)]
            return said, calls

    said, calls = asyncio.run(main(404))
    assert (said, calls) == (["1", "2", "3"], ["0", "1", "2"])
    said, calls = asyncio.run(main(400))
    assert (said[0], said[2], calls) == ("1", "2", ["0", "1"])
    assert "closed the connection before it answered" in said[1]


def test_no_secret_is_in_a_repr():
    url = "http://user:password1234@127.0.0.1:1/mcp?key=abcdefghij"
    for server in (odd(), MCPServer(url=url, headers={"Authorization": f"Bearer {TOKEN}"})):
        for secret in (TOKEN, "password1234", "abcdefghij"):
            assert secret not in repr(server)
