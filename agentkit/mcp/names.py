"""Names: what the model calls a server's tools, and what is kept out of sight."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from urllib.parse import parse_qsl, urlsplit

LONGEST = 64
_FORBIDDEN = re.compile(r"[^a-zA-Z0-9_-]")
_NOISE = re.compile(r"^(mcp-server-|server-|mcp-)|(-mcp-server|-server|-mcp)$")
_STEP = {"dlx", "exec", "run", "tool", "x"}  # what a runner is told before the server's name
_TOKEN = re.compile(r"(?=.*\d)[\w.+=-]{16,}")
_SECRET_NAME = re.compile(r"key|token|secret|passw|auth|credential|cookie", re.IGNORECASE)
_SHORTEST_SECRET = 8
"""Characters below which a value is no secret but a word that may stand anywhere."""


def tool_name(server: str, tool: str) -> str:
    """Return `server__tool` in the characters and the length that GLM takes.

    A name that had to be changed ends in a hash of the whole, so that two long names stay two
    and the same name is the same in every run.
    """
    whole = f"{server}__{tool}"
    name = _FORBIDDEN.sub("_", whole)
    if name == whole and len(name) <= LONGEST:
        return name
    digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
    return f"{name[: LONGEST - len(digest) - 1]}_{digest}"


def server_name(command: Iterable[str], url: str | None) -> str:
    """Return a short name from a command line or an address.

    `npx -y @modelcontextprotocol/server-everything@latest` is "everything", `python -m
    mcp_server_time` "time", http://tools.example.com/mcp "tools.example.com".
    """
    if url is not None:
        name = urlsplit(url).hostname or "mcp"
        return _FORBIDDEN.sub("-", name)
    program, *rest = command
    # A runner is not the server: the first word after `npx`, `uvx run` or `python -m` is.
    words = [word for word in rest if not word.startswith("-") and word not in _STEP]
    chosen = words[0] if words and _is_runner(program) else program
    plain = PurePath(chosen.rpartition("/")[2] or chosen)
    stem = plain.stem if plain.suffix in (".py", ".js", ".mjs", ".ts", ".exe") else plain.name
    stem = stem.split("@")[0].replace("_", "-")
    return _FORBIDDEN.sub("-", _NOISE.sub("", stem) or stem) or "mcp"


def secrets(env: Mapping[str, str], headers: Mapping[str, str], url: str | None) -> frozenset[str]:
    """Return the values that no error, log or result may show."""
    found = {
        value for name, value in env.items() if _SECRET_NAME.search(name) or _TOKEN.fullmatch(value)
    }
    found |= {urlsplit(value).password or "" for value in env.values() if "://" in value}
    # "Bearer KEY": the key alone is the secret too.
    found |= {part for value in headers.values() for part in (value, *value.split())}
    if url is not None:
        parts = urlsplit(url)
        found |= {value for _, value in parse_qsl(parts.query)}
        found |= {parts.password or "", parts.username or ""}
    return frozenset(value for value in found if len(value) >= _SHORTEST_SECRET)


def hide(text: str, hidden: Iterable[str]) -> str:
    """Return a text with every one of the hidden values blotted out."""
    for value in sorted(hidden, key=len, reverse=True):
        text = text.replace(value, "***")
    return text


def plain_url(url: str) -> str:
    """Return an address without user, password, query and fragment."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"


def _is_runner(program: str) -> bool:
    name = PurePath(program).name
    return bool(re.fullmatch(r"npx|npm|pnpm|bunx?|node|deno|uvx?|pipx|docker|python[\d.]*", name))
