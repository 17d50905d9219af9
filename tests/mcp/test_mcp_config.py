"""Servers as they are described: names, mcp.json, secrets; nothing is started."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.errors import ConfigError
from agentkit.mcp import MCPServer, load_mcp_json
from agentkit.mcp.names import hide, secrets, server_name, tool_name

NAME = st.text(min_size=1, max_size=90)
VALID = st.from_regex(r"[a-zA-Z0-9_-]{1,30}", fullmatch=True)


@given(NAME, NAME, NAME, NAME)
def test_every_name_becomes_one_that_glm_takes_and_two_stay_two(server, tool, other, second):
    made = tool_name(server, tool)
    assert 1 <= len(made) <= 64
    assert all(letter.isascii() and (letter.isalnum() or letter in "_-") for letter in made)
    assert made == tool_name(server, tool)
    if f"{server}__{tool}" != f"{other}__{second}":
        assert made != tool_name(other, second)


@given(VALID, VALID)
def test_a_name_that_fits_is_kept(server, tool):
    assert tool_name(server, tool) == f"{server}__{tool}"


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("npx -y @modelcontextprotocol/server-everything", "everything"),
        ("npx -y @modelcontextprotocol/server-filesystem@2026.8.31 /srv", "filesystem"),
        ("uvx mcp-server-git --repository .", "git"),
        ("python -m mcp_server_time", "time"),
        ("/usr/bin/python3.12 tools/weather_server.py", "weather"),
        ("docker run -i --rm mcp/fetch", "fetch"),
        ("node dist/index.js", "index"),
        ("/opt/github-mcp-server stdio", "github"),
        ("npx", "npx"),
    ],
)
def test_a_command_gives_a_short_name(command, name):
    assert MCPServer(*command.split()).name == name


def test_an_address_gives_the_name_of_its_host():
    assert server_name((), "https://user:x@tools.example.com:8/mcp?k=v") == "tools-example-com"


@pytest.mark.parametrize(
    ("words", "options", "phrase"),
    [
        ((), {}, "either a command or url"),
        (("npx",), {"url": "http://127.0.0.1/"}, "either a command or url"),
        (("npx",), {"headers": {"a": "b"}}, "headers= does not belong"),
        ((), {"url": "http://127.0.0.1/", "env": {"A": "b"}}, "env= does not belong"),
        ((), {"url": "127.0.0.1/mcp"}, "http"),
    ],
)
def test_a_server_that_makes_no_sense_is_refused(words, options, phrase):
    with pytest.raises(ConfigError, match=phrase):
        MCPServer(*words, **options)


def test_what_looks_like_a_secret_is_hidden_and_what_does_not_stays():
    hidden = secrets(
        {
            "GITHUB_TOKEN": "ghp_16C7e42F292c6912",
            "OTHER": "sk-0123456789abcdef",
            "DB": "postgres://me:hunter2hunter2@host/db",
            "DEBUG": "true",
            "API_KEY": "short",
            "ROOT": "/home/me/project",
        },
        {"Authorization": "Bearer abcdefghijkl"},
        "http://host/mcp?token=querysecret",
    )
    text = (
        "ghp_16C7e42F292c6912 sk-0123456789abcdef hunter2hunter2 true short /home/me/project "
        "Bearer abcdefghijkl abcdefghijkl querysecret"
    )
    assert hide(text, hidden) == "*** *** *** true short /home/me/project *** *** ***"


def write(folder, content):
    file = folder / "mcp.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def test_a_file_of_servers_is_read_with_its_variables(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "tok-0123456789")
    monkeypatch.chdir(tmp_path)
    entries = {
        "files": {
            "command": "npx",
            "args": ["-y", "server", "${workspaceFolder}", "${MISSING:-none}"],
            "env": {"TOKEN": "${MY_TOKEN}", "plain": "$HOME costs ${env:MY_TOKEN}"},
            "cwd": "sub",
        },
        "remote": {
            "type": "http",
            "url": "https://example.com/mcp",
            "headers": {"Authorization": "Bearer ${MY_TOKEN}"},
        },
        "off": {"command": "nothing", "disabled": True},
    }
    for key in ("mcpServers", "servers"):
        file = write(tmp_path, {key: entries, "inputs": []})
        files, remote = load_mcp_json(file, timeout=5.0)
        assert files.command == ("npx", "-y", "server", str(tmp_path), "none")
        assert files.env == {"TOKEN": "tok-0123456789", "plain": "$HOME costs tok-0123456789"}
        assert files.cwd == tmp_path / "sub"
        assert (files.name, remote.name, remote.timeout) == ("files", "remote", 5.0)
        assert remote.url == "https://example.com/mcp"
        assert remote.headers == {"Authorization": "Bearer tok-0123456789"}
        assert "tok-0123456789" not in repr(load_mcp_json(file))


@pytest.mark.parametrize(
    ("content", "phrase"),
    [
        ("{", "is no mcp.json"),
        ({}, "neither"),
        ({"mcpServers": {"a": {"command": ["x"]}}}, r"at mcpServers\.a\.command"),
        ({"mcpServers": {"a": {"type": "sse", "url": "http://x"}}}, r"a\.type"),
        ({"mcpServers": {"a": {}}}, "server 'a': MCPServer takes either"),
        ({"mcpServers": {"a": {"command": "x", "url": "http://y"}}}, "server 'a'"),
        ({"mcpServers": {"a": {"command": "${NOT_SET_ANYWHERE}"}}}, "has no NOT_SET_ANYWHERE"),
        ({"mcpServers": {"a": {"command": "${input:key}"}}}, "cannot be asked for"),
    ],
)
def test_a_file_that_is_wrong_is_told_with_the_place(tmp_path, content, phrase):
    with pytest.raises(ConfigError, match=phrase):
        load_mcp_json(write(tmp_path, content))


def test_an_error_in_a_file_shows_no_value_of_it(tmp_path):
    file = write(tmp_path, {"mcpServers": {"a": {"env": {"KEY": ["tok-0123456789"]}}}})
    with pytest.raises(ConfigError) as raised:
        load_mcp_json(file)
    assert "tok-0123456789" not in str(raised.value)


def test_neither_agentkit_nor_the_description_of_a_server_loads_the_mcp_package():
    program = (
        "import sys, agentkit; from agentkit.mcp import MCPServer; MCPServer('x');"
        "print([m for m in ('mcp', 'mcp_types', 'httpx2', 'anyio') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
