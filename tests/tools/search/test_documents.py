"""Files that cannot be read are named and skipped, encodings are found, the folder is a border."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from agentkit_tools.search.files import Problem
from agentkit_tools.search.index import Index
from agentkit_tools.search.policy import Policy

CHINESE = "智谱发布了新的模型,参数规模很大,开发者可以下载权重并在本地部署。" * 8
RUSSIAN = "Компания представила новую модель, которую разработчики могут скачать. " * 8
FRENCH = "Le modèle a été entraîné sur des données françaises et européennes. " * 8


def reasons(index: Index) -> dict[str, str]:
    return {problem.document: problem.reason for problem in index.refresh().problems}


def test_bad_documents_are_skipped_and_the_rest_is_indexed(index, put, warnings, examples):
    put("good.md", "alpha")
    put("empty.md", "")
    put("blank.txt", " \n\n ")
    put("binary.txt", bytes(range(256)) * 10)
    put("picture.md", b"\x89PNG\r\n\x1a\n" + os.urandom(5000))
    put("broken.pdf", b"%PDF-1.4\nnothing of use")
    put("cut.pdf", (examples.root / "limits.en.pdf").read_bytes()[:300])
    put("empty.pdf", "")
    put("empty.html", "<html><body></body></html>")
    put("huge.md", "").write_bytes(b"")
    os.truncate(index.root / "huge.md", 50_000_000)
    found = reasons(index)
    assert sorted(found) == [
        "binary.txt", "blank.txt", "broken.pdf", "cut.pdf", "empty.html", "empty.md",
        "empty.pdf", "huge.md", "picture.md",
    ]  # fmt: skip
    assert "50 MB" in found["huge.md"]
    assert "binary" in found["binary.txt"]
    assert "broken PDF" in found["broken.pdf"]
    assert found["empty.md"] == "is empty"
    assert [hit.document for hit in index.search("alpha")] == ["good.md"]
    assert {log["document"] for log in warnings} == set(found)
    index.refresh()
    assert len(warnings) == len(found), "each is warned of once"


def test_a_repaired_document_is_indexed(index, put):
    put("a.md", "")
    assert reasons(index)
    put("a.md", "alpha")
    assert not reasons(index)
    assert index.search("alpha")


@pytest.mark.parametrize(
    ("text", "encoding", "query"),
    [
        (CHINESE, "utf-8-sig", "权重"),
        (CHINESE, "utf-16", "权重"),
        (CHINESE, "gb18030", "权重"),
        (RUSSIAN, "cp1251", "разработчик"),
        (FRENCH, "latin-1", "européennes"),
        (FRENCH, "cp1252", "entraîné"),
        ("价格表\n", "gb18030", "价格"),
        ("цена за миллион\n", "cp1251", "цена"),
        ("déjà vu\n", "latin-1", "déjà"),
        ("新しいモデルが発表されました。\n", "shift_jis", "モデル"),
    ],
)
def test_encodings(index, put, text, encoding, query):
    put("a.txt", text.encode(encoding))
    assert not reasons(index)
    (hit, *_) = index.search(query)
    assert hit.text.startswith(text.strip()[:20])


def test_html_that_names_its_encoding(index, put):
    page = f'<html><head><meta charset="gb2312"></head><body><p>{CHINESE}</p></body></html>'
    put("a.html", page.encode("gb2312"))
    assert index.search("权重")


def test_html_fragments_and_xhtml(index, put):
    put("fragment.html", "<b>alpha</b> beta<script>evil()</script>")
    put(
        "page.xhtml", '<?xml version="1.0" encoding="utf-8"?><html><body><p>gamma</p></body></html>'
    )
    assert [hit.document for hit in index.search("alpha")] == ["fragment.html"]
    assert [hit.document for hit in index.search("gamma")] == ["page.xhtml"]
    assert index.search("evil") == []


def test_line_ends_do_not_move_line_numbers(index, put):
    put("a.txt", "one\r\ntwo\rthree\fstill three\u2028and on\nfour alpha\r\n")
    assert index.lines("a.txt") == ("one", "two", "three\fstill three\u2028and on", "four alpha")


def test_pdf_passages_name_their_page(examples):
    (hit, *_) = examples.search("Terminal-Bench gap nine points closed models stay ahead")
    assert (hit.document, hit.heading) == ("limits.en.pdf", "page 2")
    lines = examples.lines("limits.en.pdf")
    assert "\n".join(lines[hit.start_line - 1 : hit.end_line]) == hit.text


def test_other_files_are_counted_and_hidden_ones_left_out(index, put):
    put("a.md", "alpha")
    put("b.png", "x")
    put(".git/c.md", "alpha")
    put("node_modules/d.md", "alpha")
    report = index.refresh()
    assert report.documents == 1
    assert dict(report.ignored) == {".png": 1}


def test_links_do_not_lead_out(index, put, tmp_path):
    secret = tmp_path / "secret.md"
    secret.write_text("password alpha")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x.md").write_text("password")
    inside = put("inside.md", "alpha")
    (index.root / "out.md").symlink_to(secret)
    (index.root / "up").symlink_to(tmp_path / "elsewhere")
    (index.root / "loop").symlink_to(index.root)
    (index.root / "dangling.md").symlink_to(index.root / "nothing.md")
    (index.root / "in.md").symlink_to(inside)
    found = reasons(index)
    assert "leads out" in found["out.md"]
    assert "dangling.md" in found
    assert index.search("password") == []
    assert index.documents() == ["in.md", "inside.md"]


def test_a_file_that_becomes_a_link_after_the_walk_is_not_followed(
    index, put, tmp_path, monkeypatch
):
    (tmp_path / "secret.md").write_text("password")
    path = put("a.md", "alpha")
    from agentkit_tools.search import index as module

    real = module.survey

    def swapped(*args):
        result = real(*args)
        path.unlink()
        path.symlink_to(tmp_path / "secret.md")
        return result

    monkeypatch.setattr(module, "survey", swapped)
    assert "leads out" in reasons(index)["a.md"]


def test_pipes_are_not_opened(index, put):
    put("a.md", "alpha")
    os.mkfifo(index.root / "pipe.md")
    assert reasons(index) == {"pipe.md": "is not a plain file"}


def test_names_that_are_not_utf8(index, put):
    put("a.md", "alpha")
    with open(os.fsencode(index.root) + b"/b\xff.md", "wb") as file:  # noqa: PTH123
        file.write(b"beta")
    assert list(reasons(index)) == ["b\\udcff.md"]
    assert index.search("beta") == []


PERMISSION = """
import os, sys, structlog
from agentkit_tools.search.index import Index
Index(os.path.dirname(sys.argv[1]), ":memory:").refresh()  # loads all modules while it may
os.setgid(65534)
os.setuid(65534)
for problem in Index(sys.argv[1], ":memory:").refresh().problems:
    print(problem.document, problem.reason)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="has to become another user")
def test_files_and_folders_without_permission(index, put, tmp_path):
    """Run as nobody: root may read everything."""
    put("a.md", "alpha")
    put("closed.md", "beta").chmod(0)
    put("shut/c.md", "gamma").parent.chmod(0o700)
    for parent in (index.root, tmp_path, tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", PERMISSION, str(index.root)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "closed.md cannot be opened: Permission denied",
        "shut cannot be opened: Permission denied",
    ]


@pytest.mark.parametrize(
    ("name", "package", "format_name"),
    [("a.pdf", "pypdfium2", "PDF"), ("a.html", "trafilatura", "HTML")],
)
def test_a_missing_parser_is_named_and_tried_again(
    index, put, monkeypatch, name, package, format_name, examples
):
    source = "limits.en.pdf" if format_name == "PDF" else "overview.en.html"
    put(name, (examples.root / source).read_bytes(), age=3600)
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, package, None)
        assert package in reasons(index)[name]
    assert not reasons(index)


def test_limits_are_data(folder, put):
    put("a.md", "alpha beta")
    index = Index(folder, ":memory:", Policy(max_bytes=5))
    assert index.refresh().problems == (
        Problem(
            "a.md",
            "has 0 MB, more than the limit of 0 MB; split it or raise Policy.max_bytes",
        ),
    )
