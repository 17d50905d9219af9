"""Nothing on the page executes, loads or hides what a tool, a model or a user wrote."""

from __future__ import annotations

import asyncio

import pytest
import stories

from agentkit.events import (
    ApprovalAsked,
    ArtifactRef,
    Noted,
    Reminder,
    RunFailed,
    RunFinished,
    RunInterrupted,
    SubRun,
    UserMessage,
)
from agentkit.messages import Image, Text
from agentkit.store import MemoryStore
from agentkit.trace import render_page
from agentkit.usage import Usage

PAYLOADS = (
    "<script>window.pwned=1</script>",
    "</script><script>window.pwned=2</script>",
    "</SCRIPT ><img src=x onerror=window.pwned=3>",
    "<!--<script>",
    "]]><svg onload=window.pwned=4><a href='javascript:window.pwned=5'>x</a></svg>",
    '"><iframe srcdoc="<script>parent.pwned=6</script>"></iframe>',
    "' onmouseover='window.pwned=7' x='",
    "[click](javascript:window.pwned=8) ![i](https://evil.example/x.png) <https://evil.example>",
    "{{ 7 * 7 }}{% for x in y %}${window.pwned=9}",
    "</style></title></textarea></noscript><base href=https://evil.example/>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "&lt;script&gt;window.pwned=10&lt;/script&gt; \\u003cscript\\u003e",
)
EVIL = "\n\n".join(PAYLOADS)
BIDI = "access = 'user\u202e \u2066// check if admin\u2069 \u2066'"
CONTROLS = "nul \x00 bell \x07 esc \x1b[31mred\x1b[0m del \x7f c1 \x9b31m cr\rline"
HUGE = "x" * 300_000
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>window.pwned=11</script></svg>'
HTML_AS_PNG = b"<html><script>window.pwned=12</script></html>"
POLYGLOT = stories.png(8, 8) + b"<script>window.pwned=13</script>"


def evil_calls(story, blobs):
    """Two calls with everything hostile in them, the second one failed."""
    refs = tuple(
        ArtifactRef(f"{EVIL[:60]}.{name}", kind, sha, size) for name, kind, sha, size in blobs
    )
    story.at(
        2,
        stories.replied(
            EVIL,
            ("c'1\"><b>", EVIL[:80], EVIL),
            ("c2", "t", '{"a": 1'),
            thinking=EVIL,
            faults=(EVIL,),
            model=EVIL,
            finish_reason=EVIL,
        ),
    )
    story.at(2.1, ApprovalAsked(call_id="c2", name=EVIL, arguments={EVIL: EVIL}, reason=EVIL))
    story.at(
        2.2,
        stories.start(
            "c'1\"><b>", EVIL[:80], {EVIL[:90]: EVIL, "n": [EVIL], "big": HUGE}, repairs=(EVIL,)
        ),
        stories.start(
            "c2", "update_plan", {"steps": [{"title": EVIL, "status": EVIL}, EVIL, None]}
        ),
    )
    done = stories.finish("c'1\"><b>", EVIL[:80], f"{EVIL}\n{BIDI}\n{CONTROLS}\n{HUGE}")
    story.at(2.3, done)
    sub = SubRun(EVIL, 1, Usage(), None)
    story.at(2.4, stories.finish("c2", "t", EVIL, status="error", artifacts=refs, sub_run=sub))


async def hostile(store):
    blobs = []
    for name, kind, data in (
        ("svg", "image/svg+xml", SVG),
        ("png", "image/png", HTML_AS_PNG),
        ("html", "text/html", HTML_AS_PNG),
        ("poly.png", "text/html", POLYGLOT),
        ("bin", EVIL, b"\x00\xff\xfe<script>"),
    ):
        blobs.append((name, kind, await store.put_blob(data), len(data)))
    prompt = await store.put_blob(EVIL.encode())
    tools = await store.put_blob(b'[{"name": "</script><script>window.pwned=14</script>"}]')
    story = stories.Story("e1" * 12)
    more = {"model": EVIL, "provider": EVIL, "instructions": prompt, "tools": tools}
    story.at(0, stories.started(EVIL, **more))
    pictures = ("data:text/html;base64,PHNjcmlwdD4=", "https://evil.example/pixel.png", EVIL)
    story.at(1, UserMessage(content=(Text(EVIL + BIDI), *(Image(url) for url in pictures))))
    evil_calls(story, blobs)
    story.at(3, Reminder(topic=EVIL, content=EVIL), Noted(topic=EVIL, text=EVIL, data={EVIL: EVIL}))
    story.at(3.1, Noted(topic="prefix_break", text=EVIL), stories.Cleared(reason=EVIL))
    story.at(3.2, RunInterrupted(reason=EVIL), RunFailed(error=EVIL, message=EVIL))
    story.at(4, UserMessage(content=HUGE), stories.replied(EVIL))
    story.at(5, RunFinished(output=EVIL, turns=1, usage=Usage(), cost_usd=None, seconds=1))
    return await story.keep(store)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    async def main():
        store = MemoryStore()
        return await render_page(store, await hostile(store))

    path = tmp_path_factory.mktemp("hostile") / "run.html"
    path.write_bytes(asyncio.run(main()))
    return path


async def open_all(tab):
    await tab.evaluate("document.dispatchEvent(new KeyboardEvent('keydown', {key: 'O'}))")
    await tab.wait_for_selector("#rows > .row.turn[open] >> nth=1", state="attached")
    await tab.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")


def test_hostile_content_is_text_and_nothing_else(chromium, page):
    async def steps(tab):
        await open_all(tab)
        return await tab.evaluate(
            """() => ({
              pwned: window.pwned,
              scripts: document.scripts.length,
              base: document.baseURI === location.href,
              strange: [...document.querySelectorAll(
                'iframe, object, embed, base, link:not([rel=icon]), #rows svg, #rows script, '
                + 'style:not(head > style), meta:not(head > meta), form:not(dialog form)')]
                .map((one) => one.outerHTML.slice(0, 80)),
              handlers: [...document.querySelectorAll('*')].flatMap((one) =>
                [...one.attributes].filter((each) => each.name.startsWith('on'))
                  .map((each) => each.name)),
              links: [...document.querySelectorAll('[href]')].map((one) => one.getAttribute('href'))
                .filter((href) => !/^#(s\\d+)?e\\d+$/.test(href) && href !== 'data:,'),
              images: [...document.images].map((one) => one.src.slice(0, 22)),
              text: document.querySelector('#rows').textContent,
              width: document.documentElement.scrollWidth,
            })"""
        )

    found = chromium.look(page, steps)
    text = found.pop("text")
    assert found == {
        "pwned": None,
        "scripts": 2,
        "base": True,
        "strange": [],
        "handlers": [],
        "links": [],
        # The polyglot, above and in its call: its bytes are a picture.
        "images": ["data:image/png;base64,", "data:image/png;base64,"],
        "width": 1280,
    }
    for payload in PAYLOADS:
        assert payload in text
    assert "⟨U+202E⟩" in text
    assert not set("\x00\x07\x1b\x7f\x9b\u202e\u2066\u2069") & set(text)
    assert "nul ␀ bell ␇ esc red del ␡ c1 ⟨U+009B⟩31m cr\nline" in text
    assert "characters left out" in text


def test_the_policy_refuses_markup_and_scripts_even_if_the_page_had_a_hole(chromium, page):
    async def steps(tab):
        return await tab.evaluate(
            """async () => {
              const refused = [];
              addEventListener('securitypolicyviolation',
                (event) => refused.push(event.effectiveDirective));
              try { document.body.insertAdjacentHTML('beforeend', '<b>x</b>'); }
              catch (error) { refused.push(error.name); }
              for (const [name, key, value] of [['script', 'text', 'window.pwned = 1'],
                  ['img', 'src', 'https://evil.example/x.png'], ['style', 'textContent', 'a{}']]) {
                const node = document.createElement(name);
                try { node[key] = value; } catch (error) { refused.push(error.name); }
                document.body.append(node);
              }
              await fetch('https://evil.example/').catch(() => 0);
              await new Promise((done) => setTimeout(done, 50));
              return [refused, window.pwned];
            }"""
        )

    refused, pwned = chromium.look(page, steps, refusals=True)
    assert pwned is None
    wanted = {"TypeError", "img-src", "style-src-elem", "connect-src"}
    assert wanted - set(refused) == set()


def test_a_long_question_is_folded_and_opens_in_its_own_column(chromium, page):
    async def steps(tab):
        more = tab.locator(".more").first
        text = tab.locator(".asked").first
        before, button = await text.bounding_box(), await more.bounding_box()
        await more.click()
        return before, button, await text.bounding_box(), await more.inner_text()

    before, button, after, words = chromium.look(page, steps)
    assert button["x"] == before["x"]
    assert after["height"] > before["height"]
    assert words == "Show less"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_hostile_content_fits_a_phone(chromium, page, theme):
    async def steps(tab):
        await open_all(tab)
        return await tab.evaluate("document.documentElement.scrollWidth")

    assert chromium.look(page, steps, width=360, theme=theme) == 360


def test_the_file_names_no_other_place_and_the_data_cannot_end_its_element(page):
    text = page.read_text("utf-8")
    head, _, rest = text.partition('<script id="data" type="application/json">')
    data, _, tail = rest.partition("</script>")
    assert "<" not in data
    assert tail.lstrip().startswith("<script>")
    assert 'http-equiv="Content-Security-Policy" content="default-src \'none\'' in head
    assert "unsafe" not in head[:2000]
    assert 'src="http' not in text
    assert "@import" not in head
