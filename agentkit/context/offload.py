"""Offload at ingest: a large text goes to a blob, the prompt shows its head, tail and matches.

Nothing is lost: the blob holds the text as it was; its sha256 is the handle for `read_result`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from agentkit.context.context import Context
from agentkit.context.policy import Offload
from agentkit.context.prices import price_ratio
from agentkit.events import Body, Offloaded, ToolFinished, ToolStarted, UserMessage
from agentkit.messages import plain_text

PutBlob = Callable[[bytes], Awaitable[str]]
"""Keeps bytes and returns their sha256."""

SHORT = 12
"""Hex digits of a handle where many stand in a prompt."""

_HEAD, _MATCHES = 0.5, 0.25  # shares of a preview; the rest is its tail
_LONGEST_LINE = 400  # characters of one line in a preview
_WINDOW = 0.5  # share of the window that one message of the user may fill
_LONGEST_ROW = 2_000  # characters of a line before it counts as two
_STANDS = 15  # turns that a result stands before it is cleared, about
_PRIOR, _WEIGHT = 0.75, 4  # share of previews that are opened, before a run has shown its own
_WORD = re.compile(r"[^\W\d_][\w.-]{3,}")
_TROUBLE = ("error", "exception", "traceback", "failed", "fatal", "warning")


async def ingest(context: Context, bodies: Sequence[Body], put: PutBlob) -> list[Body]:
    """Return the events to log in place of these: large texts offloaded, in front of their event.

    Args:
        context: of the run, for its policy and for what it has seen.
        bodies: about to be logged.
        put: keeps a blob; it is on disk before the event that names it.
    """
    policy = context.policy.offload
    if policy is None:
        return list(bodies)
    done: list[Body] = []
    hints: dict[str, ToolStarted] = {}
    for body in bodies:
        match body:
            case ToolStarted():
                hints[body.call_id] = body
                done.append(body)
            case ToolFinished():
                done += await _result(context, policy, body, hints.get(body.call_id), put)
            case UserMessage():
                done += await _message(context, policy, body, put)
            case _:
                done.append(body)
    return done


async def _result(
    context: Context, policy: Offload, body: ToolFinished, start: ToolStarted | None, put: PutBlob
) -> list[Body]:
    if policy.logged is not None:
        note = policy.logged.get(body.call_id)
        return [note, body] if note else [body]
    if len(body.content) < policy.unchanged:  # no text of so few characters has more tokens
        return [body]
    data = body.content.encode(errors="replace")
    tokens = context.estimate.of(len(data))
    repeats = body.status == "ok" and tokens >= policy.unchanged and body.name != "read_result"
    if repeats:
        handle = hashlib.sha256(data).hexdigest()
        if earlier := context.ledger.standing.get(handle):
            await put(data)
            said = f"[unchanged: the same as the result of an earlier {body.name}, which still "
            said += f"stands above; its handle is {handle[:SHORT]}]"
            note = Offloaded(
                call_id=body.call_id, handle=handle, size=len(data), tokens=tokens, same_as=earlier
            )
            return [note, replace(body, content=said)]
    limit = policy.limit if body.status == "ok" else policy.error_limit
    if body.name in policy.paged:
        limit = max(limit, policy.paged_limit)
    if tokens <= limit or not _pays(context, policy, tokens):
        return [body]
    handle = await put(data)
    known = context.ledger.calls.get(body.call_id)
    given = " ".join(map(str, start.arguments.values())) if start else known and known.arguments
    shown = Shown(body.content, handle, tokens, readable=context.is_readable)
    content = shown.preview(round(policy.preview * context.estimate.ratio), given or "")
    note = Offloaded(call_id=body.call_id, handle=handle, size=len(data), tokens=tokens)
    return [note, replace(body, content=content)]


def _pays(context: Context, policy: Offload, tokens: int) -> bool:
    """Say whether a preview is expected to cost less than the whole result.

    A preview saves tokens in this prompt and, at the cached price, in those to come. One that is
    opened costs a turn more, and so the whole prompt once more, and the page that it shows. The
    first of a run makes the prompt lose its cache, since `read_result` joins the tools.
    """
    weight = price_ratio(context.price) + _STANDS
    shown = context.ledger.previews
    rate = (_PRIOR * _WEIGHT + sum(shown.values())) / (_WEIGHT + len(shown))
    again = context.tokens + min(tokens, policy.page) * weight
    joins = context.tokens * (price_ratio(context.price) - 1) if context.is_joining else 0.0
    return (tokens - policy.preview) * weight > rate * again + joins


async def _message(
    context: Context, policy: Offload, body: UserMessage, put: PutBlob
) -> list[Body]:
    text = plain_text(body.content)
    data = text.encode(errors="replace")
    tokens = context.estimate.of(len(data))
    limit = min(policy.user_limit, round(context.window * _WINDOW) if context.window else 10**9)
    if tokens <= limit or not context.is_readable or not isinstance(body.content, str):
        return [body]  # without `read_result` a part would be all that the model ever sees
    handle = await put(data)
    shown = Shown(text, handle, tokens, readable=context.is_readable, what="message of the user")
    size = round(policy.preview * 4 * context.estimate.ratio)
    note = Offloaded(
        call_id="", handle=handle, size=len(data), tokens=tokens, preview=shown.preview(size)
    )
    return [note, body]


@dataclass(frozen=True, slots=True)
class Shown:
    """A large text and the part of it that is shown.

    Attributes:
        text: the whole.
        handle: sha256 of it.
        tokens: its estimated tokens.
        readable: whether the run has `read_result` to open it.
        what: what the text is.
    """

    text: str
    handle: str
    tokens: int
    readable: bool = True
    what: str = "result"

    def preview(self, size: int, given: str = "") -> str:
        """Return its head, its tail and lines that match.

        Args:
            size: characters that the preview has about.
            given: the call's arguments; their words are what matching lines match.
        """
        lines = rows(self.text)
        head = _take(lines, 0, round(size * _HEAD))
        tail = _take(lines, len(lines), round(size * (1 - _HEAD - _MATCHES)), backwards=True)
        head_end, tail_start = len(head), max(len(lines) - len(tail), len(head))
        matches = _matching(lines, range(head_end, tail_start), given, round(size * _MATCHES))
        how = opening(self.handle, readable=self.readable)
        size_said = f"{len(lines):,} lines, about {self.tokens:,} tokens"
        parts = [f"[large {self.what}: {size_said}, shown in part; {how}]"]
        parts += [f"[lines 1 to {head_end}]", *head]
        if matches:
            parts += ["[lines between that match]", *matches]
        if tail_start < len(lines):
            parts += [f"[lines {tail_start + 1:,} to {len(lines):,}]", *tail[-len(lines) :]]
        return "\n".join(parts)


def rows(text: str) -> list[str]:
    """Return the lines of a text as previews and `read_result` number them.

    A line too long to be shown counts as several, so that every part of it can be asked for.
    """
    return [
        line[at : at + _LONGEST_ROW]
        for line in text.splitlines()
        for at in range(0, max(len(line), 1), _LONGEST_ROW)
    ]


def opening(handle: str, *, readable: bool) -> str:
    """Return how a model is told to open a blob."""
    return f'read_result("{handle}") opens it' if readable else f"kept as sha256 {handle}"


def _take(lines: Sequence[str], at: int, size: int, *, backwards: bool = False) -> list[str]:
    found: list[str] = []
    indexes = range(at - 1, -1, -1) if backwards else range(at, len(lines))
    for index in indexes:
        line = _clip(lines[index])
        size -= len(line) + 1
        if size < 0 and found:
            break
        found.append(line)
    return found[::-1] if backwards else found


def _matching(lines: Sequence[str], where: range, given: str, size: int) -> list[str]:
    words = {word.lower() for word in _WORD.findall(given)}
    ranked: list[tuple[int, int]] = []
    for index in where:
        low = lines[index].lower()
        hits = sum(word in low for word in words)
        if hits or any(word in low for word in _TROUBLE):
            ranked.append((-hits, index))
    found: list[tuple[int, str]] = []
    for _, index in sorted(ranked):
        line = f"{index + 1}: {_clip(lines[index].strip())}"
        size -= len(line) + 1
        if size < 0:
            break
        found.append((index, line))
    return [line for _, line in sorted(found)]


def _clip(line: str) -> str:
    if len(line) <= _LONGEST_LINE:
        return line
    half = _LONGEST_LINE // 2
    return f"{line[:half]} [...{len(line) - 2 * half:,} characters...] {line[-half:]}"
