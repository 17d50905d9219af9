"""Content: from what a server answered, as the protocol's JSON, to what a tool returns.

Field names are those of the specification (modelcontextprotocol.io, schema 2025-11-25).
"""

from __future__ import annotations

import base64
import json
import mimetypes
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from agentkit.tool import Artifact, ToolResult

Wire = Mapping[str, Any]
_SHOWN_LINKS = 200


def tool_result(answer: Wire, tool: str, reader: str | None) -> ToolResult:
    """Return the result of tools/call.

    Args:
        answer: a CallToolResult.
        tool: name of the tool, for the names of files.
        reader: the tool that reads resources, to point to; None when there is none.
    """
    blocks = [_block(one, f"{tool}-{n}", reader) for n, one in enumerate(_blocks(answer), 1)]
    texts = [text for text, _ in blocks]
    structured = answer.get("structuredContent")
    if structured is not None and not any(_holds(text, structured) for text in texts):
        texts.append(json.dumps(structured, ensure_ascii=False))
    text = "\n".join(texts) or "The tool returned nothing."
    artifacts = tuple(artifact for _, artifact in blocks if artifact)
    return ToolResult(text, artifacts, ok=not answer.get("isError", False))


def resource_result(answer: Wire) -> ToolResult:
    """Return the contents of resources/read."""
    blocks = [_resource(one, f"resource-{n}") for n, one in enumerate(answer["contents"], 1)]
    text = "\n".join(text for text, _ in blocks) or "The resource is empty."
    return ToolResult(text, tuple(artifact for _, artifact in blocks if artifact))


def prompt_result(answer: Wire, reader: str | None) -> ToolResult:
    """Return the messages of prompts/get, each under its role."""
    parts: list[str] = []
    artifacts: list[Artifact] = []
    for number, message in enumerate(answer["messages"], 1):
        text, artifact = _block(message["content"], f"prompt-{number}", reader)
        parts.append(f"[{message['role']}]\n{text}")
        artifacts += [artifact] if artifact else []
    return ToolResult("\n\n".join(parts) or "The prompt is empty.", tuple(artifacts))


def listing(resources: Iterable[Wire], templates: Iterable[Wire]) -> str:
    """Return resources and templates as lines that a model can choose from."""
    lines = [_line(one, one["uri"]) for one in resources]
    lines += [_line(one, f"{one['uriTemplate']} (fill in the braces)") for one in templates]
    if len(lines) > _SHOWN_LINKS:
        lines[_SHOWN_LINKS:] = [f"- and {len(lines) - _SHOWN_LINKS} more"]
    return "\n".join(lines) or "There are no resources."


def _blocks(answer: Wire) -> list[Wire]:
    return answer.get("content") or []


def _block(block: Wire, name: str, reader: str | None) -> tuple[str, Artifact | None]:
    """Return what the model reads of one content block, and the file that it holds."""
    match block.get("type"):
        case "text":
            return block["text"], None
        case "image" | "audio" as kind:
            return _file(kind, name, block.get("mimeType"), block["data"])
        case "resource":
            return _resource(block["resource"], name)
        case "resource_link":
            how = f" Read it with {reader}." if reader else ""
            return f"[resource link]{how}\n{_line(block, block['uri'])}", None
        case kind:
            return f"[content of the unknown type {kind!r} was left out]", None


def _resource(resource: Wire, name: str) -> tuple[str, Artifact | None]:
    uri = str(resource.get("uri", ""))
    if "blob" in resource:
        own = PurePosixPath(uri.partition("?")[0]).name
        return _file("resource", own or name, resource.get("mimeType"), resource["blob"])
    return f"[resource {uri}]\n{resource.get('text', '')}", None


def _file(kind: str, name: str, media_type: str | None, data: str) -> tuple[str, Artifact | None]:
    media_type = media_type or "application/octet-stream"
    try:
        found = base64.b64decode(data, validate=True)
    except ValueError:
        return f"[{kind} {name} was left out: it is no valid base64]", None
    name = re.sub(r"[^\w.-]", "_", name)[-100:]
    if "." not in name:
        name += mimetypes.guess_extension(media_type.partition(";")[0]) or ".bin"
    said = f"[{kind} saved as the file {name}, {media_type}, {len(found)} bytes]"
    return said, Artifact(name, media_type, found)


def _line(one: Wire, uri: str) -> str:
    words = [str(one[key]) for key in ("title", "name") if one.get(key)][:1]
    words += [str(one["mimeType"])] if one.get("mimeType") else []
    line = f"- {uri}: {', '.join(words)}" if words else f"- {uri}"
    return f"{line}. {one['description']}" if one.get("description") else line


def _holds(text: str, structured: Any) -> bool:
    """Whether a text block says the structured content once more, as the protocol advises."""
    if structured == {"result": text}:  # how Python's servers wrap a plain text
        return True
    try:
        return json.loads(text) in (structured, structured.get("result", structured))
    except (ValueError, AttributeError):
        return False
