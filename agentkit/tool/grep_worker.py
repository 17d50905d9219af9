"""Matches a pattern line by line in a process of its own, so that it can be stopped.

Python's `re` cannot be interrupted, and a pattern such as `(a+)+$` runs for years. The caller
kills this process at its deadline. Standard library only; run by path, not imported.

Standard input: one JSON line {"pattern", "ignore_case", "limit"}, then for each document one JSON
line with its id and one with its text. Standard output: JSON lines, {"error"} or [id, line, text].
"""

from __future__ import annotations

import json
import re
import resource
import sys

MEMORY = 1_000_000_000
LONGEST = 500


def main() -> None:
    """Answer one request."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    request = json.loads(sys.stdin.readline())
    flags = re.IGNORECASE if request["ignore_case"] else 0
    try:
        pattern: re.Pattern[str] = re.compile(request["pattern"], flags)
    except (re.error, OverflowError, RecursionError, MemoryError) as error:
        say({"error": str(error) or type(error).__name__})
        return
    left = request["limit"]
    while left and (name := sys.stdin.readline()):
        document = json.loads(name)
        for number, line in enumerate(json.loads(sys.stdin.readline()).split("\n"), start=1):
            if found := pattern.search(line):
                say([document, number, clipped(line, found.start())])
                left -= 1
                if not left:
                    break


def clipped(line: str, at: int) -> str:
    """Cut a long line around the match."""
    if len(line) <= LONGEST:
        return line
    begin = max(0, min(at - LONGEST // 4, len(line) - LONGEST))
    left, right = "…" if begin else "", "…" if begin + LONGEST < len(line) else ""
    return f"{left}{line[begin : begin + LONGEST]}{right}"


def say(answer: object) -> None:
    """Print one line at once: what was found before a kill is kept."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
