"""The statements of a ClickHouse database; tests with a real engine carry them out."""

import pytest

from agent.lake.clickhouse_ddl import (
    ClickHouseColumn,
    add_column,
    column_type,
    columns_in,
    create_database,
    create_declared,
    create_own,
    create_table,
    dtype_of,
    quoted,
    text,
)
from agent.model.column_type import DType
from workers.process.schema import PROCESS_SKETCH, PROCESS_TAIL


def test_a_declared_table_is_ordered_by_host_and_time() -> None:
    """Columns that may be null are in no order, and lists are never null."""
    (statement,) = create_declared("lab", [PROCESS_SKETCH])
    lines = statement.splitlines()
    assert lines[0] == "CREATE TABLE IF NOT EXISTS `lab`.`process_sketch`"
    assert "  `counts` Array(Int64)," in lines
    assert "  `pod_uid` Nullable(String)," in lines
    assert "  `install` LowCardinality(String)" in lines
    assert "PARTITION BY toDate(fromUnixTimestamp64Nano(timestamp, 'UTC'))" in lines
    assert "ORDER BY (`host`, `timestamp`, `window_start`, `metric`)" in lines
    assert lines[-1] == "SETTINGS non_replicated_deduplication_window = 10000"


def test_a_table_that_is_not_declared_has_no_key() -> None:
    """Host and time order it."""
    statement = create_table("lab", "new", [ClickHouseColumn("timestamp", DType.INT64, nullable=True)])
    assert "`timestamp` Int64," in statement
    assert "ORDER BY (`host`, `timestamp`)" in statement


@pytest.mark.parametrize("dtype", DType)
def test_types_are_known_by_their_words(dtype: DType) -> None:
    """Bytes and text are both strings."""
    for nullable in (False, True):
        found = dtype_of(column_type(dtype, nullable=nullable))
        assert found == (DType.UTF8 if dtype is DType.BYTES else dtype)


def test_types_that_somebody_changed_are_known_or_not() -> None:
    """Wrappers do not matter; another type is none of ours."""
    assert dtype_of("LowCardinality(Nullable(String))") is DType.UTF8
    assert dtype_of("DateTime64(3)") is None


def test_further_statements_name_what_they_make() -> None:
    """Later columns are null in rows before them; the newest row of a partition counts."""
    column = ClickHouseColumn("more", DType.FLOAT64, nullable=False)
    assert add_column("lab", "process", column).endswith("ADD COLUMN IF NOT EXISTS `more` Nullable(Float64)")
    assert create_database("lab") == "CREATE DATABASE IF NOT EXISTS `lab`"
    intents, offsets, marks = create_own("lab")
    assert "ReplacingMergeTree(base)" in intents
    assert "non_replicated_deduplication_window" in intents
    assert "ReplacingMergeTree(next)" in offsets
    assert "ORDER BY (table, host)" in marks
    assert [column.name for column in columns_in(PROCESS_TAIL)] == list(PROCESS_TAIL.column_names)


def test_names_are_words_and_texts_are_anything() -> None:
    """A name that is no word is a bug of the caller; quotes and backslashes of a text stay in it."""
    assert quoted("process_tail2") == "`process_tail2`"
    for name in ("a`b", "a b", "ä"):
        with pytest.raises(AssertionError):
            quoted(name)
    assert text("it's a \\") == r"'it\'s a \\'"
