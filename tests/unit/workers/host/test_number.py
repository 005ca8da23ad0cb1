"""Numbers in the kernel's files."""

import pytest

from workers.host.number import NUMBER_MAX, increase, scaled, whole, wholes


@pytest.mark.parametrize(
    ("word", "number"),
    [
        (b"0", 0),
        (b"17", 17),
        (b"9223372036854775807", NUMBER_MAX),
        (b"9223372036854775808", None),
        (b"18446744073709551615", None),
        (b"1" * 5000, None),
        (b"-1", None),
        (b"", None),
        (b"1.5", None),
        (b"1_0", None),
        (b" 1", None),
        ("\u0661".encode(), None),
    ],
)
def test_a_word_is_a_number_or_nothing(word: bytes, number: int | None) -> None:
    """Digits of ASCII alone, and what fits a column of 64 bits."""
    assert whole(word) == number


def test_words_are_numbers_or_nothing_each_by_itself() -> None:
    """A line of usual numbers, and one with a word among them that is none."""
    assert wholes([b"1", b"999999999999999999", b"0"]) == [1, 999999999999999999, 0]
    assert wholes([b"1", b"9223372036854775807", b"9223372036854775808"]) == [1, NUMBER_MAX, None]
    assert wholes([b"1", b"-1", b"x"]) == [1, None, None]
    assert wholes([]) == []


def test_a_scaled_number_that_fits_no_column_is_none() -> None:
    """Whole before and too large after."""
    assert scaled(b"3", 1024) == 3072
    assert scaled(b"9223372036854775807", 1024) is None
    assert scaled(b"x", 1024) is None


def test_an_increase_is_never_negative() -> None:
    """A counter that fell, and one that is not known, has none."""
    assert (increase(3, 5), increase(5, 5)) == (2, 0)
    assert (increase(5, 3), increase(None, 3), increase(3, None)) == (None, None, None)
