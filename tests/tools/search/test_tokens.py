"""Tokens: the same text gives the same tokens however it is written, in every script."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit_tools.search.tokens import MAX_TOKEN, Term, index_tokens, query_terms


def found(query: str, text: str) -> bool:
    """Whether every term of a query is among the tokens of a text."""
    tokens = index_tokens(text)
    return all(
        any(token.startswith(term.token) for token in tokens)
        if term.prefix
        else term.token in tokens
        for term in query_terms(query)
    )


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("GLM-4.7-FlashX", ["glm4.7flashx", "glm", "4.7", "flashx"]),
        ("max_tokens", ["maxtokens", "max", "token"]),
        ("744B", ["744b", "744"]),
        ("k2.5", ["k2.5", "2.5"]),
        ("running tests", ["run", "test"]),
        ("моделей моделями", ["модел", "модел"]),
        ("Café ＧＬＭ", ["cafe", "glm"]),
        ("智谱清言", ["智谱", "谱清", "清言", "言"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("l'attention du modèle", ["attent", "du", "model"]),
        ("200,000 and 77,8", ["200000", "and", "77.8"]),
        ("1.5.", ["1.5"]),
        ("", []),
        ("--- *** ...", []),
    ],
)
def test_tokens_of_a_text(text, tokens):
    assert index_tokens(text) == tokens


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("glm5", "GLM-5"),
        ("GLM 5", "GLM-5"),
        ("GLM-5", "glm5"),
        ("GPT5.2", "gpt-5.2"),
        ("744", "744B parameters"),
        ("flashx", "GLM-4.7-FlashX"),
        ("GLM\u20115", "GLM-5"),
        ("oeuvre", "l'œuvre"),
        ("straße", "STRASSE"),
        ("ещё", "еще"),
        ("谱", "智谱"),
        ("智", "智谱"),
        ("200000", "200,000"),
        ("77.8", "77,8 %"),
        ("ไทย", "ภาษาไทยง่าย"),
    ],
)
def test_ways_of_writing_meet(query, text):
    assert found(query, text)


@pytest.mark.parametrize(
    ("query", "text"), [("47", "4.7"), ("772", "77.2"), ("иод", "йод"), ("谱", "智者")]
)
def test_other_words_do_not_meet(query, text):
    assert not found(query, text)


def test_stop_words_leave_queries_only():
    assert [term.token for term in query_terms("what is the price of it")] == ["price"]
    assert index_tokens("the price") == ["the", "price"]
    assert [term.token for term in query_terms("价格是多少")][:1] == ["价格"]


def test_a_query_of_stop_words_keeps_them():
    assert [term.token for term in query_terms("to be or not to be")] == ["not"]
    assert [term.token for term in query_terms("the of")] == ["the", "of"]
    assert query_terms("的") == (Term("的", prefix=True),)


def test_terms_are_distinct():
    assert len(query_terms("price price PRICE prices")) == 1


@given(st.text())
def test_any_text_has_clean_tokens(text):
    """Tokens never hold what FTS5 or the joining space would cut, and are not endless."""
    for token in index_tokens(text):
        assert token
        assert len(token) <= MAX_TOKEN
        assert not any(c.isspace() or (c.isascii() and not c.isalnum() and c != ".") for c in token)


@given(st.text())
def test_every_text_answers_to_itself(text):
    assert found(text, text)


@given(st.text(alphabet=st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=1))
def test_every_cjk_character_can_be_found(text):
    assert all(found(character, f"GLM{text}。") for character in text)


@given(st.text(), st.text())
def test_a_text_is_found_inside_a_longer_one(query, before):
    """Holds for spaced words; the parts of an answer are cut at line breaks."""
    assert found(query, f"{before}\n{query}\n")
