"""Rows as columns: nothing is lost on the way, and what repeats costs little."""

from random import Random

import pytest
from fakes.stored_batch import filled
from hypothesis import given
from hypothesis import strategies as st

from agent.model.column_type import DType
from agent.model.row_check import INT64_MAX, INT64_MIN
from agent.model.table import Row, Value
from agent.topic.column_reading import decode_columns, rows_of
from agent.topic.columns import TopicColumn, cells_of, columns_of, encode_columns, whole_numbers
from workers.process.schema import PROCESS, PROCESS_SKETCH

INT64 = st.integers(INT64_MIN, INT64_MAX)
FLOATS = st.floats(allow_nan=False)
VALUES: dict[DType, st.SearchStrategy[Value]] = {
    DType.INT64: INT64,
    DType.FLOAT64: FLOATS,
    DType.UTF8: st.text(max_size=5),
    DType.BOOL: st.booleans(),
    DType.BYTES: st.binary(max_size=5),
    DType.LIST_INT64: st.lists(INT64, max_size=5),
    DType.LIST_FLOAT64: st.lists(FLOATS, max_size=5),
    DType.LIST_UTF8: st.lists(st.text(max_size=5), max_size=5),
}
ROWS = st.lists(st.tuples(*[st.none() | VALUES[dtype] for dtype in DType]), max_size=20)
NAMES = tuple(str(dtype) for dtype in DType)


def one(dtype: DType, values: list[Value]) -> TopicColumn:
    """A column of these values."""
    return columns_of("t", 1, ("x",), (dtype,), [(value,) for value in values]).columns[0]


@given(ROWS)
def test_rows_of_every_type_are_read_back(rows: list[Row]) -> None:
    """With nulls wherever they are, and for no rows at all."""
    found = columns_of("t", 3, NAMES, tuple(DType), rows)
    assert decode_columns(encode_columns(found)) == found
    assert rows_of(found) == rows
    assert (found.table, found.version, found.rows) == ("t", 3, len(rows))


@given(st.lists(st.none() | INT64, min_size=1), st.integers(1, 2**40))
def test_whole_numbers_are_read_back(numbers: list[int | None], factor: int) -> None:
    """Of any span, also where they are multiples of something."""
    small = [None if number is None else number // 2**41 * factor for number in numbers]
    for values in (numbers, small):
        column = one(DType.INT64, list(values))
        found = whole_numbers(column, len(values))
        assert [number for number, value in zip(found, values, strict=True) if value is not None] == [
            value for value in values if value is not None
        ]


@pytest.mark.parametrize(
    ("values", "base", "factor", "width"),
    [
        ([7, 7, 7], 7, 1, 0),
        ([None, None], 0, 1, 0),
        ([None, 5], 5, 1, 0),
        ([-3, 100], -3, 1, 1),
        ([0, 127], 0, 1, 1),
        ([0, 129], 0, 129, 1),
        ([0, 128, 129], 0, 1, 2),
        ([4096, 8192, 4096 * 1000], 4096, 4096, 2),
        ([0, 40_000, 1], 0, 1, 4),
        ([0, INT64_MAX, 1], 0, 1, 8),
        ([INT64_MIN, 0], 0, 1, 8),
        ([INT64_MIN, INT64_MAX], 0, 1, 8),
    ],
)
def test_numbers_take_as_few_bytes_as_they_need(values: list[Value], base: int, factor: int, width: int) -> None:
    """All equal: none."""
    column = one(DType.INT64, values)
    assert (column.base, column.factor, column.width) == (base, factor, width)
    assert len(column.values) == width * len(values)


def test_a_null_has_no_bit_and_no_value() -> None:
    """The lowest bit of the first byte is that of the first row; unused bits are 0."""
    values: list[Value] = [None, 5, None, *range(10, 16), None]
    column = one(DType.INT64, values)
    assert column.valid == bytes((0b11111010, 0b1))
    assert column.values[0] == column.values[2] == column.values[9] == 0


def shares(amounts: list[int | None], elapsed: list[int]) -> list[Row]:
    """Rows of an amount and its share of a time."""
    return [(amount, None if amount is None else amount / span) for amount, span in zip(amounts, elapsed, strict=True)]


@given(st.lists(st.integers(0, 2**62), min_size=4, max_size=40), st.integers(1, 2**40))
def test_shares_are_kept_as_amount_and_time(amounts: list[int], elapsed: int) -> None:
    """Bit for bit, where Python divides as every machine does; otherwise as they are."""
    rows = shares(list(amounts), [elapsed] * len(amounts))
    found = columns_of("t", 1, ("n", "share"), (DType.INT64, DType.FLOAT64), rows)
    assert rows_of(decode_columns(encode_columns(found))) == rows


def test_shares_of_several_times_have_a_divisor_for_each_row() -> None:
    """Batches of several ticks are in one message; nulls and nothing divide by whatever stands beside them."""
    amounts: list[int | None] = [0, None, *range(1, 9), 0, *range(20, 30), 0, None]
    elapsed = [999] * 10 + [1001] * 13
    rows = shares(amounts, elapsed)
    found = columns_of("t", 1, ("n", "share"), (DType.INT64, DType.FLOAT64), rows)
    share = found.columns[1]
    assert (share.dividend, share.width, share.values) == ("n", 0, b"")
    assert share.divisor is not None
    assert set(whole_numbers(share.divisor, found.rows)) == {999, 1001}
    assert rows_of(found) == rows


@pytest.mark.parametrize(
    "rows",
    [
        [(number, number / (number + 1)) for number in range(1, 30)],
        [(0, 0.0)] * 9,
        [(None, 0.5)] * 9,
        [(1, 0.0), (0, 1.0), (2, -0.0), (3, 1.0)],
        [(0, -0.0)] * 5,
        [(1, float("inf"))] * 9,
        [(1, -0.5)] * 9,
        [(3, 5e-324)] * 9,
        [(5, 0.7)] * 9,
        [(1, 0.5), (2, 1.0)],
    ],
    ids=str,
)
def test_what_is_no_share_is_kept_as_it_is(rows: list[Row]) -> None:
    """Of too many times, of nothing, beyond numbers, or too few to be worth it."""
    found = columns_of("t", 1, ("n", "share"), (DType.INT64, DType.FLOAT64), rows)
    assert found.columns[1].dividend == ""
    assert repr(rows_of(found)) == repr(rows)


def test_whole_numbers_stand_for_fractions() -> None:
    """A share of exactly 1 comes as a whole number."""
    assert rows_of(columns_of("t", 1, ("x",), (DType.FLOAT64,), [(1,), (0.5,)])) == [(1.0,), (0.5,)]


def test_cells_count_the_items_of_lists() -> None:
    """What a reader makes of a message."""
    rows: list[Row] = [([1, 2, 3], 5), ([], 6), (None, 7)]
    found = columns_of("t", 1, ("list", "n"), (DType.LIST_INT64, DType.INT64), rows)
    assert cells_of(found) == 2 * 3 + 3


def test_a_table_without_columns_has_rows() -> None:
    """Nothing of them, but as many."""
    found = columns_of("t", 1, (), (), [(), ()])
    assert rows_of(decode_columns(encode_columns(found))) == [(), ()]


def test_declared_tables_are_read_back() -> None:
    """Rows as samplers make them."""
    pick = Random(1)
    for table in (PROCESS, PROCESS_SKETCH):
        dtypes = tuple(column.dtype for column in table.columns)
        rows = [filled(table, {column.name: any_value(column.dtype, pick) for column in table.columns}) for _ in range(50)]
        found = columns_of(table.name, table.version, table.column_names, dtypes, rows)
        assert rows_of(decode_columns(encode_columns(found))) == rows


def any_value(dtype: DType, pick: Random) -> Value:
    """Some value of a type."""
    if dtype is DType.INT64:
        return pick.randrange(10**12)
    if dtype is DType.UTF8:
        return f"text {pick.randrange(3)}"
    return [1, 2] if dtype is DType.LIST_INT64 else 0.5
