"""Passages: whole lines with their true range, along headings, tables kept together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit_tools.search.chunk import estimated_tokens, passages
from agentkit_tools.search.parse import parse
from agentkit_tools.search.policy import Policy

POLICY = Policy()
HEADER = "| Benchmark | GLM-5 |\n|---|---|"


def cut(text: str, kind: str = "markdown"):
    parsed = parse(text.encode(), kind)
    return parsed.lines, passages(parsed, POLICY)


def test_sections_carry_their_heading_path_and_lines():
    _, found = cut("# A\n\nintro\n\n## B\n\ntext\n\n### C\ndeep\n\n## D\nlast\n")
    assert [(p.heading, p.start, p.end) for p in found] == [
        ("A", 1, 3),
        ("A > B", 5, 7),
        ("A > B > C", 9, 10),
        ("A > D", 12, 13),
    ]


def test_a_title_without_text_goes_with_the_next_section():
    _, (found,) = cut("# A\n\n## B\n\ntext")
    assert (found.heading, found.start, found.end) == ("A > B", 1, 5)
    assert found.text.startswith("# A")


def test_underlined_headings_and_front_matter():
    _, found = cut("---\ntitle: x\n---\n\nTitle\n=====\n\none\n\nPart\n----\n\ntwo\n")
    assert [p.heading for p in found] == ["", "Title", "Title > Part"]


def test_marks_inside_code_are_no_headings():
    _, (found,) = cut("# A\n\n```sh\n# not a heading\n\nrun\n```\n")
    assert found.heading == "A"


def test_a_table_stays_with_its_header_and_introduction():
    rows = "\n".join(f"| Test number {n} | {n}.5 |" for n in range(30))
    _, found = cut(f"# Scores\n\nHigher is better.\n\n{HEADER}\n{rows}\n\nAfter.\n")
    assert found[0].text.count("\n| Test number") == 30
    assert "Higher is better" in found[0].text


def test_a_long_table_repeats_its_header_and_counts_its_own_rows():
    rows = [f"| Test number {n} of many | {n}.5 |" for n in range(200)]
    lines, found = cut("\n".join([HEADER, *rows]))
    assert len(found) > 1
    for passage in found:
        assert passage.text.startswith(HEADER)
        own = passage.text if passage.start == 1 else passage.text[len(HEADER) + 1 :]
        assert own == "\n".join(lines[passage.start - 1 : passage.end])
    assert [p.start for p in found[1:]] == [p.end + 1 for p in found[:-1]]


def test_passages_have_about_the_size_that_was_asked_for():
    paragraph = "Some words that say a little about the matter at hand. " * 4
    _, found = cut("\n\n".join([paragraph] * 40))
    sizes = [estimated_tokens(p.text) for p in found]
    assert max(sizes) <= 300
    assert 120 < sum(sizes) / len(sizes) < 260


def test_one_endless_line_is_cut_with_one_range():
    _, found = cut("word " * 5000 + "x" * 9000 + "字" * 3000)
    assert {(p.start, p.end) for p in found} == {(1, 1)}
    assert max(estimated_tokens(p.text) for p in found) <= 300


def test_plain_text_headings_are_seen_by_their_look():
    text = (
        "About prices\n\nThis is the first paragraph of the page, a long one.\n\n"
        "What is cached\nThe service keeps the start of earlier prompts by itself.\n\n"
        "# also a heading\n\nbody text\nx = 1\n# a comment\ny = 2\n"
    )
    _, found = cut(text, "text")
    assert [p.heading for p in found] == [
        "About prices",
        "About prices > What is cached",
        "About prices > also a heading",
    ]


def test_plain_code_and_lists_have_no_headings():
    _, found = cut("import json\nfrom x import y\nprint(1)\n\n- One\n- Two\n", "text")
    assert {p.heading for p in found} == {""}


@pytest.mark.parametrize("kind", ["markdown", "text"])
@given(
    lines=st.lists(
        st.sampled_from(
            ["", "# A", "## B b", "text.", "Title", "| a | b |", "|---|---|", "```", "===", "---",
             "- item", "长文字。" * 90, "word " * 400, "> quote", "\t", "| " + "cell " * 700 + "|"]
        )
        | st.text(max_size=30),
        max_size=40,
    )
)  # fmt: skip
def test_no_line_is_lost_and_every_range_is_true(kind, lines):
    """Whatever the text: each line with text is in a passage, passages are in order."""
    text = "\n".join(lines).replace("\0", "")
    if not text.strip() or len(text) < 2:
        return
    try:
        parsed = parse(("x\n" + text).encode("utf-8", "replace"), kind)
    except Exception as error:  # noqa: BLE001
        assert "binary" in str(error)  # noqa: PT017 - control characters
        return
    found = passages(parsed, POLICY)
    covered = {n for p in found for n in range(p.start, p.end + 1)}
    assert covered >= {n for n, line in enumerate(parsed.lines, 1) if line.strip()}
    assert max(covered) <= len(parsed.lines)
    assert [p.start for p in found] == sorted(p.start for p in found)
    for passage in found:
        whole = "\n".join(parsed.lines[passage.start - 1 : passage.end])
        assert passage.text.split("\n")[-1].strip() in whole
