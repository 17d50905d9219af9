"""`agentkit run` as a person at a terminal is asked by it."""

from __future__ import annotations

import asyncio
import textwrap

import pytest
from test_chat import ERASING, TOOLS, terminal


def asked(folder, scene):
    """Play a scene on the terminal of a run whose two calls are asked about."""
    (folder / "tools.py").write_text(textwrap.dedent(TOOLS))

    async def main():
        async with terminal(folder, "erase", *ERASING, command="run") as screen:
            await screen.until("Allow erase (destructive tool)?")
            await screen.until("[l]ater:")
            await scene(screen)
            return await screen.end(), screen.shown

    return asyncio.run(main())


def test_the_answer_of_a_person_holds(tmp_path):
    async def scene(screen):
        screen.type("perhaps\r")
        await screen.until("Answer y, n, a, d or l.")
        screen.type("y\r")
        await screen.until("heard erase / erased a.txt.")

    code, _ = asked(tmp_path, scene)
    assert code == 0
    assert (tmp_path / "erased").read_text() == "a.txt\n"


@pytest.mark.parametrize(
    ("key", "code", "ending"),
    [("\x03", 130, "interrupted"), ("\x04", 3, "waitsforapproval"), ("l\r", 3, "waitsforapproval")],
)
def test_a_person_leaves_a_question_open(tmp_path, key, code, ending):
    async def scene(screen):
        screen.type(key)

    ended, shown = asked(tmp_path, scene)
    assert ended == code
    assert ending in shown
    assert "Fatal" not in shown
    assert not (tmp_path / "erased").exists()


@pytest.mark.parametrize("more", [{}, {"NO_COLOR": "1"}], ids=["colours", "none"])
def test_a_terminal_stays_without_colours_where_that_is_asked_for(tmp_path, more):
    async def main():
        async with terminal(tmp_path, command="doctor", **more) as screen:
            await screen.until("log")
            await screen.end()
            return screen.raw

    assert ("\x1b[3" in asyncio.run(main())) == (not more)
