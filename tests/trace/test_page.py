"""The run page in a real browser: what a person sees, and how they move in it."""

from __future__ import annotations

import asyncio
import re

import pytest
import stories

from agentkit.events import Replied, UserMessage
from agentkit.store import MemoryStore
from agentkit.trace import render_page

KEYS_OF_ALL = "document.dispatchEvent(new KeyboardEvent('keydown', {key: 'O'}))"
CONTRAST = """(selector) => {
  const parse = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((one) => one / 255)
    .map((one) => one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
    .reduce((sum, one, index) => sum + one * [0.2126, 0.7152, 0.0722][index], 0);
  const paper = light(parse(getComputedStyle(document.body).backgroundColor));
  const ink = light(parse(getComputedStyle(document.querySelector(selector)).color));
  return (Math.max(paper, ink) + 0.05) / (Math.min(paper, ink) + 0.05);
}"""


def make(path, story):
    """Write the page of a story; return its events by run, too."""

    async def main():
        store = MemoryStore()
        run_id = await story(store)
        path.write_bytes(await render_page(store, run_id))
        runs = [one.run_id for one in await store.runs()]
        return {run_id: await store.load(run_id) for run_id in runs}

    return asyncio.run(main())


def reply_of(call_id, eventful):
    """Return the anchor of the reply that made a call."""
    for event in eventful[1]["a1" * 12]:
        calls = event.body.message.tool_calls if isinstance(event.body, Replied) else ()
        if any(call.id == call_id for call in calls):
            return f"e{event.seq}"
    raise AssertionError(call_id)


@pytest.fixture(scope="module")
def eventful(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "run.html"
    return path, make(path, stories.eventful)


@pytest.fixture
def look(chromium, eventful):
    return lambda steps, **how: chromium.look(eventful[0], steps, **how)


def test_the_head_says_what_was_asked_and_answered_and_what_it_took(look):
    async def steps(tab):
        return await tab.inner_text("main")

    text = look(steps)
    for words in (
        "researcher Finished",
        "Compare inflation in Germany, France and Spain",
        "Spain had the highest rate",
        "$0.0250",
        "11 h",
        "idle 11 h",
        "13 tool calls · 3 failed",
        "38%",
        "2 repairs",
        "1 prefix break",
        "1 context edit",
        "1 approval",
        "thinking (estimated from tokens)",
    ):
        assert words in text


def test_parallel_calls_lie_beside_each_other_and_kinds_have_colours_of_their_own(look):
    async def steps(tab):
        boxes = await tab.evaluate(
            """() => [...document.querySelectorAll('.lanes a')].map((a) => {
              const box = a.getBoundingClientRect();
              return [a.getAttribute('aria-label'), box.left, box.right, box.top];
            })"""
        )
        colours = await tab.evaluate(
            """() => ['waiting', 'thinking', 'writing', 'tool', 'error'].map(
              (kind) => getComputedStyle(document.querySelector(`.lanes .k-${kind}`)).fill)"""
        )
        await tab.hover('.lanes a[aria-label^="Turn 1"]')
        return boxes, colours, await tab.inner_text("#tip")

    boxes, colours, tip = look(steps)
    first = [box for box in boxes if box[0].startswith("search")][:3]
    assert max(box[1] for box in first) < min(box[2] for box in first)
    assert len({box[3] for box in first}) == 3
    assert len(set(colours)) == 5
    assert "estimated" in tip
    assert "34 of 240 tokens were thinking" in tip
    # The night of the pause takes a sliver: the work fills the drawing.
    assert sum(box[2] - box[1] for box in boxes if box[0].startswith("Turn")) > 200


def test_every_event_of_every_run_has_a_link_that_opens_and_shows_it(look, eventful):
    _, runs = eventful
    counts = {run_id: len(events) for run_id, events in runs.items()}

    async def steps(tab):
        return await tab.evaluate(
            """async (counts) => {
              const missing = [];
              for (const [prefix, count] of counts) {
                for (let seq = 0; seq < count; seq += 1) {
                  location.hash = `#${prefix}e${seq}`;
                  dispatchEvent(new HashChangeEvent('hashchange'));
                  const node = document.getElementById(`${prefix}e${seq}`);
                  if (!node || !node.checkVisibility({contentVisibilityAuto: false}))
                    missing.push(`${prefix}e${seq}`);
                }
              }
              return missing;
            }""",
            [["", counts["a1" * 12]], ["s1", counts["c1" * 12]], ["s3", counts["c3" * 12]]],
        )

    assert look(steps) == []


def test_an_opened_page_shows_all_that_the_log_says(look):
    async def steps(tab):
        await tab.evaluate(KEYS_OF_ALL)
        await tab.wait_for_selector("#rows > .row.turn[open] >> nth=5", state="attached")
        pictures = await tab.evaluate(
            """async () => {
              for (const one of document.querySelectorAll('img')) one.loading = 'eager';
              await Promise.all([...document.querySelectorAll('img')].map((one) => one.decode()));
              return [...document.querySelectorAll('img')].map((one) => one.naturalWidth);
            }"""
        )
        return await tab.evaluate("document.querySelector('#rows').textContent"), pictures

    text, pictures = look(steps)
    for words in (
        "Statistics offices publish in their own language",
        "taux d'inflation 2025",
        "a brace was added at the end",
        "{'query': 'inflación 2025'",
        "a stray chunk after the end was dropped",
        "There is no tool 'serch_web'",
        "publish is destructive",
        "Allowed by the caller",
        "Reminder: plan",
        "the provider's cache was cold after 11 h",
        "break even · 2,900 tokens left the prompt · 1,200 lose their cache · pays after 1.7 turns",
        "message 3 (tool): 4182 bytes lose their cache",
        "ZeroDivisionError",
        "rates.csv · text/csv",
        "DE,2.1",
        "Solar wind",
        "fact checker",
        "◐ Compare the figures",
        "You compare figures and name every source.",
    ):
        assert words in text
    assert pictures == [320, 320]


def test_sub_agents_open_inside_their_call_down_to_their_own_sub_agents(look):
    async def steps(tab):
        await tab.evaluate("location.hash = '#s3e2'")
        await tab.wait_for_selector("#s3e2")
        return await tab.evaluate(
            """() => {
              const path = [];
              for (let node = document.getElementById('s3e2'); node; node = node.parentElement)
                if (node.matches('details'))
                  path.push(node.id || node.querySelector('b').textContent);
              return path;
            }"""
        )

    path = look(steps)
    assert path[0] == "s3e2"
    assert path[1] == "proofreader"
    assert path[3] == "editor"
    assert len(path) == 5


def test_the_plan_shows_each_revision(look):
    async def steps(tab):
        return await tab.evaluate(
            """() => [...document.querySelectorAll('.plan tbody tr')].map((row) =>
              [...row.querySelectorAll('.dot')].map((dot) => dot.className.slice(4)))"""
        )

    assert look(steps) == [
        ["in_progress", "done", "done"],
        ["pending", "in_progress", "done"],
        ["pending", "pending", "in_progress"],
        ["pending", "pending", "pending"],
    ]


def test_keys_move_open_jump_to_failures_switch_the_theme_and_explain_themselves(look, eventful):
    async def steps(tab):
        selected = "document.querySelector('.row.selected')?.id"
        seen = []
        for keys in ("j", "jj", "k", "j", "e", "e"):
            for key in keys:
                await tab.keyboard.press(key)
            seen.append(await tab.evaluate(selected))
        opened = await tab.evaluate("document.querySelector('.row.selected').open")
        await tab.keyboard.press("o")
        closed = await tab.evaluate("document.querySelector('.row.selected').open")
        papers = []
        for _ in range(2):
            papers.append(await tab.evaluate("getComputedStyle(document.body).backgroundColor"))
            await tab.keyboard.press("t")
        await tab.keyboard.press("?")
        keys_shown = await tab.is_visible("#keys")
        await tab.keyboard.press("Escape")
        return seen, opened, closed, papers, keys_shown, await tab.is_visible("#keys")

    seen, opened, closed, papers, shown, gone = look(steps)
    assert seen == ["e0", "e2", "e1", "e2", "e11", reply_of("d1", eventful)]
    assert (opened, closed) == (True, False)
    assert papers[0] != papers[1]
    assert (shown, gone) == (True, False)


def test_search_finds_what_is_folded_away_and_in_sub_agents(look, eventful):
    async def steps(tab):
        found = {}
        for words in ("weitere zeile", "FACT CHECKER. Do your part", "nowhere to be found"):
            await tab.keyboard.press("/")
            await tab.keyboard.type(words)
            await tab.keyboard.press("Enter")
            rows = (
                "[...document.querySelectorAll('#rows > .row:not([hidden])')].map((row) => row.id)"
            )
            found[words] = (
                await tab.evaluate(rows),
                await tab.evaluate("CSS.highlights.get('found')?.size || 0"),
                await tab.is_visible("#none"),
            )
            await tab.keyboard.press("Escape")
        await tab.keyboard.press("j")
        return found, await tab.locator("#rows > .row:not([hidden])").count()

    found, after = look(steps)
    assert found["weitere zeile"] == (["e2"], 60, False)
    assert found["FACT CHECKER. Do your part"][0] == [reply_of("g1", eventful)]
    assert found["nowhere to be found"] == ([], 0, True)
    assert after == 14


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_themes_are_easy_to_read(look, theme):
    async def steps(tab):
        places = (".said", ".facts dt", ".row .m", ".row .used", ".flag.bad", ".flag.warn", ".edit")
        ratios = {place: await tab.evaluate(CONTRAST, place) for place in places}
        return ratios, await tab.evaluate("getComputedStyle(document.body).backgroundColor")

    ratios, paper = look(steps, theme=theme)
    assert {place: ratio for place, ratio in ratios.items() if ratio < 4.5} == {}
    assert (sum(map(int, re.findall(r"\d+", paper)[:3])) < 200) == (theme == "dark")


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_screen(look, width):
    async def steps(tab):
        await tab.evaluate(KEYS_OF_ALL)
        await tab.wait_for_selector("#rows > .row.turn[open] >> nth=5", state="attached")
        await tab.evaluate("for (const one of document.querySelectorAll('.sub')) one.open = true")
        return await tab.evaluate("document.documentElement.scrollWidth")

    assert look(steps, width=width) <= width


@pytest.mark.parametrize(
    ("how", "word", "answer"),
    [
        ("failed", "Failed", "BalanceExhausted. The account has no balance"),
        ("interrupted", "Interrupted", "agentkit resume f2f2"),
        ("paused", "Waiting", "approval of 1 call · run_shell"),
        ("running", "No end in the log", "the run goes on elsewhere, or its process died"),
    ],
)
def test_a_run_without_an_answer_says_why(chromium, tmp_path, how, word, answer):
    path = tmp_path / "run.html"
    make(path, lambda store: stories.ended(store, how))

    async def steps(tab):
        kinds = await tab.evaluate(
            "[...document.querySelectorAll('.lanes rect')].map((one) => one.getAttribute('class'))"
        )
        return await tab.inner_text("h1"), await tab.inner_text("main"), kinds

    title, text, kinds = chromium.look(path, steps)
    assert title == f"mechanic {word}"
    assert answer in text
    assert ("k-approval" if how == "paused" else "k-lost") in kinds
    assert ("waits for approval" in text) == (how == "paused")
    assert ("1 call without result" in text) == (how in ("interrupted", "running"))


def test_ten_thousand_events_stay_one_light_page_in_which_any_event_can_be_reached(
    chromium, tmp_path
):
    path = tmp_path / "run.html"

    async def long(store):
        story = stories.Story("b1" * 12)
        story.at(0, stories.started(), UserMessage(content="Go on for long."))
        for turn in range(1428):
            names = [f"c{turn}-{number}" for number in range(3)]
            story.at(
                turn * 3 + 1,
                stories.replied("on", *((name, "look_up") for name in names), thinking="hm " * 60),
            )
            story.at(turn * 3 + 1.1, *(stories.start(name, "look_up") for name in names))
            done = "A line of a result.\n" * 400  # 8 KB, 34 MB in all
            story.at(turn * 3 + 2, *(stories.finish(name, "look_up", done) for name in names))
        assert len(story.events) >= 9_998
        return await story.keep(store)

    make(path, long)
    assert path.stat().st_size < 15_000_000

    async def steps(tab):
        await tab.wait_for_selector("#rows > .row >> nth=1429", state="attached")
        place = await tab.locator("#e9990").bounding_box()
        return place, await tab.locator("#e9990").inner_text()

    place, text = chromium.look(path, steps, anchor="#e9990")
    assert 0 <= place["y"] <= 900
    assert "characters left out" in text
