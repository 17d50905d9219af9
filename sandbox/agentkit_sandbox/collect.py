"""Puts the frames of one answer together, as data of an enemy: every type and size is checked."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, cast, get_args

from agentkit_sandbox.base import (
    ExecResult,
    File,
    FileEntry,
    Listing,
    SandboxPolicy,
    Status,
)
from agentkit_sandbox.names import media_type, safe_name, unique
from agentkit_sandbox.policy import MIB
from agentkit_sandbox.protocol import Frame, ProtocolFault

TAIL: Final = 64 * 1024
MAX_SKIPPED: Final = 50
MAX_REASON: Final = 200


class Artifacts:
    """Files on their way out, within the caps of a policy.

    Attributes:
        files: those that have arrived whole.
    """

    def __init__(self, policy: SandboxPolicy) -> None:
        self.files: list[File] = []
        self._policy = policy
        self._bytes = 0
        self._open = bytearray()

    def take(self, frame: Frame) -> None:
        """Add one piece of a file.

        Raises:
            ProtocolFault: it is above a cap.
        """
        policy = self._policy
        if frame.header.get("drop") is True:
            self._bytes -= len(self._open)
            self._open.clear()
            return
        self._bytes += len(frame.body)
        self._open += frame.body
        require(len(self._open) <= policy.artifact_mb * MIB, "a file above the cap of its size")
        require(len(self.files) < policy.artifacts, "more files than their cap")
        require(self._bytes <= policy.artifacts_mb * MIB, "files above the cap of their sum")
        if frame.header.get("more") is True:
            return
        data, self._open = bytes(self._open), bytearray()
        name = safe_name(string(frame.header, "name") or "")
        name = unique(name, {file.name for file in self.files})
        self.files.append(File(name, media_type(name, data), data))


class Output:
    """What one stream has brought: kept up to a cap, and told as text while it comes."""

    def __init__(self, cap: int, listener: Callable[[str], None] | None) -> None:
        self._cap, self._listener = cap, listener
        self._data = bytearray()
        # Pieces are cut anywhere, also in the middle of a character.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def take(self, data: bytes, missing: Any) -> None:
        """Add a piece, and how many bytes are missing before it.

        Raises:
            ProtocolFault: there is more than the cap allows.
        """
        if isinstance(missing, int) and missing > 0:
            self._data += f"\n… {missing} bytes left out …\n".encode()
        self._data += data
        require(len(self._data) <= self._cap, "more output than its cap")
        if self._listener is not None and (text := self._decoder.decode(data)):
            self._listener(text)

    def text(self) -> str:
        """Return all of it."""
        return self._data.decode("utf-8", "replace")


class Collected:
    """The frames of one call, until the last of them makes a result."""

    def __init__(self, policy: SandboxPolicy, listener: Callable[[str], None] | None) -> None:
        cap = policy.output_kb * 1024 + TAIL + 200
        self._streams = {name: Output(cap, listener) for name in ("stdout", "stderr")}
        self._artifacts = Artifacts(policy)

    def take(self, frame: Frame) -> ExecResult | None:
        """Add one frame; return the result when it was the last.

        Raises:
            ProtocolFault: it is no frame of a call, or above a cap.
        """
        match frame.header.get("op"):
            case "output":
                stream = self._streams.get(string(frame.header, "stream") or "")
                if stream is None:
                    raise ProtocolFault("it sent output of an unknown stream")
                stream.take(frame.body, frame.header.get("missing"))
            case "artifact":
                self._artifacts.take(frame)
            case "done":
                return self._result(frame.header)
            case other:
                raise ProtocolFault(f"it sent an unknown frame {other!r:.40}")
        return None

    def _result(self, header: Mapping[str, Any]) -> ExecResult:
        status: Any = header.get("status")
        require(status in get_args(Status), "an unknown status")
        code = header.get("exit_code")
        return ExecResult(
            status=status,
            stdout=self._streams["stdout"].text(),
            stderr=self._streams["stderr"].text(),
            value=string(header, "value"),
            error=string(header, "error"),
            exit_code=code if type(code) is int and 0 <= code <= 255 else None,
            detail=string(header, "detail") or "",
            state_lost=header.get("state_lost") is True,
            artifacts=tuple(self._artifacts.files),
            skipped=_pairs(header.get("skipped")),
            seconds=_seconds(header.get("seconds")),
        )


def listing(frame: Frame) -> Listing:
    """Read the answer to "list".

    Raises:
        ProtocolFault: it is no list of names and sizes.
    """
    try:
        value: Any = json.loads(frame.body)
    except (ValueError, RecursionError):
        raise ProtocolFault("it sent a listing that is not JSON") from None
    require(isinstance(value, list), "a listing that is no list")
    files: list[FileEntry] = []
    for pair in cast("list[Any]", value):
        match pair:
            case [str(name), int(size)]:
                files.append(FileEntry(_plain(name), size))
            case _:
                raise ProtocolFault("it sent a listed file without name and size")
    return Listing(tuple(files), complete=frame.header.get("complete") is True)


def require(condition: bool, what: str) -> None:  # noqa: FBT001 (reads like assert)
    """Raise ProtocolFault unless the condition holds."""
    if not condition:
        raise ProtocolFault(f"it sent {what}")


def expect(frame: Frame, operation: str) -> None:
    """Raise ProtocolFault unless the frame is of this kind."""
    require(frame.header.get("op") == operation, f"no {operation} frame")


def string(header: Mapping[str, Any], key: str) -> str | None:
    """Return a field that is text, else None."""
    value = header.get(key)
    return _plain(value) if isinstance(value, str) else None


def _plain(text: str) -> str:
    """Replace what no UTF-8 file or socket would take: halves of a surrogate pair."""
    return text.encode("utf-8", "replace").decode()


def _seconds(value: Any) -> float:
    # Only a number between these; nan and a huge integer are none.
    return float(value) if isinstance(value, (int, float)) and 0 <= value <= 1e9 else 0.0


def _pairs(value: Any) -> tuple[tuple[str, str], ...]:
    pairs: list[tuple[str, str]] = []
    listed = cast("list[Any]", value) if isinstance(value, list) else []
    for pair in listed[:MAX_SKIPPED]:
        match pair:
            case [str(name), str(reason)]:
                pairs.append((safe_name(name), _plain(reason[:MAX_REASON])))
            case _:
                raise ProtocolFault("it sent a skipped file without name and reason")
    return tuple(pairs)
