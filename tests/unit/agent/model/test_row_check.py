"""Rows fit their tables or say why not, each for itself."""

import pytest
from fakes.row_problem import problem_of_row
from hypothesis import given
from hypothesis import strategies as st

from agent.model.column_type import COLUMN_TYPES, DType
from agent.model.row_check import BadRow, CheckedColumn, RowCheck, check_of, check_of_form
from agent.model.table import Column, Row, Table

TABLE = Table(
    name="example",
    version=1,
    about="An example.",
    key=("count",),
    columns=(
        Column("count", DType.INT64, "1", "a count", "test"),
        Column("share", DType.FLOAT64, "1", "a ratio", "test", nullable=True),
        Column("word", DType.UTF8, "", "a text", "test", nullable=True),
        Column("flag", DType.BOOL, "", "a truth", "test"),
        Column("sketch", DType.BYTES, "", "bytes", "test", nullable=True),
        Column("counts", DType.LIST_INT64, "1", "counts", "test", nullable=True),
        Column("shares", DType.LIST_FLOAT64, "1", "ratios", "test", nullable=True),
        Column("words", DType.LIST_UTF8, "", "texts", "test", nullable=True),
    ),
)
GOOD: Row = (1, 0.5, "x", True, b"\0\xff", [1, 2], (0.5, 2), ["a", ""])


def with_value(column: str, value: object) -> Row:
    """The good row with another value in one column."""
    return tuple(value if name == column else kept for name, kept in zip(TABLE.column_names, GOOD, strict=True))  # type: ignore[misc]  # bad values are the story


@pytest.mark.parametrize(
    "row",
    [
        GOOD,
        (1, None, None, False, None, None, None, None),
        (1, 2, "", True, b"", [], [], []),
        (2**63 - 1, -(2**63), "\u00e9", True, b"x", (-(2**63),), [1, 2.5], ("\u00e9",)),
    ],
)
def test_a_row_of_the_right_types_fits(row: Row) -> None:
    """Null stands only where it may; a whole number may stand for a ratio, and any list for a list."""
    assert problem_of_row(TABLE, row) is None
    assert check_of(TABLE).sift([row, row]) == ([row, row], [])


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ((1, 0.5, "x"), "3 values for the 8 columns of example"),
        (with_value("count", None), "example.count is missing and may not be"),
        (with_value("count", True), "example.count is bool, not int64"),
        (with_value("count", 1.5), "example.count is float, not int64"),
        (with_value("share", "0.5"), "example.share is str, not float64"),
        (with_value("word", b"x"), "example.word is bytes, not utf8"),
        (with_value("flag", 1), "example.flag is int, not bool"),
        (with_value("sketch", "x"), "example.sketch is str, not binary"),
        (with_value("counts", 1), "example.counts is int, not list<int64>"),
        (with_value("counts", [1, 1.5]), "example.counts is no list<int64>"),
        (with_value("counts", [1, None]), "example.counts is no list<int64>"),
        (with_value("counts", [2**63]), "example.counts is no list<int64>"),
        (with_value("shares", [True]), "example.shares is no list<float64>"),
        (with_value("words", ["a", b"b"]), "example.words is no list<utf8>"),
        (with_value("words", {"a": 1}), "example.words is dict, not list<utf8>"),
        (with_value("count", 2**63), "example.count is beyond int64"),
        (with_value("count", -(2**63) - 1), "example.count is beyond int64"),
        (with_value("share", 2**64), "example.share is beyond int64"),
    ],
)
def test_a_row_that_does_not_fit_names_the_column(row: Row, problem: str) -> None:
    """The problem is the end of a sentence about the row, and the row alone is refused."""
    assert problem_of_row(TABLE, row) == problem
    good, bad = check_of(TABLE).sift([GOOD, row, GOOD])
    assert (list(good), len(bad)) == ([GOOD, GOOD], 1)


def test_the_time_of_a_row_is_in_this_era() -> None:
    """It stands in the name of a file, which has no time before 1970."""
    check = RowCheck([CheckedColumn("timestamp", DType.INT64, nullable=False)])
    assert check.sift([(0,), (-1,)]) == ([(0,)], [BadRow("timestamp", "before 1970 or beyond int64")])


VALUES = st.sampled_from([None, True, 1, -1, 2**63, 1.5, "x", b"x", [1], [1.5], ["x"], [None], [[1]], {"a": 1}])


@given(st.lists(st.lists(VALUES, min_size=8, max_size=8).map(tuple), max_size=12))
def test_a_batch_is_sifted_as_its_rows_are(rows: list[Row]) -> None:
    """By columns or row by row: the same rows fit."""
    check = check_of(TABLE)
    good, bad = check.sift(rows)
    assert list(good) == [row for row in rows if check.problem(row) is None]
    assert bad == [problem for row in rows if (problem := check.problem(row)) is not None]


def test_every_type_has_its_words() -> None:
    """The map is whole, and no two types share a word."""
    assert set(COLUMN_TYPES) == set(DType)
    assert (
        len({known.arrow for known in COLUMN_TYPES.values()}) == len({known.sql for known in COLUMN_TYPES.values()}) == len(DType)
    )


def test_columns_of_an_older_file_may_be_null_where_it_does_not_say() -> None:
    """A stored table that knew fewer columns said of those alone what may be null."""
    check = check_of_form(["count", "word"], [DType.INT64, DType.UTF8], [False])
    assert check.problem((1, None)) is None
    assert check.problem((None, "x")) == BadRow("count", "missing and may not be")
