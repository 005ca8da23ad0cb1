"""Where a value ends, form by form."""

import pytest

from agent.model.secret_value import LONG_OPTION, end_inside, end_of_argument, end_of_listed, end_of_literal, end_of_word


def test_an_argument_ends_at_its_nul_or_with_the_line() -> None:
    """The last one has no NUL."""
    assert (end_of_argument(b"a b\0c", 0), end_of_argument(b"a b\0c", 4)) == (3, 5)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"x y", b"x"),
        (b"'x y'z w", b"'x y'z"),
        (b'"x \\" y" w', b'"x \\" y"'),
        (b"x\\ y w", b"x\\ y"),
        (b"x'y z\0w", b"x'y z"),
        (b"x' y", b"x"),
    ],
)
def test_a_word_ends_as_a_shell_reads_it(data: bytes, word: bytes) -> None:
    """An open quote takes the rest of the argument, unless it closes what stands around the word."""
    assert data[: end_of_word(data, 0)] == word


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"x,user=y", b"x"),
        (b"x,y;user=z", b"x,y"),
        (b"x)", b"x"),
        (b"x)y z", b"x)y"),
        (b'"x, y", z', b'"x, y"'),
        (b"", b""),
    ],
)
def test_a_listed_value_ends_before_the_next_name(data: bytes, value: bytes) -> None:
    """A separator inside it belongs to it; a quoted one ends with its quote."""
    assert data[: end_of_listed(data, 0)] == value


def test_a_quote_that_is_never_closed_ends_with_its_argument() -> None:
    """Nothing of the next argument is taken."""
    assert end_inside(b'x\\"y" z', 0, b'"') == 4
    assert end_inside(b"x y\0z'", 0, b"'") == 3


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'"x y", "z"', b'"x y"'),
        (b'\\"x y\\", z', b'\\"x y\\"'),
        (b'"x y\0"', b'"x y'),
        (b'\\"x y\0\\"', b'\\"x y'),
        (b"x, y=z", b"x"),
    ],
)
def test_a_document_s_value_ends_with_the_quotes_it_began_with(data: bytes, value: bytes) -> None:
    """Escaped ones of a document in a document too; without quotes it is a listed value."""
    assert data[: end_of_literal(data, 0)] == value


@pytest.mark.parametrize(("data", "is_option"), [(b"--fast", True), (b"--fast=1", True), (b"--1", False), (b"-f", False)])
def test_two_dashes_and_a_letter_begin_an_option(data: bytes, is_option: bool) -> None:
    """No secret looks like that."""
    assert (LONG_OPTION.match(data) is not None) is is_option
