"""Tools that run in processes of their own; a worker imports this module."""

import os
import time
from pathlib import Path

from agentkit.tool import Artifact, ToolError, ToolResult, tool


@tool(process=True)
def where() -> int:
    return os.getpid()


@tool(process=True)
def fail(how: str) -> str:
    if how == "tool":
        raise ToolError("not like this")
    if how == "interrupt":
        raise KeyboardInterrupt
    if how == "exit":
        os._exit(7)
    raise ValueError("plain")


@tool(process=True, timeout=0.5)
def spin(path: str) -> None:
    Path(path).write_text(str(os.getpid()))
    while True:
        pass


@tool(process=True)
def big(size: int) -> str:
    return "x" * size


@tool(process=True)
def file() -> ToolResult:
    return ToolResult("made it", artifacts=(Artifact("a.txt", "text/plain", b"a"),))


@tool(process=True, idempotent=True, retries=2)
def flaky(path: str) -> str:
    marks = Path(path)
    with marks.open("a") as out:
        out.write("x")
    if marks.stat().st_size < 2:
        raise ValueError("first time")
    return "second time"


@tool(process=True)
def meet(path: str, count: int) -> int:
    """Wait until so many calls are here."""
    Path(path, str(os.getpid())).touch()
    end = time.monotonic() + 20
    while len([*Path(path).iterdir()]) < count and time.monotonic() < end:
        time.sleep(0.01)
    return len([*Path(path).iterdir()])
