"""Real MCP servers: everything (stdio and HTTP), filesystem, memory, git and time."""

import asyncio
import json
import os
import subprocess
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from calling import opened
from servers import FOLDER, MISSING, npm_server, pypi_server

from agentkit.mcp import MCPServer, MCPServers
from agentkit.tool import filter_tools


@pytest.fixture(autouse=True)
def _installed():
    if not FOLDER.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(MISSING, pytrace=False)
        pytest.skip(MISSING)


@asynccontextmanager
async def over_stdio(**options):
    yield MCPServer(*npm_server("everything"), name="everything", **options)


@asynccontextmanager
async def over_http(port=0, **options):
    """The server in a process of its own, on a port of loopback that it chooses."""
    process = await asyncio.create_subprocess_exec(
        *npm_server("everything"),
        "streamableHttp",
        env={**os.environ, "PORT": str(port)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(20):
            while b"listening" not in await process.stderr.readline():
                pass
        port = await asyncio.to_thread(port_of, process.pid)
        url = f"http://127.0.0.1:{port}/mcp"
        yield MCPServer(url=url, name="everything", headers={"X-Key": "k" * 20}, **options)
    finally:
        process.kill()
        await process.wait()


def port_of(pid):
    """Return the port that a process listens on: it asked for any, and prints the asking."""
    sockets = {str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir()}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with Path(table).open() as lines:
            for line in lines:
                fields = line.split()
                if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                    return int(fields[1].rpartition(":")[2], 16)
    raise AssertionError("the server listens nowhere")


async def accept(question):
    """Fill in a form with what its schema allows."""
    assert question.server == "everything"
    assert question.calls
    return {"name": "Ada"}


@pytest.mark.parametrize("transport", [over_stdio, over_http])
def test_everything_a_server_can_do_reaches_the_model(transport):
    async def main():
        async with transport(elicit=accept) as server, opened(server) as run:
            echo, total, image, weather, link, prompt, listed, asked, slow = await run(
                ("everything__echo", {"message": "hi"}),
                ("everything__get-sum", {"a": "2", "b": 3}),
                ("everything__get-tiny-image", {}),
                ("everything__get-structured-content", {"location": "Chicago"}),
                ("everything__get-resource-links", {"count": 2}),
                ("everything__get_prompt", {"name": "args-prompt", "arguments": {"city": "Oslo"}}),
                ("everything__list_resources", {}),
                ("everything__trigger-elicitation-request", {}),
                ("everything__trigger-long-running-operation", {"duration": 0.4, "steps": 2}),
            )
            assert echo.content == "Echo: hi"
            assert "is 5" in total.content  # the text "2" was taken for the number it holds
            assert [one.name for one in image.artifacts] == ["get-tiny-image-2.png"]
            assert run.artifacts["get-tiny-image-2.png"].data.startswith(b"\x89PNG")
            assert "temperature" in json.loads(weather.content)
            assert "Read it with everything__read_resource" in link.content
            assert "What's weather in Oslo?" in prompt.content
            assert "Ada" in asked.content
            assert slow.status == "ok"
            assert run.progress == ["1 of 2", "2 of 2"]
            uri = listed.content.split("- ")[1].partition(": ")[0]
            read = await run.one("everything__read_resource", uri=uri)
            assert read.content.startswith(f"[resource {uri}]\n#")
            missing = await run.one("everything__read_resource", uri="demo://nothing")
            assert missing.status == "error"
            assert "everything' refused" in missing.content

    asyncio.run(main())


def test_questions_are_declined_and_the_model_is_told():
    async def main():
        async with over_stdio() as server, opened(server) as run:
            asked, other = await run(
                ("everything__trigger-elicitation-request", {}),
                ("everything__echo", {"message": "hi"}),
            )
            assert "so it was declined: Please provide" in asked.content
            assert other.content == "Echo: hi"

    asyncio.run(main())


def test_a_call_that_takes_too_long_ends_and_the_next_one_works():
    async def main():
        async with over_http(timeout=0.3) as server, opened(server) as run:
            slow = await run.one("everything__trigger-long-running-operation", duration=30)
            assert slow.status == "timeout"
            assert (await run.one("everything__echo", message="hi")).status == "ok"

    asyncio.run(main())


def test_an_address_that_answers_again_is_connected_to_again():
    async def main():
        async with AsyncExitStack() as first:
            server = await first.enter_async_context(over_http())
            port = int(server.url.split(":")[2].split("/")[0])
            async with opened(server) as run:
                assert (await run.one("everything__echo", message="a")).status == "ok"
                await first.aclose()
                gone = await run.one("everything__echo", message="b")
                assert gone.status == "error"
                async with over_http(port):
                    assert (await run.one("everything__echo", message="c")).status == "ok"

    asyncio.run(main())


def test_roots_and_environment_are_what_the_server_was_given(tmp_path):
    async def main():
        env = {"GREETING": "hello", "MY_TOKEN": "tok-0123456789abcdef"}
        async with over_stdio(env=env, roots=[tmp_path]) as server, opened(server) as run:
            given = json.loads((await run.one("everything__get-env")).content)
            assert given["GREETING"] == "hello"
            assert given["MY_TOKEN"] == "***"
            assert not [name for name in given if name.startswith(("ZAI", "AGENTKIT", "PYTEST"))]
            assert str(tmp_path) in (await run.one("everything__get-roots-list")).content

    asyncio.run(main())


def test_filesystem_memory_git_and_time_work_together(tmp_path):
    (tmp_path / "note.txt").write_text("a note")
    repository = tmp_path / "repository"
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    memory = {"MEMORY_FILE_PATH": str(tmp_path / "memory.json")}
    git, variables = pypi_server("git")
    clock, _ = pypi_server("time")
    servers = MCPServers(
        (
            MCPServer(*npm_server("filesystem"), str(tmp_path), name="files"),
            MCPServer(*npm_server("memory"), name="memory", env=memory),
            MCPServer(*git, name="git", env=variables),
            MCPServer(*clock, "--local-timezone", "UTC", name="time", env=variables),
        )
    )

    async def main():
        async with opened(filter_tools(servers, without=["*__*_media_*"])) as run:
            assert run.tools["files__write_file"].writes[0].startswith("mcp files@")
            assert run.tools["files__read_text_file"].read_only
            assert "files__read_media_file" not in run.tools
            entities = [
                {"name": str(n), "entityType": "number", "observations": []} for n in range(8)
            ]
            results = await run(
                ("files__read_text_file", {"path": str(tmp_path / "note.txt")}),
                ("files__read_text_file", {"path": "/etc/hostname"}),
                ("git__git_status", {"repo_path": str(repository)}),
                ("time__get_current_time", {"timezone": "Europe/Oslo"}),
                # One after the other: this server reads and writes its one file at each call.
                *(("memory__create_entities", {"entities": [one]}) for one in entities),
            )
            note, outside, status, clock, *made = results
            assert "a note" in note.content
            assert (outside.status, "denied" in outside.content) == ("error", True)
            assert "No commits yet" in status.content
            assert json.loads(clock.content)["timezone"] == "Europe/Oslo"
            assert {one.status for one in made} == {"ok"}
            graph = json.loads((await run.one("memory__read_graph")).content)
            assert len(graph["entities"]) == len(entities)

    asyncio.run(main())
