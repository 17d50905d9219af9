"""The rehearsal model reads its figures out of tool results and nowhere else."""

from __future__ import annotations

import json

import pytest

from agentkit.testing import rehearse
from agentkit.testing.figures import (
    Figure,
    differences,
    hit_lines,
    number,
    prices,
    read_lines,
    scores,
    tables,
)

HITS = """\
[1] a.md:10-14 | Scores | score 9.10
| Benchmark | GLM-5 | Rival Claude 9 |
|---|---|---|
| Juggling | **12,5 %** | ~13.5 |
| Sawing | 40–50 | 60 |
| Index | -1 | 34 |

[2] b.md:3-6 | Prices | score 8.00
| Modelo | Entrada | En caché | Salida |
|---|---|---|---|
| GLM-5 | $7.00 | 1.00 | 9,00$ / M |
| GPT-77 | 70 | 10 | 90 |
"""


def test_the_repeated_header_of_a_split_table_does_not_shift_its_lines():
    text = "[1] a.md:40-41 | T | score 1.00\n| B | GLM-5 | GPT-1 |\n|---|---|---|\n| x | 1 | 2 |\n"
    text += "| y | 3 | 4 |\n\n[2] b.md:1-1 | - | score 0.50\nplain\n"
    (table,) = tables(hit_lines(text))
    assert [(figure.subject, figure.line) for figure in scores(table)] == [
        ("x", 40),
        ("x", 40),
        ("y", 41),
        ("y", 41),
    ]


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("77.8", 77.8),
        ("**77,8 %**", 77.8),
        ("~67", 67.0),
        ("$1.00", 1.0),
        ("0,20$ / M", 0.2),
        ("-1", -1.0),
        ("68.2%~86.0%", None),
        ("744B", None),
        ("—", None),
        ("", None),
    ],
)
def test_a_cell_is_a_number_only_when_one_number_is_all_it_holds(cell, value):
    assert number(cell) == value


def test_figures_keep_their_document_and_line():
    first, second = tables(hit_lines(HITS))
    assert scores(first) == [
        Figure("Juggling", "GLM-5", 12.5, "a.md", 12),
        Figure("Juggling", "Rival Claude 9", 13.5, "a.md", 12),
    ]
    assert [(f.subject, f.model, f.value, f.line) for f in prices(second)] == [
        ("input", "GLM-5", 7.0, 5),
        ("output", "GLM-5", 9.0, 5),
        ("input", "GPT-77", 70.0, 6),
        ("output", "GPT-77", 90.0, 6),
    ]
    assert prices(first) == []
    assert scores(second) == []


def test_the_same_table_seen_twice_counts_once():
    read = "10| | B | GLM-5 | GPT-1 |\n11| |---|---|---|\n12| | x | 1 | 2 |"
    lines = [*read_lines("a.md", read), *read_lines("a.md", read)]
    assert len(tables(lines)) == 1


def test_sources_that_differ_are_paired_across_versions_and_spellings():
    one = Figure("Humanity's Last Exam (with tools)", "Claude Opus 4.6", 46.2, "a", 1)
    two = Figure("HLE avec outils", "Claude Opus 4.5", 43.4, "b", 2)
    three = Figure("AIME 2025", "GLM-5", 88.7, "a", 3)
    four = Figure("AIME 2026 I", "GLM-5", 92.7, "a", 4)
    assert differences([one, two, one, two, three, four]) == [(one, two)]


def conversation(*results):
    """Return a request whose tool results answer the rehearsal model's own calls."""
    tools = [
        {"function": {"name": name}}
        for name in ("search_documents", "read_document", "execute_code")
    ]
    messages = [{"role": "user", "content": "go"}]
    for number_, (name, arguments, content) in enumerate(results):
        function = {"name": name, "arguments": json.dumps(arguments)}
        call = {"id": f"c{number_}", "type": "function", "function": function}
        messages.append({"role": "assistant", "content": "", "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": f"c{number_}", "content": content})
    return {"messages": messages, "tools": tools}


def test_its_program_draws_the_numbers_of_the_search_results():
    search = ("search_documents", {"query": "q"}, HITS)
    read = ("read_document", {"id": "a.md"}, "nothing more")
    assert {call.name for call in rehearse(conversation()).calls} >= {"search_documents"}
    assert rehearse(conversation(search)).calls[0].arguments["id"] == "a.md"
    say = rehearse(conversation(search, read))
    code = next(call.arguments["code"] for call in say.calls if call.name == "execute_code")
    for text in ("12.5", "13.5", "70.0", "GPT-77"):
        assert text in code
    assert "77.8" not in code


def test_when_code_cannot_run_the_answer_says_so_and_still_has_the_figures():
    failed = "Code cannot be run here: no daemon."
    say = rehearse(
        conversation(
            ("search_documents", {"query": "q"}, HITS),
            ("read_document", {"id": "a.md"}, ""),
            ("execute_code", {"code": "x"}, failed),
            ("update_plan", {"steps": [{"status": "done"}] * 4}, ""),
        )
    )
    assert failed in say.text
    assert "| Juggling | 12.5 | 13.5 | a.md, line 12 |" in say.text
