"""The parameters of a query, strictly decoded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.http.query import PARAMETERS_MAX, format_query, parse_query


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("", {}),
        ("&&", {}),
        ("a=1", {"a": ["1"]}),
        ("a=1&b=&a=2&c", {"a": ["1", "2"], "b": [""], "c": [""]}),
        ("a=x+y&a=x%2By", {"a": ["x y", "x+y"]}),
        ("name%5B%5D=%e2%82%ac", {"name[]": ["€"]}),
        ("a=b=c", {"a": ["b=c"]}),
        ("%61=%F0%9F%A6%8A", {"a": ["🦊"]}),
    ],
)
def test_a_query_is_a_list_of_values_by_name(text: str, parameters: dict[str, list[str]]) -> None:
    """As browsers write it: in order, with `+` for a space."""
    assert parse_query(text) == parameters


@pytest.mark.parametrize("text", ["a=%", "a=%4", "a=%zz", "%=1", "a=%ff", "a=%c3", "a=%00", "a=%0a", "a=%7f", "a=é"])
def test_what_cannot_be_taken_at_its_word_is_none(text: str) -> None:
    """A cut escape, bytes that are not UTF-8, control characters."""
    assert parse_query(text) is None


def test_there_is_a_most_of_parameters() -> None:
    """At the bound all are there; one more is refused."""
    fitting = "&".join(f"a{number}=1" for number in range(PARAMETERS_MAX))
    assert len(parse_query(fitting) or {}) == PARAMETERS_MAX
    assert parse_query(fitting + "&b=1") is None


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=80))
def test_any_text_is_parameters_or_none(text: str) -> None:
    """Noise raises nothing."""
    assert parse_query(text) is None or isinstance(parse_query(text), dict)


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=8),
        st.lists(st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=8), min_size=1, max_size=3),
        max_size=5,
    )
)
def test_what_is_written_is_read_again(parameters: dict[str, list[str]]) -> None:
    """Any names and values without control characters."""
    assert parse_query(format_query(parameters)) == parameters
