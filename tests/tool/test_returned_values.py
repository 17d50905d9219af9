"""What becomes of what a tool returns or yields."""

import asyncio
import dataclasses
import threading
from decimal import Decimal
from pathlib import Path

import pytest
from dispatching import POLICY, call, result_of, turn, until
from pydantic import BaseModel

from agentkit.events import ToolProgress
from agentkit.tool import Artifact, DispatchPolicy, ToolResult, tool

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)


class Model(BaseModel):
    x: int


@dataclasses.dataclass
class Data:
    x: int


class Drawing:
    """Draws itself as a PIL image does in a notebook."""

    def _repr_png_(self):
        return PNG


class Array:
    """Lists its values as a numpy array does."""

    def tolist(self):
        return [1, 2]


class Number:
    """A number as mpmath has it: no float, but it becomes one."""

    def __float__(self):
        return 1.25


class Index(Number):
    """A whole number of somebody's."""

    def __index__(self):
        return 7


def log_of(value):
    @tool
    async def give():
        return value

    return asyncio.run(turn([give], [call(give)]))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("text", "text"),
        (3, "3"),
        (2.5, "2.5"),
        (Decimal("1.50"), '"1.50"'),
        (None, "Done. The tool returned nothing."),
        (Model(x=1), '{"x":1}'),
        (Data(1), '{"x":1}'),
        ([Model(x=1), Data(2)], '[{"x":1},{"x":2}]'),
        (Array(), "[1,2]"),
        ({"a": Array()}, '{"a":[1,2]}'),
        ({"a": Number(), "b": [Index()]}, '{"a":1.25,"b":[7]}'),
        (Path("a/b.txt"), '"a/b.txt"'),
    ],
)
def test_values_become_text(value, text):
    log = log_of(value)
    assert (log.result().status, log.result().content) == ("ok", text)
    assert log.kept == {}


@pytest.mark.parametrize(
    ("data", "suffix", "media_type"),
    [
        (PNG, "png", "image/png"),
        (b"\xff\xd8\xff\xe0", "jpg", "image/jpeg"),
        (b"%PDF-1.7\xff", "pdf", "application/pdf"),
        (b"RIFF\xff\xff\xff\xffWEBPVP8 ", "webp", "image/webp"),
        (b"\x00\x00\x00\x20ftypisom\xff", "mp4", "video/mp4"),
        (b"\x00\xff", "bin", "application/octet-stream"),
        (b"", "txt", "text/plain"),
    ],
)
def test_bytes_become_a_file_whose_name_and_type_fit_its_content(data, suffix, media_type):
    log = log_of(data)
    (ref,) = log.result().artifacts
    assert (ref.name.rpartition(".")[2], ref.media_type, ref.size) == (
        suffix,
        media_type,
        len(data),
    )
    assert log.kept[ref.name] == data
    assert ref.name in log.result().content


def test_bytes_that_are_text_are_shown_too():
    assert log_of(b"two\nlines").result().content.endswith("(text/plain, 9 bytes).\ntwo\nlines")


def test_files_of_two_calls_do_not_take_each_others_name():
    one, two = (log_of(data).result().artifacts[0].name for data in (PNG + b"1", PNG + b"2"))
    assert one != two


def test_what_draws_itself_becomes_a_picture():
    log = log_of(Drawing())
    assert [ref.media_type for ref in log.result().artifacts] == ["image/png"]
    assert list(log.kept.values()) == [PNG]


def test_texts_and_files_may_be_mixed():
    log = log_of(["Two plots:", Drawing(), Artifact("b.csv", "text/csv", b"1"), {"rows": 3}])
    lines = log.result().content.splitlines()
    assert lines[0] == "Two plots:"
    assert lines[2:] == ["Made the file b.csv (text/csv, 1 bytes).", '{"rows":3}']
    assert len(log.result().artifacts) == 2


def test_a_failed_part_marks_the_whole():
    log = log_of([PNG, ToolResult("no", ok=False)])
    assert log.result().status == "error"
    assert len(log.result().artifacts) == 1


def test_an_artifact_is_read_from_a_file(tmp_path):
    (tmp_path / "plot.png").write_bytes(PNG)
    assert Artifact.from_file(tmp_path / "plot.png") == Artifact("plot.png", "image/png", PNG)
    assert Artifact.from_file(str(tmp_path / "plot.png")).data == PNG


def test_an_async_generator_tells_texts_and_its_last_other_value_is_the_result():
    @tool
    async def count(to: int):
        for at in range(to):
            yield f"{at} of {to}"
        yield {"counted": to}
        yield "tidying up"

    assert count.is_async
    log = asyncio.run(turn([count], [call(count, {"to": 2})]))
    assert log.told == [ToolProgress("0", text) for text in ("0 of 2", "1 of 2", "tidying up")]
    assert log.result().content == '{"counted":2}'


def test_a_generator_of_texts_alone_ends_with_its_last():
    @tool
    async def speak():
        yield "one"
        yield "two"

    @tool
    def speak_in_thread():
        yield "one"
        yield "two"

    assert result_of(speak).content == result_of(speak_in_thread).content == "two"


def test_a_generator_in_a_thread_may_return_its_result():
    @tool
    def count(to: int):
        yield f"up to {to}"
        return ToolResult(f"counted {to}", (Artifact("n", "text/plain", b"1"),))

    log = asyncio.run(turn([count], [call(count, {"to": 2})]))
    assert log.told == [ToolProgress("0", "up to 2")]
    assert log.result().content == "counted 2"
    assert log.kept == {"n": b"1"}


def test_an_error_in_a_generator_is_its_result():
    @tool
    async def fail():
        yield "begun"
        raise ValueError("no")

    @tool
    def fail_in_thread():
        yield "begun"
        raise ValueError("no")

    for one in (fail, fail_in_thread):
        result = result_of(one)
        assert result.status == "error"
        assert "ValueError: no" in result.content


def test_an_async_generator_that_is_stopped_is_closed():
    closed = []

    @tool(timeout=0.05)
    async def wait():
        try:
            yield "begun"
            await asyncio.sleep(60)
        finally:
            closed.append(True)

    assert result_of(wait).status == "timeout"
    assert closed == [True]


def test_a_generator_in_a_thread_that_nobody_waits_for_is_closed_at_its_next_value():
    go_on, closed = threading.Event(), []

    @tool(timeout=0.05)
    def wait():
        try:
            yield "begun"
            go_on.wait(30)
            yield "still here"
            closed.append("never")
        finally:
            closed.append("closed")

    async def run():
        log = await turn([wait], [call(wait)], DispatchPolicy(timeout=5, grace=POLICY.grace))
        go_on.set()
        await asyncio.wait_for(until(lambda: closed), 30)
        return log

    assert asyncio.run(run()).result().status == "timeout"
    assert closed == ["closed"]
