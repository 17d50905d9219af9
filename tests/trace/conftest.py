"""A real Chromium for the run page: Debian's program, driven by playwright, without a network.

Playwright runs in a thread of its own, since a test's own `asyncio.run` must not meet its loop.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from contextlib import asynccontextmanager

import pytest

_QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--no-first-run",
)


class Chromium:
    """One browser for the session; each look at a page has a fresh profile."""

    def __init__(self, program):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chromium")
        self._thread.start()
        self._play, self._browser = self._run(self._launch(program))

    def _run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(100)

    async def _launch(self, program):
        from playwright.async_api import async_playwright

        play = await async_playwright().start()
        root = ("--no-sandbox",) if os.geteuid() == 0 else ()  # its own sandbox refuses root
        browser = await play.chromium.launch(executable_path=program, args=[*_QUIET, *root])
        return play, browser

    def close(self):
        self._run(self._browser.close())
        self._run(self._play.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def look(self, path, steps, *, width=1280, theme="light", anchor="", refusals=False):
        """Open a page, take the steps on it, and fail if it did what no page may do.

        The browser tells on its console what it refused; `refusals` says that this is expected.
        """
        return self._run(self._look(path, steps, (width, theme), anchor, refusals))

    async def _look(self, path, steps, screen, anchor, refusals):
        async with self._tab(*screen) as (tab, faults):
            await tab.goto(path.as_uri() + anchor)
            result = await steps(tab)
        assert [one for one in faults if not (refusals and one.startswith("console: "))] == []
        return result

    @asynccontextmanager
    async def _tab(self, width, theme):
        faults, requests = [], []
        context = await self._browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=theme, reduced_motion="reduce"
        )
        try:
            tab = await context.new_page()
            tab.set_default_timeout(20_000)
            tab.on("console", lambda message: faults.append(f"console: {message.text}"))
            tab.on("pageerror", lambda error: faults.append(f"error: {error}"))
            tab.on("dialog", lambda dialog: faults.append(f"dialog: {dialog.message}"))
            tab.on("request", lambda request: requests.append(request))  # noqa: PLW0108 - playwright marks its handlers
            yield tab, faults
            faults += [
                f"request: {request.url}"
                for request in requests
                if not request.url.startswith(("file:", "data:")) and request.failure != "csp"
            ]
        finally:
            await context.close()


@pytest.fixture(scope="session")
def chromium():
    """The browser; without one the test is skipped, except in CI (CI=true), where it fails."""
    program = shutil.which("chromium")
    if program is None:
        why = (
            "THE RUN PAGE IS NOT TESTED HERE. `agentkit setup --with chromium` installs a browser."
        )
        if os.environ.get("CI") == "true":
            pytest.fail(why, pytrace=False)
        pytest.skip(why)
    browser = Chromium(program)
    yield browser
    browser.close()
