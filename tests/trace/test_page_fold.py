"""The folds behind the page: no event is lost, nothing that a log may hold breaks them."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys

import pytest
import stories
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.errors import ConfigError, LogUnreadable, RunNotFound
from agentkit.events import (
    ApprovalAnswered,
    ApprovalAsked,
    ArtifactRef,
    Event,
    Noted,
    Reminder,
    RunFailed,
    RunFinished,
    RunInterrupted,
    RunPaused,
    RunResumed,
    SubRun,
    UserMessage,
)
from agentkit.messages import Image
from agentkit.store import MemoryStore
from agentkit.trace import render_page, report
from agentkit.trace.axis import Axis
from agentkit.trace.content import Clip, clean
from agentkit.trace.drawing import draw
from agentkit.trace.pictures import data_uri, from_data_uri, recognize
from agentkit.trace.timeline import read
from agentkit.trace.turns import Span
from agentkit.trace.words import clock, duration, money, plural, short
from agentkit.usage import Usage

RESUMED = RunResumed(model="m", provider="p", instructions="0" * 64, tools="1" * 64)
IDS = st.sampled_from(["a", "b", "c"])
STATUS = st.sampled_from(["ok", "error", "timeout", "cancelled", "denied", "unknown"])
BODIES = st.one_of(
    st.builds(UserMessage, content=st.text(max_size=20)),
    st.builds(
        lambda ids, seconds, first: stories.replied(
            "t", *((one, "tool") for one in ids), seconds=seconds, first_delta_seconds=first
        ),
        st.lists(IDS, max_size=3),
        st.floats(-5, 1e6),
        st.none() | st.floats(-5, 1e6),
    ),
    st.builds(stories.start, IDS, st.sampled_from(["tool", "update_plan"])),
    st.builds(stories.finish, IDS, st.just("tool"), st.text(max_size=20), STATUS),
    st.builds(ApprovalAsked, call_id=IDS, name=st.just("tool"), arguments=st.just({})),
    st.builds(ApprovalAnswered, call_id=IDS, name=st.just("tool"), approved=st.booleans()),
    st.builds(Noted, topic=st.sampled_from(["prefix_break", "window"]), text=st.text(max_size=9)),
    st.builds(Reminder, topic=st.just("plan"), content=st.text(max_size=9)),
    st.sampled_from(
        [
            stories.started(),
            RESUMED,
            RunPaused(reason="approval", calls=("a",)),
            RunInterrupted(reason="cancelled"),
            RunFailed(error="X", message="y"),
            RunFinished(output={"x": 1}, turns=1, usage=Usage(), cost_usd=None, seconds=1.0),
            stories.Cleared(reason="break_even"),
            stories.Telemetry(speed=1, remark="r"),
        ]
    ),
)


def story_of(bodies, times):
    story = stories.Story("d1" * 12)
    for body, time in zip(bodies, itertools.chain(times, itertools.repeat(1.0)), strict=False):
        story.at(time, body)
    return story


def page_of(story, store=None):
    async def main():
        kept = store or MemoryStore()
        return await render_page(kept, await story.keep(kept))

    return asyncio.run(main()).decode()


def data_of(page):
    return json.loads(page.split('type="application/json">')[1].split("</script>")[0])


def seqs(value):
    """All sequence numbers that an entry of the page's data answers to."""
    if isinstance(value, list):
        return [seq for one in value for seq in seqs(one)]
    if not isinstance(value, dict):
        return []
    own = [value["e"]] if "e" in value else []
    own += [seq for seq, _ in value.get("results", ()) if seq is not None]
    return own + [seq for one in value.values() for seq in seqs(one)]


@settings(max_examples=40, deadline=None)
@given(st.lists(BODIES, min_size=1, max_size=25), st.lists(st.floats(-1e4, 1e8), max_size=25))
def test_any_log_gives_a_page_on_which_each_event_stands_once(bodies, times):
    """Clocks may jump, calls may come without a reply, twice, or never end."""
    story = story_of(bodies, times)
    found = sorted(seqs(data_of(page_of(story))["runs"]))
    assert found == list(range(len(story.events)))


@settings(max_examples=40, deadline=None)
@given(st.lists(BODIES, min_size=1, max_size=25), st.lists(st.floats(-1e4, 1e8), max_size=25))
def test_every_bar_lies_on_the_drawing_and_its_parts_in_order(bodies, times):
    drawing = draw(read(story_of(bodies, times).events), {})
    for bar in drawing.bars:
        edges = [edge for part in bar.parts for edge in (part.x, part.x + part.width)]
        assert all(-0.01 <= edge <= 100.2 for edge in edges)
        assert [part.x for part in bar.parts] == sorted(part.x for part in bar.parts)
        assert 0 <= bar.y < drawing.height
    places = [tick.x for tick in drawing.ticks]
    assert places == sorted(places)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e4)), max_size=12),
    st.lists(st.floats(0, 2e6), min_size=2, max_size=8),
)
def test_the_axis_never_turns_back_whatever_it_folds(spans, times):
    spans = [Span(begin, begin + length) for begin, length in spans]
    axis = Axis(spans, max([span.end for span in spans], default=0.0) + 5)
    places = [axis.x(time) for time in sorted(times)]
    assert places == sorted(places)
    assert all(0 <= place <= 100.0001 for place in places)


def test_a_night_between_two_turns_is_folded_and_said():
    axis = Axis([Span(0, 10), Span(40_000, 40_010)], 40_010)
    assert axis.folded == [(10, 40_000)]
    assert axis.x(10) > 40
    assert axis.x(40_000) - axis.x(10) < 10
    assert [tick.label for tick in axis.ticks(40_010)][-1].startswith("11:06:")


def test_the_same_log_gives_the_same_bytes():
    async def main():
        store = MemoryStore()
        run_id = await stories.eventful(store)
        return await render_page(store, run_id), await render_page(store, run_id[:6])

    first, second = asyncio.run(main())
    assert first == second


def test_a_call_that_was_started_again_shows_both_attempts_but_not_the_time_between():
    story = stories.Story("d2" * 12)
    story.at(0, stories.started(), UserMessage(content="go"))
    story.at(1, stories.replied("", ("c", "tool")))
    story.at(2, stories.start("c", "tool"))
    story.at(3, stories.start("c", "tool"))  # the tool's own retry
    story.at(900, RESUMED)
    story.at(901, stories.start("c", "tool", attempt=2))
    story.at(903, stories.finish("c", "tool", "done"))
    (call,) = read(story.events).calls
    spans = [(span.begin, span.end, span.open) for span in call.attempts]
    assert spans == [(2, 2, True), (3, 3, True), (901, 903, False)]


def test_steps_without_a_reply_are_rows_of_their_own():
    """As the log of a workflow has them."""
    story = stories.Story("d3" * 12)
    story.at(0, stories.started("flow"))
    story.at(1, stories.start("gather", "agent.run", {"task": "x"}))
    story.at(5, stories.finish("gather", "agent.run", "y", sub_run=SubRun("nowhere", 1, Usage())))
    rows = data_of(page_of(story))["runs"][0]["rows"]
    assert [row["k"] for row in rows] == ["note", "step"]
    assert rows[1]["gist"] == "gather"
    assert rows[1]["time"] == "4.0 s"


def test_what_is_missing_in_the_store_is_said_and_does_not_hide_the_rest():
    story = stories.Story("d4" * 12)
    lost = ArtifactRef("chart.png", "image/png", "9" * 64, 100)
    sub = SubRun("nowhere", 2, Usage(100, 0, 10), 0.5)
    story.at(0, stories.started(), UserMessage(content="go"))
    story.at(1, stories.replied("", ("c", "ask")), stories.start("c", "ask"))
    story.at(2, stories.finish("c", "ask", "done", artifacts=(lost,), sub_run=sub))
    page = page_of(story)
    (call,) = data_of(page)["runs"][0]["rows"][2]["calls"]
    assert "its bytes are not in the store" in call["artifacts"][0]["about"]
    assert call["sub"] == {"about": "2 turns · 100 tokens, 0% cached · $0.5000", "id": "nowhere"}
    assert "sub-agents $0.5000" in page


def test_sub_agents_that_name_each_other_are_loaded_once():
    async def main():
        store = MemoryStore()
        for own, other in (("d5" * 12, "d6" * 12), ("d6" * 12, "d5" * 12)):
            story = stories.Story(own)
            story.at(0, stories.started(), stories.replied("", ("c", "ask")))
            story.at(1, stories.finish("c", "ask", sub_run=SubRun(other)))
            await story.keep(store)
        return data_of((await render_page(store, "d5")).decode())

    assert len(asyncio.run(main())["runs"]) == 2


@pytest.mark.parametrize(
    "steps", [None, 7, "x", {}, [], [None, 3, "x"], [{"title": None}], [{"status": ["x"]}]]
)
def test_a_plan_that_the_model_got_wrong_is_shown_as_far_as_it_goes(steps):
    story = stories.Story("d7" * 12)
    story.at(0, stories.started(), stories.replied("", ("p", "update_plan")))
    story.at(1, stories.start("p", "update_plan", {"steps": steps}))
    assert "Turns" in page_of(story)


def test_a_plan_that_changed_keeps_what_was_dropped():
    story = stories.Story("d8" * 12).at(0, stories.started())
    for number, titles in enumerate((["look", "guess"], ["look", "ask"])):
        steps = [{"title": title, "status": "done"} for title in titles]
        story.at(number + 1, stories.replied("", (f"p{number}", "update_plan")))
        story.at(number + 1.5, stories.start(f"p{number}", "update_plan", {"steps": steps}))
    page = page_of(story)
    assert "2 of 3 done" in page
    assert '<tr class="dropped"><th scope="row" dir="auto">guess</th>' in page


def test_a_conversation_shows_its_first_and_last_message():
    story = stories.Story("d9" * 12).at(0, stories.started())
    for number, words in enumerate(("one", "two", "three")):
        story.at(number, UserMessage(content=words), stories.replied(f"to {words}"))
        done = {"turns": 1, "usage": Usage(), "cost_usd": 0.0, "seconds": 1.0}
        story.at(number + 0.5, RunFinished(output=f"to {words}", **done))
    page = page_of(story).partition("<h2>Timeline")[0]
    assert "Asked first" in page
    assert "Asked last, of 3" in page
    assert ">three<" in page
    assert ">to three<" in page
    assert ">two<" not in page


def test_a_picture_that_the_user_sent_is_shown_and_an_address_is_only_named():
    url = data_uri(recognize(stories.png(9, 9)), stories.png(9, 9))
    story = stories.Story("da" * 12)
    given = UserMessage(content=(Image(url), Image("https://example.org/x.png")))
    data = data_of(page_of(story.at(0, stories.started(), given)))
    shown, named = data["runs"][0]["rows"][1]["artifacts"]
    assert data["pictures"] == {shown["sha"]: url}
    assert named == {"name": "Image", "about": "https://example.org/x.png"}


def test_a_live_object_in_memory_does_not_break_the_page():
    story = stories.Story("db" * 12)
    story.at(0, stories.started(), stories.replied("", ("c", "tool")))
    story.at(1, stories.start("c", "tool", {"odd": object(), "cycle": (cycle := [])}))
    cycle.append(cycle)
    assert "odd" in page_of(story)


def test_what_cannot_be_shown_is_a_typed_error(monkeypatch):
    async def main(run_id):
        return await render_page(MemoryStore(), run_id)

    with pytest.raises(RunNotFound):
        asyncio.run(main("nobody"))
    with pytest.raises(LogUnreadable):
        read([])
    monkeypatch.setitem(sys.modules, "jinja2", None)
    report._template.cache_clear()
    with pytest.raises(ConfigError, match=r"agentkit-glm\[trace\]"):
        asyncio.run(main("nobody"))


def test_a_time_that_cannot_be_read_stands_still():
    events = [Event("x", 0, "yesterday", stories.started()), Event("x", 1, "", RESUMED)]
    assert read(events).seconds == 0


def test_texts_are_clipped_at_both_ends_and_cleaned():
    shown = Clip(100)("a" * 80 + "b" * 80)
    assert shown == {"head": "a" * 75, "tail": "b" * 25, "left": 60}
    assert clean("a\r\nb\rc\x00\ud800\u202ex\x1b[1;31my") == "a\nb\nc␀⟨U+D800⟩⟨U+202E⟩xy"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (stories.png(3, 2), "image/png"),
        (b"GIF89a\x03\x00\x02\x00", "image/gif"),
        (b"\xff\xd8\xff\xe0\x00\x04\x00\x00\xff\xc0\x00\x11\x08\x00\x02\x00\x03", "image/jpeg"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8X" + bytes(8) + b"\x02\x00\x00\x01\x00\x00", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8L" + bytes(5) + b"\x02\x40\x00\x00", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 " + bytes(10) + b"\x03\x00\x02\x00", "image/webp"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", None),
        (b"\x89PNG\r\n\x1a\n", None),
        (b"\xff\xd8\xff", None),
        (b"RIFF\x00\x00\x00\x00WEBP", None),
        (b"GIF89a\x00\x00\x00\x00", None),
        (
            stories.png(1, 1).replace(b"IHDR\0\0\0\x01\0\0\0\x01", b"IHDR\0\0\xff\xff\0\0\xff\xff"),
            None,
        ),
        (b"", None),
    ],
)
def test_a_picture_is_known_by_its_bytes_and_a_bomb_is_none(data, kind):
    found = recognize(data)
    assert (found and found.media_type) == kind
    if found:
        assert (found.width, found.height) == (3, 2)


@given(st.binary(max_size=60))
def test_no_bytes_break_the_recognition(data):
    for magic in (b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBPVP8X"):
        recognize(magic + data)


@pytest.mark.parametrize("url", ["https://x/y.png", "data:image/png,xx", "data:;base64,%%", ""])
def test_only_base64_data_addresses_have_bytes(url):
    assert from_data_uri(url) is None


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (duration(0.0004), "0 ms"),
        (duration(0.14), "0.14 s"),
        (duration(1.05), "1.1 s"),
        (duration(12.3), "12 s"),
        (duration(125), "2 min 5 s"),
        (duration(3600), "1 h"),
        (duration(39_590), "11 h"),
        (duration(200_000), "2 d 7 h"),
        (clock(0), "0"),
        (clock(5), "5.0 s"),
        (clock(125), "2:05"),
        (clock(39_605), "11:00:05"),
        (clock(200_000), "2 d 7:33:20"),
        (money(None), "unknown"),
        (money(0.0134), "$0.0134"),
        (money(1234.5), "$1,234.50"),
        (short(999), "999"),
        (short(3940), "3.9k"),
        (short(99_960), "100k"),
        (short(1_234_567), "1.2M"),
        (plural(1, "retry"), "1 retry"),
        (plural(2, "retry"), "2 retries"),
        (plural(2, "call without result"), "2 calls without result"),
    ],
)
def test_figures_are_words_for_a_person(said, expected):
    assert said == expected


def test_what_summaries_cost_is_part_of_what_the_run_cost():
    spent = {"input": 9_000, "cached": 8_900, "output": 300, "thinking": 100, "cost_usd": 0.25}
    note = Noted(topic="summary", text="a summary was written", data=spent)
    story = stories.Story("r").at(0, stories.started(), UserMessage(content="go"), note)
    story.at(1, stories.replied("a", ("c", "tool")), stories.finish("c", "tool"), note)
    story.at(2, stories.replied("b"))
    trace = read(story.events)
    replies = [turn.reply for turn in trace.turns]
    assert trace.cost_usd == pytest.approx(0.5 + sum(reply.cost_usd for reply in replies))
    assert trace.usage.cached == 2 * 8_900 + sum(reply.usage.cached for reply in replies)
    unknown = Noted(topic="summary", text="", data=spent | {"cost_usd": None})
    assert read(story.at(3, unknown).events).cost_usd is None
