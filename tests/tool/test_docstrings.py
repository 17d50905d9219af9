"""What is read from a docstring."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.tool.docstring import parse_docstring

GOOGLE = """Search the documents.

    Ranks by relevance.

    Args:
        query (str): What to look for,
            over two lines.
        top_k (Optional[Callable[[int], str]], optional): How many.
        **rest: Anything else.

    Returns:
        The hits,
        best first.

    Raises:
        ValueError: never.

    Example:
        search("x")
    """

NUMPY = """Search the documents.

    Ranks by relevance.

    Parameters
    ----------
    query : str
        What to look for,
        over two lines.
    top_k : int, optional
        How many.
    **rest
        Anything else.

    Returns
    -------
    The hits,
    best first.

    Raises
    ------
    ValueError
        never.
    """

REST = """Search the documents.

    Ranks by relevance.

    :param str query: What to look for,
        over two lines.
    :param top_k: How many.
    :type top_k: int
    :param rest: Anything else.
    :returns: The hits,
        best first.
    :raises ValueError: never.
    """

EPYTEXT = REST.replace("    :", "    @")


@pytest.mark.parametrize("text", [GOOGLE, NUMPY, REST, EPYTEXT])
def test_every_style_gives_the_same_descriptions(text):
    said = parse_docstring(text)
    assert said.parameters == {
        "query": "What to look for, over two lines.",
        "top_k": "How many.",
        "rest": "Anything else.",
    }
    assert said.description.startswith("Search the documents.\n\nRanks by relevance.")
    assert said.description.endswith("Returns: The hits, best first.")
    assert "never" not in said.description


def test_examples_stay_in_the_description():
    assert 'search("x")' in parse_docstring(GOOGLE).description


def test_several_numpy_parameters_share_a_description():
    text = "X.\n\nParameters\n----------\nleft, right : int\n    A side."
    assert parse_docstring(text).parameters == {"left": "A side.", "right": "A side."}


@pytest.mark.parametrize("text", [None, "", "   \n  "])
def test_no_docstring_says_nothing(text):
    said = parse_docstring(text)
    assert (said.description, said.parameters) == ("", {})


def test_a_colon_in_plain_text_is_no_section():
    text = "Do this: not that.\n\nNote: Args are odd.\n: stray\n:unknown field: kept"
    assert parse_docstring(text).description == text


@given(st.text(alphabet=":@-* \n\tArgs()param xRetuns", max_size=200))
def test_any_text_is_accepted(text):
    parse_docstring(text)
