"""Which columns rows may have: each table's of one type, in all messages."""

from itertools import combinations, islice

import pytest

from agent.lake.known_columns import TABLES_MAX, KnownColumns
from agent.model.column_type import DType
from agent.model.errors import FormatError
from agent.model.table import Column, Table
from agent.store.origin_form import COLUMNS_MAX

T, INT, TEXT = ("timestamp", DType.INT64), DType.INT64, DType.UTF8
TABLE = Table(
    "gauge",
    2,
    "",
    ("timestamp",),
    (
        Column("timestamp", INT, "ns", "", ""),
        Column("value", INT, "1", "", ""),
        Column("note", TEXT, "", "", "", nullable=True),
    ),
)


def known() -> KnownColumns:
    """What a lake with one declared table has."""
    return KnownColumns([TABLE])


def names(columns: object) -> list[str]:
    """Of these columns."""
    return [column.name for column in columns]  # type: ignore[attr-defined]  # columns of a form


def test_columns_come_in_the_order_of_the_declaration() -> None:
    """Also those of a message that has them otherwise, or lacks some that may be null."""
    lake = known()
    assert names(lake.fit("gauge", 2, [("value", INT), T, ("note", TEXT)])) == ["timestamp", "value", "note"]
    assert names(lake.fit("gauge", 1, [("value", INT), T])) == ["timestamp", "value"]
    assert lake.fit("gauge", 1, [("value", INT), T]) == lake.fit("gauge", 1, [("value", INT), T])


def test_columns_of_later_versions_are_kept_behind_them() -> None:
    """The first says the type."""
    lake = known()
    assert names(lake.fit("gauge", 3, [T, ("value", INT), ("extra", TEXT)])) == ["timestamp", "value", "extra"]
    assert names(lake.columns("gauge")) == ["timestamp", "value", "note", "extra"]
    assert lake.is_declared("gauge", "note")
    assert not lake.is_declared("gauge", "extra")
    with pytest.raises(FormatError, match="column extra is of type utf8 here"):
        lake.fit("gauge", 3, [T, ("value", INT), ("extra", INT)])


def test_tables_that_are_not_declared_are_kept_by_their_columns() -> None:
    """Up to a number of tables."""
    lake = known()
    assert names(lake.fit("new", 1, [T, ("x", INT)])) == ["timestamp", "x"]
    assert lake.columns("nothing") == ()
    for number in range(TABLES_MAX - 1):
        lake.fit(f"t{number}", 1, [T])
    with pytest.raises(FormatError, match=f"more than {TABLES_MAX} tables"):
        lake.fit("one_more", 1, [T])
    lake.fit("new", 1, [T])


@pytest.mark.parametrize("name", ["", "../x", "Upper", "evergauge_offset", "process_all" * 9, "1st"])
def test_names_that_no_table_can_have_are_refused(name: str) -> None:
    """They become names of folders and of tables beside the merger's own."""
    with pytest.raises(FormatError, match="no table can have the name"):
        known().fit(name, 1, [T])


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ([T], "it has no column value"),
        ([T, ("value", TEXT)], "column value is of type int64 here"),
        ([("value", INT)], "no column timestamp"),
        ([T, ("value", INT), ("host", TEXT)], "a name that none can have"),
    ],
)
def test_messages_without_what_the_table_needs_are_refused(columns: list[tuple[str, DType]], problem: str) -> None:
    """With a sentence."""
    with pytest.raises(FormatError, match=problem):
        known().fit("gauge", 1, columns)


def test_a_store_says_what_it_has() -> None:
    """Messages must agree with it; what contradicts the declarations is not learnt."""
    lake = known()
    lake.learn("gauge", {"value": TEXT, "extra": DType.BOOL})
    lake.learn("other", {"x": TEXT})
    lake.learn("no table", {"x": TEXT})
    lake.fit("gauge", 1, [T, ("value", INT), ("extra", DType.BOOL)])
    with pytest.raises(FormatError, match="column x is of type utf8"):
        lake.fit("other", 1, [T, ("x", INT)])
    for number in range(TABLES_MAX):
        lake.learn(f"t{number}", {})
    assert lake.columns(f"t{TABLES_MAX - 1}") == ()


def test_columns_and_what_is_remembered_have_a_bound() -> None:
    """A host could send others without end."""
    lake = known()
    for start in range(0, 2 * COLUMNS_MAX - 2, 64):
        lake.fit("wide", 1, [T, *((f"c{start + number}", INT) for number in range(60))])
    with pytest.raises(FormatError, match="columns"):
        lake.fit("wide", 1, [T, *((f"d{number}", INT) for number in range(60))])
    for first, second in islice(combinations(range(100), 2), 16 * COLUMNS_MAX + 1):
        lake.fit("pairs", 1, [T, (f"c{first}", INT), (f"c{second}", INT)])
    assert len(lake.columns("pairs")) == 101
