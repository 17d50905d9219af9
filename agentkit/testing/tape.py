"""What a cassette holds: recorded requests and answers, as a readable file without secrets."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import orjson

from agentkit.context.cache import PrefixBreak, PrefixCheck

Json = dict[str, Any]

VERSION = 1
REDACTED = "[key]"
_KEPT_HEADERS = frozenset({"content-type", "retry-after"})
_SECRETS = re.compile(
    r"\bsk-[\w-]{16,}"  # OpenAI's and OpenRouter's form
    r"|\b[0-9a-f]{32}\.[A-Za-z0-9]{16}\b"  # Z.ai's id.secret
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"  # a signed token
)


@dataclass(frozen=True, slots=True)
class Interaction:
    """One request and its answer.

    Attributes:
        method: of the request.
        url: of the request; only its path is compared.
        request: the decoded body, or its text when it is no JSON.
        status: of the answer.
        headers: of the answer; only those that change how it is read.
        body: of the answer, streamed or whole, as text.
        broken: how the answer broke off, such as "ReadError"; "" when it came to its end.
    """

    method: str
    url: str
    request: Any
    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    broken: str = ""

    @property
    def key(self) -> tuple[str, str, bytes]:
        """What has to be the same: method, path, and body in canonical JSON."""
        canonical = orjson.dumps(self.request, option=orjson.OPT_SORT_KEYS)
        return self.method, urlsplit(self.url).path, canonical

    def redacted(self, secrets: Iterable[str]) -> Interaction:
        """Return the interaction without these secrets, and without what looks like a key.

        Raises:
            ValueError: a secret is spread over the pieces of a streamed answer, so that it cannot
                be taken out.
        """
        held = [secret for secret in secrets if secret]
        body = self.body
        try:
            text = body.decode()
        except UnicodeDecodeError:
            text = None
        if text is not None:
            body = redact(text, held).encode()
            if any(secret in _streamed(body.decode()) for secret in held):
                raise ValueError(
                    "An answer holds a key in pieces; it is not recorded. Ask for something else, "
                    "or do not put the key into the prompt."
                )
        return replace(
            self,
            url=redact(self.url, held),
            request=json.loads(redact(json.dumps(self.request, ensure_ascii=False), held)),
            headers={
                name.lower(): redact(value, held)
                for name, value in self.headers.items()
                if name.lower() in _KEPT_HEADERS
            },
            body=body,
        )


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return a text without these secrets, and without what looks like a key."""
    for secret in secrets:
        for form in {secret, json.dumps(secret)[1:-1]}:
            text = text.replace(form, REDACTED)
    return _SECRETS.sub(REDACTED, text)


def _streamed(text: str) -> str:
    """Return what all deltas of a stream say, joined."""
    found: list[str] = []
    for line in text.splitlines():
        if line.startswith("data: {"):
            try:
                found += _strings(orjson.loads(line[6:]).get("choices"))
            except orjson.JSONDecodeError:
                continue
    return "".join(found)


def _strings(value: Any) -> Iterator[str]:
    """Yield the texts in a choice, without its labels."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in cast("Json", value).items():
            if name not in {"id", "role", "type", "finish_reason"}:
                yield from _strings(inner)
    elif isinstance(value, list):
        for inner in cast("list[Any]", value):
            yield from _strings(inner)


def load(path: Path) -> list[Interaction]:
    """Read a file that `save` wrote.

    Raises:
        ValueError: the file is no cassette, or was written by a newer version.
    """
    try:
        data = orjson.loads(path.read_bytes())
        if data["version"] != VERSION:
            raise ValueError(f"{path}: version {data['version']}, expected {VERSION}.")
        return [_decode(item) for item in data["interactions"]]
    except (orjson.JSONDecodeError, KeyError, TypeError, binascii.Error) as error:
        raise ValueError(f"{path} is no cassette ({error!r}). Delete it to record anew.") from error


def save(path: Path, interactions: Sequence[Interaction]) -> None:
    """Write interactions as indented JSON; a reader never sees half a file."""
    data = {"version": VERSION, "interactions": [_encode(item) for item in interactions]}
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{os.getpid()}")
    half.write_bytes(orjson.dumps(data, option=orjson.OPT_INDENT_2) + b"\n")
    half.replace(path)


def _encode(item: Interaction) -> Json:
    response: Json = {"status": item.status, "headers": dict(item.headers)}
    try:
        value = orjson.loads(item.body)
    except orjson.JSONDecodeError:
        value = None
    if value is not None and orjson.dumps(value) == item.body:
        response["json"] = value
    else:
        try:
            response["lines"] = item.body.decode().split("\n")
        except UnicodeDecodeError:
            response["base64"] = base64.b64encode(item.body).decode()
    if item.broken:
        response["broken"] = item.broken
    return {
        "request": {"method": item.method, "url": item.url, "body": item.request},
        "response": response,
    }


def _decode(data: Json) -> Interaction:
    request, response = data["request"], data["response"]
    if "json" in response:
        body = orjson.dumps(response["json"])
    elif "lines" in response:
        body = "\n".join(response["lines"]).encode()
    else:
        body = base64.b64decode(response["base64"])
    return Interaction(
        request["method"],
        request["url"],
        request["body"],
        response["status"],
        response["headers"],
        body,
        response.get("broken", ""),
    )


def prefix_breaks(interactions: Iterable[Interaction]) -> list[tuple[int, PrefixBreak]]:
    """Return which requests do not begin as the request before them in their conversation.

    A conversation is what has the same model and the same first user message; a request that
    begins it anew is none the worse. Give it any recording: an empty list means that the prefix,
    and so the provider's cache, was stable.
    """
    found: list[tuple[int, PrefixBreak]] = []
    conversations: dict[tuple[str, bytes], list[_Prompt]] = {}
    for number, item in enumerate(interactions, 1):
        request: Any = item.request
        if not isinstance(request, dict) or "messages" not in request:
            continue
        prompt = _Prompt.of(cast("Json", request))
        before = conversations.setdefault(prompt.conversation, [])
        continued = max(
            (old for old in before if prompt.continues(old)),
            key=lambda old: len(old.messages),
            default=None,
        )
        if continued is None and before and not any(old.continues(prompt) for old in before):
            check = PrefixCheck()
            check.check(before[-1].tools, before[-1].messages)
            moved = check.check(prompt.tools, prompt.messages)
            assert moved is not None
            found.append((number, moved))
        before.append(prompt)
    return found


@dataclass(frozen=True, slots=True)
class _Prompt:
    conversation: tuple[str, bytes]
    tools: bytes
    messages: tuple[bytes, ...]

    @classmethod
    def of(cls, request: Json) -> _Prompt:
        messages = tuple(
            orjson.dumps(message, option=orjson.OPT_SORT_KEYS) for message in request["messages"]
        )
        user = (raw for raw in messages if orjson.loads(raw).get("role") == "user")
        conversation = (str(request.get("model")), next(user, b""))
        return cls(conversation, orjson.dumps(request.get("tools") or []), messages)

    def continues(self, old: _Prompt) -> bool:
        return self.tools == old.tools and self.messages[: len(old.messages)] == old.messages
