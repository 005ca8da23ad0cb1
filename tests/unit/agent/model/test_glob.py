"""Globs: what `fnmatch` says, in bounded time."""

from fnmatch import fnmatchcase

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.model.glob import Glob, prepared, stars

patterns = st.text("ab*?[]!-\n.", max_size=12)
names = st.text("ab*?[]!-\n.", max_size=12)


@given(patterns, names)
@example("*", "")
@example("**", "ab")
@example("a*a", "a")
@example("*a[!b]?", "aab\n")
@example("[]a]*", "]b")
@example("[!]a]*[", "b[")
@example("[b-a]", "a")
@example("[*]*", "*b")
@example("*ab*ab", "abab")
@example("*ab*cd*", "abdcabd")
def test_it_says_what_fnmatch_says(pattern: str, name: str) -> None:
    """For every pattern and name, brackets that never close included."""
    assert Glob(pattern).matches(name) is fnmatchcase(name, pattern)


@given(st.lists(st.sampled_from(["a", "b", "ab", "?", "[ab]", "[!a]", "*"]), max_size=9), st.text("ab", max_size=14))
def test_it_says_what_fnmatch_says_of_patterns_with_many_pieces(pieces: list[str], name: str) -> None:
    """Made of whole pieces, so that most of them match something."""
    pattern = "".join(pieces)
    assert Glob(pattern).matches(name) is fnmatchcase(name, pattern)


def test_many_stars_over_long_names_cost_a_walk_each() -> None:
    """The pattern that once stood for a hang: two hundred of them over two hundred names."""
    globs = [Glob(f"*app*app*app*web-{number}") for number in range(200)]
    named = ["app" * 70 + f"-web-{number}" for number in range(200)]
    assert sum(glob.matches(name) for glob in globs for name in named) == 200


@pytest.mark.parametrize(
    ("pattern", "count"),
    [("", 0), ("a", 0), ("*", 1), ("**", 1), ("a*b", 1), ("*a*", 2), ("*[*]*", 2), ("[*]", 0), ("[*", 1), ("***a**?***", 3)],
)
def test_stars_are_counted_as_they_cost(pattern: str, count: int) -> None:
    """Neighbours are one, in brackets a star is a letter."""
    assert stars(pattern) == count


def test_a_prepared_glob_is_prepared_once() -> None:
    """Rules are asked about every unit again."""
    assert prepared("a*") is prepared("a*")
