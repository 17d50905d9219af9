"""A regular expression over the lines of texts, with a deadline that holds."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

WORKER = Path(__file__).with_name("grep_worker.py")


class InvalidPattern(Exception):
    """The pattern is no regular expression; the message says where it goes wrong."""


@dataclass(frozen=True, slots=True)
class Match:
    """One line that matches.

    Attributes:
        document: id of the text.
        line: its number, from 1.
        text: the line, cut around the match when it is long.
    """

    document: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Matches:
    """What was found.

    Attributes:
        found: in order of document and line.
        timed_out: the deadline came before the end: there may be more.
    """

    found: tuple[Match, ...]
    timed_out: bool


def grep(texts: Iterable[tuple[str, str]], pattern: str, limit: int, seconds: float) -> Matches:
    """Search texts for lines that match, at most `limit` of them. It blocks until then.

    Args:
        texts: id and text of each; taken in another thread, one after the other.
        pattern: Python syntax; ignores case if it has no capital letter.
        limit: matches after which the search ends.
        seconds: deadline for all of it.

    Raises:
        InvalidPattern: the pattern cannot be compiled.
    """
    # -I and -S keep the start to 15 ms and the environment out of it.
    process = subprocess.Popen(  # noqa: S603 - our own file, no shell
        [sys.executable, "-I", "-S", str(WORKER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="ascii",
    )
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        process.kill()

    timer = threading.Timer(seconds, expire)
    timer.start()
    feeder = threading.Thread(target=_feed, args=(process, texts, pattern, limit), daemon=True)
    try:
        feeder.start()
        assert process.stdout is not None
        answers: list[Any] = [json.loads(line) for line in process.stdout if line.endswith("\n")]
    finally:
        timer.cancel()
        process.kill()
        feeder.join()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    if answers and isinstance(answers[0], dict):
        raise InvalidPattern(cast("dict[str, str]", answers[0])["error"])
    return Matches(tuple(Match(*answer) for answer in answers), expired.is_set())


def _feed(
    process: subprocess.Popen[str],
    texts: Iterable[tuple[str, str]],
    pattern: str,
    limit: int,
) -> None:
    """Write the request; the worker may stop reading at any time."""
    literal = re.sub(r"\\.", "", pattern)  # the capital in \\S or \\W says nothing about case
    request = {"pattern": pattern, "ignore_case": literal == literal.lower(), "limit": limit}
    assert process.stdin is not None
    try:
        with process.stdin as stdin:
            stdin.write(json.dumps(request) + "\n")
            for document, text in texts:
                stdin.write(f"{json.dumps(document)}\n{json.dumps(text)}\n")
    except (BrokenPipeError, ValueError):
        return
