"""Rows fit their tables or say why not."""

import pytest

from agent.model.table import Column, DType, Row, Table, problem_of_row
from agent.model.tables import SYSTEM_TABLES

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
    ),
)


@pytest.mark.parametrize("row", [(1, 0.5, "x", True), (1, None, None, False), (1, 2, "", True), (2**63 - 1, 0.0, "é", True)])
def test_a_row_of_the_right_types_fits(row: Row):
    """Null stands only where it may; a whole number may stand for a ratio."""
    assert problem_of_row(TABLE, row) is None


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ((1, 0.5, "x"), "3 values for the 4 columns of example"),
        ((None, 0.5, "x", True), "example.count is missing and may not be"),
        ((True, 0.5, "x", True), "example.count is bool, not int64"),
        ((1.0, 0.5, "x", True), "example.count is float, not int64"),
        ((1, "0.5", "x", True), "example.share is str, not float64"),
        ((1, 0.5, b"x", True), "example.word is bytes, not utf8"),
        ((1, 0.5, "x", 1), "example.flag is int, not bool"),
        ((2**63, 0.5, "x", True), f"example.count is {2**63}, beyond int64"),
        ((-(2**63) - 1, 0.5, "x", True), f"example.count is {-(2**63) - 1}, beyond int64"),
    ],
)
def test_a_row_that_does_not_fit_names_the_column(row: Row, problem: str):
    """The problem is the end of a sentence about the row."""
    assert problem_of_row(TABLE, row) == problem


def test_files_of_a_table_begin_with_its_name_unless_it_says_otherwise():
    """`file_prefix` wins over the name."""
    assert TABLE.prefix == "example-"
    assert Table("t", 1, "", (), (), file_prefix="other-").prefix == "other-"


@pytest.mark.parametrize("table", SYSTEM_TABLES, ids=lambda table: table.name)
def test_tables_are_whole(table: Table):
    """Column names are unique, key columns exist, everything is described, numbers have a unit."""
    names = table.column_names
    assert len(set(names)) == len(names)
    assert set(table.key) <= set(names)
    assert all(column.about and column.source for column in table.columns)
    assert all(column.unit for column in table.columns if column.dtype in (DType.INT64, DType.FLOAT64))
