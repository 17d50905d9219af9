"""Sessions of other shapes than the recorded ones, drawn at random, for `benchmarks.context`.

    python -m benchmarks.drawn [--seed 1] [--short] > sessions.json

Long ones mix blocks of the recorded turns, as they are and with results of double and half the
size, beside three made-up kinds: a coder (small results, some huge), a researcher (large results,
several at once) and a talker (few results, many messages of the user). Short ones have 5 to 40
turns of each kind.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable

from benchmarks.context import SESSIONS

Turn = tuple[int, int, int, list[int]]


class Drawn:
    """Draws sessions; the same seed draws the same ones."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self._recorded = json.loads(SESSIONS.read_text("utf-8"))["sessions"]

    def blocks(self, turns: int, scale: float = 1.0) -> list[Turn]:
        """Return blocks of recorded turns, one after another, results scaled."""
        session = self._draw.choice(self._recorded)
        found: list[Turn] = []
        while len(found) < turns:
            if self._draw.random() < 0.3:
                session = self._draw.choice(self._recorded)
            at = self._draw.randrange(len(session["turns"]))
            block = session["turns"][at : at + self._draw.randint(4, 15)]
            for user, thinking, text, results in block:
                said = user if not found or not found[-1][3] else 0
                found.append((said, thinking, text, [max(1, int(r * scale)) for r in results]))
        found[0] = (found[0][0] or 300, *found[0][1:])
        return found[:turns]

    def coder(self, turns: int) -> list[Turn]:
        """Return turns with small results, some of them huge."""
        return self._made(turns, (150, 1.0), (150, 1.1), (500, 1.4), [1, 2, 3, 0], [70, 15, 7, 8])

    def researcher(self, turns: int) -> list[Turn]:
        """Return turns with large results, several at once."""
        return self._made(
            turns, (400, 0.8), (100, 0.8), (2_500, 0.8), [1, 2, 3, 4, 0], [50, 20, 10, 10, 10]
        )

    def talker(self, turns: int) -> list[Turn]:
        """Return turns of which half end in an answer, so that the user speaks again."""
        return self._made(turns, (200, 1.0), (300, 0.8), (200, 1.0), [1, 0], [50, 50])

    def session(self, name: str, turns: list[Turn]) -> dict[str, object]:
        """Return a session of a sessions file."""
        return {
            "id": name,
            "system": self._draw.choice([1_500, 2_775, 5_000, 9_000]),
            "turns": turns,
        }

    def _made(self, turns: int, thinking, text, results, counts, weights) -> list[Turn]:
        found: list[Turn] = []
        for _ in range(turns):
            (count,) = self._draw.choices(counts, weights)
            user = self._size((120, 0.8)) if not found or not found[-1][3] else 0
            sizes = [self._size(results) for _ in range(count)]
            found.append((user, self._size(thinking), self._size(text), sizes))
        return found

    def _size(self, spread: tuple[float, float]) -> int:
        """Return a log-normal number of tokens, from its median and sigma."""
        median, sigma = spread
        return max(1, round(self._draw.lognormvariate(0, sigma) * median))


def long(drawn: Drawn) -> list[dict[str, object]]:
    """Return fifteen sessions of 100 to 800 turns."""
    found = [
        drawn.session(f"blocks{turns}x{scale}", drawn.blocks(turns, scale))
        for turns in (250, 400, 700)
        for scale in (1.0, 2.0, 0.5)
    ]
    for turns in (200, 400):
        found.append(drawn.session(f"coder{turns}", drawn.coder(turns)))
        found.append(drawn.session(f"researcher{turns // 2}", drawn.researcher(turns // 2)))
        found.append(drawn.session(f"talker{turns * 2}", drawn.talker(turns * 2)))
    return found


def short(drawn: Drawn) -> list[dict[str, object]]:
    """Return forty sessions of 5 to 40 turns."""
    kinds: list[tuple[str, Callable[[int], list[Turn]]]] = [
        ("blocks", drawn.blocks),
        ("coder", drawn.coder),
        ("researcher", drawn.researcher),
        ("talker", drawn.talker),
    ]
    return [
        drawn.session(f"{name}{turns}.{part}", make(turns))
        for turns in (5, 10, 20, 30, 40)
        for name, make in kinds
        for part in range(2)
    ]


def main() -> None:
    """Print a sessions file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--short", action="store_true")
    options = parser.parse_args()
    drawn = Drawn(options.seed)
    sessions = short(drawn) if options.short else long(drawn)
    print(json.dumps({"about": f"drawn with seed {options.seed}", "sessions": sessions}))


if __name__ == "__main__":
    main()
