"""Document search beside plain FTS5: `python -m benchmarks.search` prints times and ratios.

The floor is what a hand-written search does with the same passages: one FTS5 table with the
unicode61 tokenizer, the text itself as its only column, one transaction for all of them.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from agentkit_tools.search.chunk import passages
from agentkit_tools.search.index import Index
from agentkit_tools.search.parse import parse
from agentkit_tools.search.policy import Policy

QUERIES = 300
UPDATES = 15
CHINESE = "模型参数推理价格上下文专家训练数据开源许可证性能基准评测智能体工具调用缓存输入输出"


def words(source: random.Random) -> list[str]:
    """Make a vocabulary whose words are as unequal in use as those of a language."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    made = ["".join(source.choices(letters, k=source.randint(2, 9))) for _ in range(20_000)]
    cyrillic = "абвгдежзиклмнопрстуфхцчшыюя"
    made += ["".join(source.choices(cyrillic, k=source.randint(2, 9))) for _ in range(4_000)]
    made += ["".join(source.choices(CHINESE, k=source.randint(2, 8))) for _ in range(4_000)]
    made += [f"glm-{n}.{source.randint(0, 9)}-{source.choice(made)}" for n in range(500)]
    source.shuffle(made)
    return made


def sentence(source: random.Random, vocabulary: list[str], count: int) -> str:
    picked = (vocabulary[int(source.paretovariate(0.6)) % len(vocabulary)] for _ in range(count))
    return " ".join(picked)


def page(source: random.Random, vocabulary: list[str]) -> str:
    """Write about 4 kB with headings, paragraphs and a table."""
    parts = [f"# {sentence(source, vocabulary, 4)}\n"]
    for _ in range(4):
        parts.append(f"## {sentence(source, vocabulary, 3)}\n")
        parts.extend(f"{sentence(source, vocabulary, 60)}.\n" for _ in range(2))
    rows = "".join(f"| {sentence(source, vocabulary, 2)} | {n}.5 |\n" for n in range(8))
    parts.append(f"| name | value |\n|---|---|\n{rows}")
    return "\n".join(parts)


class Floor:
    """Plain FTS5 with unicode61 over the same passages."""

    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = NORMAL")
        self.db.execute("CREATE VIRTUAL TABLE words USING fts5(path UNINDEXED, text)")

    def add(self, files: list[Path]) -> None:
        """Cut files as agentkit does and store their passages."""
        self.db.execute("BEGIN")
        for file in files:
            parsed = parse(file.read_bytes(), "markdown")
            rows = [(file.name, passage.text) for passage in passages(parsed, Policy())]
            self.db.executemany("INSERT INTO words VALUES (?, ?)", rows)
        self.db.execute("COMMIT")

    def replace(self, file: Path) -> None:
        """Store a file in place of its former version."""
        self.db.execute("DELETE FROM words WHERE path = ?", (file.name,))
        self.add([file])

    def search(self, query: str) -> list[tuple[str, str]]:
        """Return the five best passages."""
        match = " OR ".join(f'"{word}"' for word in query.split())
        return self.db.execute(
            "SELECT path, text FROM words WHERE words MATCH ? ORDER BY rank LIMIT 5", (match,)
        ).fetchall()


def timed(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def show(what: str, ours: float, floor: float) -> None:
    print(f"{what:<34}{ours * 1e3:>11.2f} ms {floor * 1e3:>11.2f} ms {ours / floor:>8.2f}x")


def percentile(times: list[float], share: int) -> float:
    return statistics.quantiles(times, n=100)[share - 1]


def measure(folder: Path, files: list[Path], source: random.Random, vocabulary: list[str]) -> None:
    index = Index(folder, folder.parent / "ours.db")
    floor = Floor(folder.parent / "floor.db")
    floor_time = timed(lambda: floor.add(files))
    show(f"index {len(files)} files", timed(index.refresh), floor_time)
    index.refresh()
    time.sleep(2.1)  # files written just now are read again until their stamps are safe
    index.refresh()
    unchanged = [timed(index.refresh) for _ in range(UPDATES)]
    print(f"{'refresh, nothing changed':<34}{statistics.median(unchanged) * 1e3:>11.2f} ms")

    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(UPDATES):
        file = source.choice(files)
        file.write_text(page(source, vocabulary))
        theirs.append(timed(lambda file=file: floor.replace(file)))
        ours.append(timed(index.refresh))
    show("one file changed, with its walk", statistics.median(ours), statistics.median(theirs))

    time.sleep(2.1)
    index.refresh()
    ours.clear()
    theirs.clear()
    whole: list[float] = []
    for _ in range(QUERIES):
        query = sentence(source, vocabulary, source.randint(2, 6))
        theirs.append(timed(lambda query=query: floor.search(query)))
        whole.append(timed(lambda query=query: index.search(query)))
        ours.append(whole[-1] - timed(index.refresh))
    for share in (50, 99):
        show(
            f"query p{share}, without the walk", percentile(ours, share), percentile(theirs, share)
        )
    for share in (50, 99):
        show(
            f"query p{share}, as a tool has it", percentile(whole, share), percentile(theirs, share)
        )
    size = sum(file.stat().st_size for file in files)
    index.close()
    floor.db.close()
    ours_size, floor_size = (
        (folder.parent / name).stat().st_size for name in ("ours.db", "floor.db")
    )
    print(f"disk per byte of text: {ours_size / size:.2f} (floor {floor_size / size:.2f})")


def main() -> None:
    arguments = argparse.ArgumentParser(description="Document search beside plain FTS5.")
    arguments.add_argument("--files", type=int, default=2_000)
    count = arguments.parse_args().files
    source = random.Random(5)
    vocabulary = words(source)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "documents"
        folder.mkdir()
        files = [folder / f"{number}.md" for number in range(count)]
        for file in files:
            file.write_text(page(source, vocabulary))
        print(f"{'':<34}{'agentkit':>14} {'FTS5 unicode61':>14} {'ratio':>9}")
        measure(folder, files, source, vocabulary)


if __name__ == "__main__":
    main()
