"""Failures that change how it is said: the shape of deltas, the order of chunks, the bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import orjson

from agentkit.testing.failure import failure
from agentkit.testing.script import Json

_DONE = b"data: [DONE]\n\n"


def _calls(piece: Json) -> list[Json]:
    return cast("list[Json]", piece.get("tool_calls") or [])


def _deltas(chunks: list[Json]) -> Iterator[Json]:
    return (choice["delta"] for chunk in chunks for choice in chunk["choices"])


@failure("piece", 18)
def ids_missing(piece: Json) -> Json:
    """Calls come without an id (anomalyco/opencode#2557)."""
    for call in _calls(piece):
        call.pop("id", None)
    return piece


@failure("piece", 18)
def ids_are_numbers(piece: Json) -> Json:
    """Ids are numbers (anomalyco/opencode#2557)."""
    for call in _calls(piece):
        if "id" in call:
            call["id"] = 7000 + call["index"]
    return piece


@failure("piece", 27)
def ids_alike(piece: Json) -> Json:
    """All calls have the same id."""
    for call in _calls(piece):
        if "id" in call:
            call["id"] = "call_0"
    return piece


@failure("piece")
def indexes_alike(piece: Json) -> Json:
    """All calls come on index 0, each with its own id."""
    for call in _calls(piece):
        call["index"] = 0
    return piece


@failure("piece")
def indexes_missing(piece: Json) -> Json:
    """Calls come without an index."""
    for call in _calls(piece):
        call.pop("index", None)
    return piece


@failure("piece")
def arguments_as_object(piece: Json) -> Json:
    """Arguments are an object, as Z.ai's schema documents them."""
    for call in _calls(piece):
        call["function"]["arguments"] = orjson.loads(call["function"]["arguments"] or "{}")
    return piece


@failure("piece")
def null_contents(piece: Json) -> Json:
    """Fields that have nothing to say are null (OpenRouter)."""
    names = ("content", "reasoning_content", "tool_calls", "refusal")
    return {**dict.fromkeys(names), **piece}


@failure("piece")
def thinking_as_reasoning(piece: Json) -> Json:
    """Thinking comes as `reasoning` (OpenRouter, vLLM since January 2026)."""
    if "reasoning_content" in piece:
        piece["reasoning"] = piece.pop("reasoning_content")
    return piece


@failure("piece")
def content_in_parts(piece: Json) -> Json:
    """Content is a list of parts."""
    if piece.get("content"):
        piece["content"] = [{"type": "text", "text": piece["content"]}]
    return piece


@failure("chunks", 16)
def cut_at_inner_tag(chunks: list[Json]) -> list[Json]:
    """A value ends at a closing tag of its own; its rest comes as text (vllm-project/639)."""
    for at, chunk in enumerate(chunks):
        for call in _calls(chunk["choices"][0]["delta"]):
            given = cast("Json", orjson.loads(call["function"]["arguments"]))
            key = list(given)[-1]
            given[key], _, rest = given[key].partition("</arg_value>")
            call["function"]["arguments"] = orjson.dumps(given).decode()
            delta = {"content": f"{rest}</arg_value></tool_call>"}
            left = {**chunk, "choices": [{"index": 0, "delta": delta}]}
            return [*chunks[: at + 1], left, *chunks[at + 1 :]]
    return chunks


@failure("chunks", 20)
def empty_arguments_without_finish(chunks: list[Json]) -> list[Json]:
    """Arguments are `{}` and no finish reason comes (CommandCodeAI/command-code#791)."""
    for delta in _deltas(chunks):
        for call in _calls(delta):
            call["function"]["arguments"] = "{}"
    return chunks[:-1]


@failure("chunks")
def no_finish_reason(chunks: list[Json]) -> list[Json]:
    """The stream ends with [DONE], but no finish reason came."""
    del chunks[-1]["choices"][0]["finish_reason"]
    return chunks


@failure("chunks")
def arguments_repeated(chunks: list[Json]) -> list[Json]:
    """The last delta repeats all of the arguments."""
    for at in range(len(chunks) - 1, -1, -1):
        if calls := _calls(chunks[at]["choices"][0]["delta"]):
            index = calls[0]["index"]
            pieces = [
                call["function"]["arguments"]
                for delta in _deltas(chunks)
                for call in _calls(delta)
                if call["index"] == index
            ]
            function = {"arguments": "".join(pieces)}
            delta = {"tool_calls": [{"index": index, "function": function}]}
            again = {**chunks[at], "choices": [{"index": 0, "delta": delta}]}
            return [*chunks[: at + 1], again, *chunks[at + 1 :]]
    return chunks


@failure("chunks")
def two_finishes(chunks: list[Json]) -> list[Json]:
    """Two chunks carry the finish reason, the second one the usage (OpenRouter)."""
    first = {name: value for name, value in chunks[-1].items() if name != "usage"}
    return [*chunks[:-1], first, chunks[-1]]


@failure("chunks")
def usage_alone(chunks: list[Json]) -> list[Json]:
    """Usage comes after the finish, in a chunk with empty choices (OpenAI, vLLM)."""
    usage = chunks[-1].pop("usage")
    return [*chunks, {**chunks[-1], "choices": [], "usage": usage}]


@failure("chunks")
def usage_in_choice(chunks: list[Json]) -> list[Json]:
    """Usage stands inside the choice."""
    chunks[-1]["choices"][0]["usage"] = chunks[-1].pop("usage")
    return chunks


@failure("chunks")
def usage_missing(chunks: list[Json]) -> list[Json]:
    """No chunk has a usage."""
    chunks[-1].pop("usage")
    return chunks


@failure("chunks")
def empty_choices(chunks: list[Json]) -> list[Json]:
    """Chunks with empty, null and no choices stand between the others."""
    bare = {name: value for name, value in chunks[0].items() if name not in {"choices", "usage"}}
    empty: list[Json] = [{**bare, "choices": []}, {**bare, "choices": None}, bare]
    return [one for chunk in chunks for one in (*empty, chunk)]


@failure("chunks")
def objects_missing(chunks: list[Json]) -> list[Json]:
    """Chunks have neither `object` nor `created` nor `id`."""
    return [
        {name: value for name, value in chunk.items() if name in {"choices", "usage"}}
        for chunk in chunks
    ]


@failure("frames")
def comments(frames: list[bytes]) -> list[bytes]:
    """Comments, event names and ids stand between the events (OpenRouter)."""
    return [
        part
        for frame in frames
        for part in (b": PROCESSING\n\n", b"event: message\nid: 1\n", frame)
    ]


@failure("frames")
def crlf(frames: list[bytes]) -> list[bytes]:
    """Lines end in CRLF."""
    return [frame.replace(b"\n", b"\r\n") for frame in frames]


@failure("frames")
def no_done(frames: list[bytes]) -> list[bytes]:
    """The stream ends after the finish reason, without [DONE]."""
    return [frame for frame in frames if frame != _DONE]


@failure("frames", 21)
def glued_frames(frames: list[bytes]) -> list[bytes]:
    """The third event is cut in the middle, and the fourth begins on its line (GLM-5#66)."""
    if len(frames) < 4:
        return frames
    at = frames[2].index(b"chat.c") + len(b"chat.c")
    return [*frames[:2], frames[2][:at] + frames[3], *frames[4:]]


@failure("frames", 21)
def glued_restart(frames: list[bytes]) -> list[bytes]:
    """In the middle of an event the whole answer begins anew, with another id (kilocode#9432)."""
    first = orjson.loads(frames[0][6:])["id"].encode()
    again = [frame.replace(first, first[::-1]) for frame in frames]
    middle = len(frames) // 2
    cut = frames[middle][: len(frames[middle]) // 3]
    return [*frames[:middle], cut + again[0], *again[1:]]


@failure("frames", 21)
def glued_in_content(frames: list[bytes]) -> list[bytes]:
    """An event is cut where its text begins, so that the next stands in it (opencode#23442)."""
    at = next((n for n, frame in enumerate(frames) if b'"content":"' in frame), len(frames) - 1)
    cut = frames[at].partition(b'"content":"')
    return [*frames[:at], cut[0] + cut[1] + frames[at], *frames[at + 1 :]]


@failure("frames", 21)
def frames_unseparated(frames: list[bytes]) -> list[bytes]:
    """No blank line stands between two events."""
    return [frame.removesuffix(b"\n") if at % 2 == 0 else frame for at, frame in enumerate(frames)]


@failure("frames", 21)
def raw_line_breaks(frames: list[bytes]) -> list[bytes]:
    """A line break in the text is not escaped."""
    return [frame.replace(b"\\n", b"\n") for frame in frames]


@failure("frames", 17)
def emoji_halved(frames: list[bytes]) -> list[bytes]:
    """A character outside the basic plane comes in two halves, in two events."""
    wide = b'"content":"\\ud83d"', b'"content":"\\ude00"'
    at = next((n for n, frame in enumerate(frames) if b'"content":"' in frame), 0)
    head, _, tail = frames[at].partition(b'"content":"')
    end = tail[tail.index(b'"') + 1 :]
    return [*frames[: at + 1], *(head + half + end for half in wide), *frames[at + 1 :]]


@failure("frames", breaks=True)
def stream_cut(frames: list[bytes]) -> list[bytes]:
    """The connection ends in the middle of an event."""
    middle = len(frames) // 2
    return [*frames[:middle], frames[middle][: len(frames[middle]) // 2]]


@failure("frames")
def stream_stops(frames: list[bytes]) -> list[bytes]:
    """The stream ends in order, but in the middle of the answer."""
    return frames[: len(frames) // 2]
