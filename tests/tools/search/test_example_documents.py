"""The example documents: each language finds its page, and figures come back whole."""

from __future__ import annotations

import re

import pytest


@pytest.mark.parametrize(
    ("query", "document"),
    [
        ("GLM-5 benchmark SWE-bench Verified GPT-5.2 Claude Opus", "benchmarks.en.md"),
        ("GLM-5 price per million tokens input output", "prices.en.md"),
        ("how many active parameters", "parameters.en.md"),
        ("discount for cached input, three official figures", "caching.en.txt"),
        ("Which variants of GLM-5 are listed officially?", "overview.en.html"),
        ("GLM-5 的激活参数是多少?", "architecture.zh.md"),
        ("开发者认为它有什么缺点", "pingce.zh.md"),
        ("智谱什么时候上市", "versions.zh.md"),
        ("Combien de cartes graphiques pour héberger le modèle ?", "deploiement.fr.md"),
        ("taux d'hallucination en baisse", "resultats.fr.md"),
        ("¿Cuánto cuesta la entrada en caché?", "precios.es.md"),
        ("cuándo activar el modo de pensamiento", "agentes.es.md"),
        ("Сколько экспертов у модели и какая лицензия?", "parametry.ru.md"),
        ("история версий, дата выхода GLM-4.5", "versii.ru.md"),
        ("Quel est le prix du modèle ?", "resultats.fr.md"),
        ("Сколько стоит, какие цены?", "parametry.ru.md"),
        ("价格是多少", "pingce.zh.md"),
        ("slow tokens per second limits", "limits.en.pdf"),
    ],
)
def test_a_question_finds_the_page_in_its_language(examples, query, document):
    assert examples.search(query, 1)[0].document == document


def test_the_benchmark_table_comes_whole(examples):
    (hit,) = examples.search("GLM-5 benchmark SWE-bench Verified GPT-5.2 Claude Opus", 1)
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in hit.text.splitlines()
        if line.startswith("|")
    ]
    assert rows[0] == ["Benchmark", "GLM-5", "GPT-5.2", "Claude Opus 4.6"]
    assert rows[2] == ["SWE-bench Verified", "77.8", "76.2", "80.8"]
    assert len(rows) == 9


def test_the_price_tables_come_whole(examples):
    hits = examples.search("GLM-5 price per million tokens input output", 2)
    text = "\n".join(hit.text for hit in hits)
    assert "| GLM-5 | 1.00 | 0.20 | 3.20 |" in text
    assert "| GPT-5.2 | 6.00 | 30.00 | closed |" in text


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("GLM-5 licence MIT or Apache-2.0", ["MIT", "Apache-2.0"]),
        ("GLM-5 active parameters 激活参数量", ["40B", "44B"]),
        ("Humanity's Last Exam HLE tools Claude Opus", ["46.2", "43,4"]),
    ],
)
def test_sources_that_disagree_are_both_shown(examples, query, values):
    text = "\n".join(hit.text for hit in examples.search(query, 8))
    assert all(value in text for value in values)


def test_every_page_names_its_source(examples):
    words = re.compile(r"source|来源|fuente|источник|sources", re.IGNORECASE)
    for document in examples.documents():
        assert words.search("\n".join(examples.lines(document)[:6])), document


def test_ranges_are_those_of_the_file(examples):
    for query in ("GLM-5", "模型", "токен", "modèle"):
        for hit in examples.search(query, 20):
            if hit.document.endswith((".md", ".txt")):
                lines = (examples.root / hit.document).read_text().splitlines()
                assert "\n".join(lines[hit.start_line - 1 : hit.end_line]) == hit.text
