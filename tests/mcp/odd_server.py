"""An MCP server over stdio that misbehaves on request; the standard library only.

Usage: odd_server.py MODE [FILE]. It appends what it was told to FILE, one JSON value a line.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

MODE, FILE = sys.argv[1], (sys.argv[2:] or [os.devnull])[0]
TOOLS = [
    {
        "name": "echo",
        "description": "Echo.",
        "inputSchema": {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "properties": {
                "text": {"type": "string"},
                "pair": {"type": "array", "items": [{"type": "integer"}, {"type": "string"}]},
            },
            "required": ["text"],
        },
        "annotations": {"readOnlyHint": True},
    },
    {
        "name": "modern",
        "inputSchema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "pair": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}]}
            },
        },
    },
    {"name": "die", "inputSchema": {"type": "object"}},
    {"name": "sleep", "inputSchema": {"type": "object"}},
    {"name": "fail", "inputSchema": {"type": "object"}},
    {"name": "content", "inputSchema": {"type": "object"}},
    {"name": "change_list", "inputSchema": {"type": "object"}},
    {
        "name": "far reference",
        "inputSchema": {
            "type": "object",
            "properties": {"x": {"$ref": "http://127.0.0.1:9/schema.json"}},
        },
    },
]
PNG = "iVBORw0KGgo="


def note(value):
    with Path(FILE).open("a") as file:
        file.write(json.dumps(value) + "\n")


def send(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def call(request, name, arguments):
    if name == "die":
        os._exit(3)
    if name == "sleep":
        return  # the answer never comes
    if name == "change_list":
        TOOLS.append({"name": "added", "inputSchema": {"type": "object"}})
        send({"method": "notifications/tools/list_changed"})
    content = [{"type": "text", "text": json.dumps(arguments)}]
    answer = {"content": content}
    if name == "fail":
        answer = {"content": [{"type": "text", "text": "no such city"}], "isError": True}
    if name == "content":
        answer = {
            "content": [
                {"type": "text", "text": os.environ.get("SOME_TOKEN", "unset")},
                {"type": "image", "data": PNG, "mimeType": "image/png"},
                {"type": "audio", "data": "not base64!", "mimeType": "audio/wav"},
                {
                    "type": "resource",
                    "resource": {
                        "uri": "file:///a/../../b%2F.bin",
                        "mimeType": "x/y",
                        "blob": "AAEC",
                    },
                },
                {"type": "resource", "resource": {"uri": "note://1", "text": "a note"}},
                {
                    "type": "resource_link",
                    "uri": "note://2",
                    "name": "two",
                    "description": "Second.",
                },
            ],
            "structuredContent": {"n": 1},
        }
    send({"id": request, "result": answer})


def lists(method, params):
    tools = TOOLS
    if MODE == "twice":
        tools = [*TOOLS, TOOLS[0]]
    if MODE == "no_object":
        tools = [*TOOLS, {"name": "text", "inputSchema": {"type": "string"}}]
    at = int(params.get("cursor", 0))
    more = {"nextCursor": str(at + 4)} if at + 4 < len(tools) else {}
    return {"tools": tools[at : at + 4], **more}


def begin():
    if MODE == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if MODE in ("stubborn", "family"):
        ignore = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
        child = subprocess.Popen([sys.executable, "-c", ignore])
        note({"pids": [os.getpid(), child.pid]})
    if MODE == "slow_again":
        again = Path(FILE).exists()
        note({"begun": True})
        time.sleep(1 if again else 0)
    if MODE == "silent":
        time.sleep(600)
    if MODE == "broken":
        sys.exit(f"cannot start with {os.environ.get('SOME_TOKEN')}")
    print("ready", file=sys.stderr, flush=True)
    print("a log line where only messages belong", flush=True)
    note({"started": True})


def main():
    begin()
    for line in sys.stdin:
        message = json.loads(line)
        method, params = message.get("method"), message.get("params") or {}
        note({"method": method, "name": params.get("name"), "request": params.get("requestId")})
        if method == "initialize":
            send(
                {
                    "id": message["id"],
                    "result": {
                        "protocolVersion": params["protocolVersion"],
                        "capabilities": {"tools": {}},
                        "serverInfo": {"name": "odd", "version": "1"},
                    },
                }
            )
        elif method == "tools/list":
            send({"id": message["id"], "result": lists(method, params)})
        elif method == "tools/call":
            call(message["id"], params["name"], params.get("arguments") or {})
        elif "id" in message:
            send({"id": message["id"], "error": {"code": -32601, "message": "no such method"}})
    while MODE == "stubborn":
        threading.Event().wait(1)


main()
