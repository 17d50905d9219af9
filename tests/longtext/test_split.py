"""Splitting: nothing is lost, nothing is over the limit, and cuts stand where a reader expects."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.errors import ConfigError
from agentkit.longtext import split

LINES = st.sampled_from(
    [
        "# A title",
        "## Second level ##",
        "Setext",
        "======",
        "```python",
        "# no heading, a comment",
        "```",
        "",
        "   ",
        "A sentence. Another one! And a third? Yes.",
        "第一章 总则",
        "这是一个句子。这是另一个句子！还有一个。" * 4,
        "Одно предложение. Другое предложение.",
        "x" * 90,
        "👩‍👩‍👧 é\u0301",
        "a\r",
        "\x0c",
        "\u2028",
    ]
)


@given(st.lists(LINES | st.text(max_size=60), max_size=80), st.integers(16, 200))
@settings(max_examples=300, deadline=None)
def test_the_parts_joined_are_the_document_and_none_is_over_the_limit(lines, limit):
    document = "\n".join(lines)
    if any("\ud800" <= char <= "\udfff" for char in document):
        return
    parts = split(document, limit)
    assert "".join(part.text for part in parts) == document
    assert [part.position for part in parts] == list(range(1, len(parts) + 1))
    for part in parts:
        assert 0 < part.tokens <= limit
        assert document.startswith(part.text, part.start)


def chapters(count, paragraphs):
    blocks = []
    for chapter in range(1, count + 1):
        blocks.append(f"# Chapter {chapter}")
        for section in (1, 2):
            blocks.append(f"## Section {chapter}.{section}")
            blocks += [
                f"Paragraph {number}. " + "Some words. " * 20 for number in range(paragraphs)
            ]
    return "\n\n".join(blocks)


def test_a_part_begins_at_a_heading_where_one_is_in_reach_and_knows_what_stands_above_it():
    document = chapters(6, 3)
    parts = split(document, 500)
    assert len(parts) > 3
    assert all(part.text.startswith("#") for part in parts)
    under = [part for part in parts if part.text.startswith("## ")]
    for part in under:
        chapter = part.text.split()[2].split(".")[0]
        assert part.headings == (f"Chapter {chapter}",)


def test_parts_are_about_even_so_that_none_is_a_remnant():
    parts = split("\n\n".join("Some words of text. " * 5 for _ in range(101)), 400)
    sizes = [part.tokens for part in parts]
    assert min(sizes) > max(sizes) / 2


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        ("One paragraph here, with words.\n\n" * 40, "One paragraph"),
        ("a line of a table | 12 | 13\n" * 60, "a line"),
        ("A sentence of some words. " * 60, "A sentence"),
        ("这是一个句子。" * 100, "这是"),
        ("word " * 300, "word"),
    ],
)
def test_without_headings_the_cut_is_at_the_next_best_place(text, starts):
    parts = split(text, 60)
    assert len(parts) > 4
    assert all(part.text.startswith(starts) for part in parts)


def test_a_comment_in_a_code_block_is_no_heading():
    code = "```python\n" + "# not a heading\nx = 1\n\n" * 12 + "```\n"
    document = f"# Real\n\n{code}\n# Also real\n\n{'words ' * 40}\n"
    parts = split(document, 120)
    assert [part.text.splitlines()[0] for part in parts][-1] == "# Also real"
    assert all("not a heading" not in heading for part in parts for heading in part.headings)


def test_what_cannot_be_split_is_refused_with_the_reason():
    assert split("", 100) == []
    with pytest.raises(ConfigError, match="at least 16"):
        split("x", 3)
    with pytest.raises(ConfigError, match="offset 2"):
        split("ab\ud800", 100)
