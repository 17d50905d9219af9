"""The index follows its folder, survives damage, and can be shared by threads and processes."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest

from agentkit_tools.search import database
from agentkit_tools.search.database import SearchError
from agentkit_tools.search.index import Index
from agentkit_tools.search.policy import Policy


def tag(number: int) -> str:
    """A word of its own for each number; digits would be parts that several words share."""
    return "zz" + str(number).translate(str.maketrans("0123456789", "bcdfghjklm"))


def ids(index: Index, query: str) -> list[str]:
    return [hit.document for hit in index.search(query)]


def test_new_changed_and_deleted_files_are_noticed(index, put):
    put("a.md", "alpha")
    put("b.md", "beta")
    first = index.refresh()
    assert (first.added, first.changed, first.removed, first.documents) == (2, 0, 0, 2)
    put("a.md", "gamma")
    put("b.md", "").unlink()
    put("c.md", "delta")
    second = index.refresh()
    assert (second.added, second.changed, second.removed, second.documents) == (1, 1, 1, 2)
    assert ids(index, "alpha beta") == []
    assert ids(index, "gamma") == ["a.md"]


def test_a_renamed_file_is_found_under_its_new_name_only(index, put):
    old = put("old.md", "alpha")
    index.refresh()
    old.rename(old.with_name("new.md"))
    assert ids(index, "alpha") == ["new.md"]


def test_a_rewrite_of_equal_size_and_time_is_noticed(index, put):
    """Not even `touch -r` hides a change: the change time cannot be set."""
    path = put("a.md", "alpha", age=3600)
    index.refresh()
    before = path.stat()
    path.write_text("gamma")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert ids(index, "gamma") == ["a.md"]


def test_two_quick_writes_are_both_noticed(index, put):
    """A write within the clock's grain of the last reading has the same stamp."""
    for word in ("alpha", "gamma", "delta", "kappa"):
        put("a.md", word)
        assert ids(index, word) == ["a.md"]


def test_unchanged_files_are_not_read_again(index, put, monkeypatch):
    from agentkit_tools.search import index as module

    monkeypatch.setattr(module, "RACY_NS", -(10**18))  # as if every file were old
    put("a.md", "alpha")
    put("b.md", "")
    index.refresh()
    read = []
    real = module.read
    monkeypatch.setattr(module, "read", lambda *args: read.append(args[1]) or real(*args))
    index.refresh()
    assert read == []
    put("c.md", "gamma")
    index.refresh()
    assert read == ["c.md"]


def test_the_next_process_starts_with_the_index(folder, tmp_path, put):
    put("a.md", "alpha")
    Index(folder, tmp_path / "i.db").refresh()
    again = Index(folder, tmp_path / "i.db").refresh()
    assert (again.added, again.documents) == (0, 1)


@pytest.mark.parametrize("damage", ["garbage", "truncated", "middle"])
def test_a_damaged_index_is_rebuilt_with_a_warning(folder, tmp_path, put, warnings, damage):
    for number in range(50):
        put(f"{number}.md", f"alpha {tag(number)} " * 50)
    path = tmp_path / "i.db"
    first = Index(folder, path)
    first.refresh()
    first.close()
    data = path.read_bytes()
    if damage == "garbage":
        path.write_bytes(b"this is no database " * 100)
    elif damage == "truncated":
        path.write_bytes(data[: len(data) // 2])
    else:
        path.write_bytes(data[:8192] + os.urandom(len(data) - 8192))
    assert ids(Index(folder, path), tag(17)) == ["17.md"]
    assert [log["event"] for log in warnings] == ["index damaged, rebuilding"]
    assert path.with_name("i.db.damaged").exists()


def test_damage_under_an_open_index_is_repaired(index, put, warnings, tmp_path):
    put("a.md", "alpha")
    assert ids(index, "alpha") == ["a.md"]
    index.close()
    (tmp_path / "index.db").write_bytes(b"x" * 9000)
    assert ids(index, "alpha") == ["a.md"]
    assert [log["event"] for log in warnings] == ["index damaged, rebuilding"]


def test_an_index_deleted_under_its_user_is_made_again(index, put, tmp_path):
    put("a.md", "alpha")
    index.refresh()
    for path in tmp_path.glob("index.db*"):
        path.unlink()
    assert ids(index, "alpha") == ["a.md"]
    assert (tmp_path / "index.db").exists()


def test_another_format_is_rebuilt(folder, tmp_path, put, monkeypatch):
    put("a.md", "alpha")
    Index(folder, tmp_path / "i.db").refresh()
    monkeypatch.setattr("agentkit_tools.search.index.FORM", 999)
    assert Index(folder, tmp_path / "i.db").refresh().added == 1
    small = Policy(passage_tokens=50)
    assert Index(folder, tmp_path / "i.db", small).refresh().added == 1


def test_a_foreign_database_is_left_alone(folder, tmp_path, put):
    put("a.md", "alpha")
    path = tmp_path / "mine.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE precious (x)")
    with pytest.raises(SearchError, match="something else"):
        Index(folder, path).refresh()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM precious").fetchone() == (0,)


def test_an_index_in_memory_leaves_nothing(folder, tmp_path, put):
    put("a.md", "alpha")
    index = Index(folder, ":memory:")
    assert ids(index, "alpha") == ["a.md"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["documents"]
    index.close()
    assert ids(index, "alpha") == ["a.md"]


def test_the_default_place_is_the_cache_folder(folder, tmp_path, put, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    put("a.md", "alpha")
    index = Index(folder)
    index.refresh()
    (path,) = (tmp_path / "cache" / "agentkit" / "documents").glob("*.db")
    assert str(path) == index.path


def test_without_a_cache_folder_the_index_is_in_memory(folder, tmp_path, monkeypatch, warnings):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert Index(folder).path == ":memory:"
    assert warnings


def test_an_index_path_that_cannot_be_written_is_named(folder, tmp_path, put):
    put("a.md", "alpha")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SearchError, match=r"file/i\.db"):
        Index(folder, tmp_path / "file" / "i.db").refresh()


def test_a_folder_that_is_missing_or_goes_away(folder, tmp_path):
    with pytest.raises(NotADirectoryError, match="nowhere"):
        Index(tmp_path / "nowhere")
    index = Index(folder, ":memory:")
    shutil.rmtree(folder)
    with pytest.raises(SearchError, match="cannot list"):
        index.refresh()


def test_threads_share_one_refresh(index, put):
    for number in range(60):
        put(f"{number}.md", f"alpha {tag(number)}")
    answers: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(ids(index, tag(n)))) for n in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == sorted([f"{n}.md"] for n in range(16))
    assert index.refresh().documents == 60


def test_a_stopped_refresh_keeps_what_it_read(index, put, monkeypatch):
    for number in range(30):
        put(f"{number}.md", "alpha", age=3600)
    monkeypatch.setattr("agentkit_tools.search.index.RACY_NS", -(10**18))
    calls = []

    def slow(text):
        calls.append(text)
        if len(calls) == 10:
            index.stop()
        return text.split()

    monkeypatch.setattr("agentkit_tools.search.index.index_tokens", slow)
    with pytest.raises(SearchError, match="stopped"):
        index.refresh()
    assert len(calls) == 10
    assert index.refresh().documents == 30
    assert len(calls) == 30


PROGRAM = """
import sys
from agentkit_tools.search.index import Index
index = Index(sys.argv[1], sys.argv[2])
for round in range(5):
    hits = index.search("common")
    assert len(hits) == 5, hits
print(index.refresh().documents)
"""


def test_processes_index_at_once(folder, tmp_path, put):
    """Four processes on an empty index while files change: all agree with the files at the end."""
    for number in range(120):
        put(f"{number}.md", f"common {tag(number)} " * 30)
    path = tmp_path / "shared.db"
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder), str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for number in range(0, 120, 3):
        put(f"{number}.md", f"common qq{tag(number)} " * 30)
    for program in programs:
        out, err = program.communicate(timeout=90)
        assert (program.returncode, out.strip()) == (0, "120"), err
    index = Index(folder, path)
    assert ids(index, "qq" + tag(30)) == ["30.md"]
    assert ids(index, tag(30)) == []
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.execute("INSERT INTO words (words) VALUES ('integrity-check')")
        passages = db.execute("SELECT count(*) FROM passages").fetchone()
        assert db.execute("SELECT count(*) FROM words").fetchone() == passages
        owners = db.execute("SELECT count(DISTINCT document) FROM passages").fetchone()
        assert owners == (120,)


def test_a_process_killed_while_indexing_leaves_a_sound_index(folder, tmp_path, put):
    for number in range(400):
        put(f"{number}.md", f"common {tag(number)} " * 60)
    path = tmp_path / "killed.db"
    program = subprocess.Popen([sys.executable, "-c", PROGRAM, str(folder), str(path)])
    deadline = time.monotonic() + 30
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    program.kill()
    program.wait()
    index = Index(folder, path)
    assert index.refresh().documents == 400
    assert ids(index, tag(399)) == ["399.md"]


def test_a_busy_index_is_waited_for_and_then_named(folder, tmp_path, put, monkeypatch):
    put("a.md", "alpha")
    path = tmp_path / "i.db"
    Index(folder, path).refresh()
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.2)
    put("b.md", "beta")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        with pytest.raises(SearchError, match="locked"):
            Index(folder, path).refresh()
        db.execute("ROLLBACK")


def test_equal_text_is_one_hit_that_names_all_places(index, put):
    put("a.md", "# Price\n\nIt costs 5 dollars.")
    put("copy/a.md", "# Price\n\nIt costs 5 dollars.")
    put("other.md", "# Price\n\nIt costs 6 dollars.")
    hits = index.search("price costs dollars")
    assert len(hits) == 2
    merged = next(hit for hit in hits if "5" in hit.text)
    assert {merged.document, *(place.split(":")[0] for place in merged.also_in)} == {
        "a.md",
        "copy/a.md",
    }
    assert merged.also_in in {("a.md:1-3",), ("copy/a.md:1-3",)}


def test_equal_words_under_other_titles_are_two_facts(index, put):
    put("a.md", "# One\n\n## Price\n\nIt costs 5.\n\n# Two\n\n## Price\n\nIt costs 5.\n")
    assert len(index.search("costs")) == 2


def test_a_word_in_every_passage_still_counts(index, put):
    """FTS5's own BM25 gives such a word no weight."""
    put("a.md", "alpha")
    put("b.md", "alpha alpha alpha beta gamma")
    assert all(hit.score > 0 for hit in index.search("alpha"))


def test_queries_that_could_trouble_fts5(index, put):
    put("a.md", "alpha")
    for query in [
        '"',
        "a OR",
        "NEAR(",
        "*",
        "^",
        "-",
        "col:x",
        "",
        " ",
        "'",
        "\0",
        "\ud800",
        "(" * 99,
    ]:
        index.search(query)
    assert ids(index, " ".join(f"word{n}" for n in range(5000)) + " alpha") == []
    assert ids(index, '"alpha" AND (') == ["a.md"]
