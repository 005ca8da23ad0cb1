"""Columns that somebody else sent: damaged, hostile, or of a later version."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.model.column_type import DType
from agent.model.errors import FormatError
from agent.model.protobuf import delimited, text, whole
from agent.model.row_check import INT64_MAX
from agent.topic.column_reading import decode_columns, rows_of, values_of
from agent.topic.columns import CELLS_MAX, COLUMNS_MAX, TopicColumn, TopicRows, columns_of, encode_columns

NAMES = ("n", "share", "word", "blob", "flag", "items", "words")
DTYPES = (DType.INT64, DType.FLOAT64, DType.UTF8, DType.BYTES, DType.BOOL, DType.LIST_INT64, DType.LIST_UTF8)
ROWS = [
    (number * 1000, number * 1000 / 7, f"w{number % 3}", b"\xff" if number % 2 else None, number % 3 == 0, [number] * number, ["a"])
    for number in range(9)
]
GOOD = columns_of("t", 1, NAMES, DTYPES, ROWS)
VALUE = encode_columns(GOOD)


def with_column(which: str, **changes: Any) -> bytes:
    """The value with another column of this name."""
    columns = tuple(replace(column, **changes) if column.name == which else column for column in GOOD.columns)
    return encode_columns(replace(GOOD, columns=columns))


def column(name: str) -> TopicColumn:
    """A good column."""
    return next(each for each in GOOD.columns if each.name == name)


def test_a_good_value_is_read() -> None:
    """By rows, and by columns."""
    found = decode_columns(VALUE)
    assert found == GOOD
    assert rows_of(found) == ROWS
    assert list(values_of(found)["word"])[:4] == ["w0", "w1", "w2", "w0"]


def test_every_beginning_of_a_value_is_refused_or_is_rows() -> None:
    """A value that is cut somewhere else than between two columns is no value."""
    for length in range(len(VALUE)):
        try:
            found = decode_columns(VALUE[:length])
        except FormatError:
            continue
        assert len(rows_of(found)) == found.rows


def test_every_changed_byte_is_refused_or_is_rows() -> None:
    """Nothing but FormatError comes of any bytes."""
    pick = Random(1)
    for at in range(len(VALUE)):
        for _ in range(3):
            damaged = bytearray(VALUE)
            damaged[at] ^= pick.randrange(1, 256)
            try:
                found = decode_columns(bytes(damaged))
            except FormatError:
                continue
            assert len(rows_of(found)) == found.rows


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_are_rows(data: bytes) -> None:
    """Also those that were never ours."""
    try:
        found = decode_columns(data)
    except FormatError:
        return
    assert len(rows_of(found)) == found.rows


def test_fields_of_later_versions_are_passed_over() -> None:
    """In the value and in a column."""
    extended = delimited(4, text(1, "x") + text(2, "int64") + whole(99, 1) + delimited(98, b"y"))
    assert rows_of(decode_columns(text(1, "t") + whole(3, 2) + whole(77, 5) + extended)) == [(0,), (0,)]


@pytest.mark.parametrize(
    "value",
    [
        with_column("n", width=3),
        with_column("n", values=b"123"),
        with_column("n", valid=b"\xff"),
        with_column("n", valid=b"\xff" * 3),
        with_column("n", factor=INT64_MAX + 1),
        with_column("n", base=INT64_MAX),
        with_column("n", dividend="share"),
        with_column("n", divisor=column("n")),
        with_column("n", name="share"),
        with_column("share", dividend=""),
        with_column("share", dividend="word"),
        with_column("share", dividend="nobody"),
        with_column("share", divisor=None),
        with_column("share", divisor=TopicColumn("", DType.UTF8)),
        with_column("share", divisor=TopicColumn("", DType.INT64, base=7, valid=b"\xff\x01")),
        with_column("share", divisor=TopicColumn("", DType.INT64)),
        with_column("share", divisor=TopicColumn("", DType.INT64, base=-7)),
        with_column("share", divisor=TopicColumn("", DType.INT64, base=7, width=1)),
        with_column("share", dtype=DType.INT64),
        with_column("share", width=8, values=bytes(72)),
        with_column("word", texts=(b"w0", b"\xff", b"w2")),
        with_column("word", texts=(b"\xc3", b"\xa9", b"w2")),
        with_column("word", texts=(b"w0",)),
        with_column("word", texts=()),
        with_column("word", base=-1),
        with_column("flag", base=1),
        with_column("flag", dtype=DType.FLOAT64),
        with_column("items", element=None),
        with_column("items", element=column("words").element),
        with_column("items", element=column("items")),
        with_column("items", element=replace(column("items").element or GOOD.columns[0], valid=b"\xff")),
        with_column("items", base=-5),
        with_column("items", base=CELLS_MAX),
        encode_columns(replace(GOOD, rows=8)),
        encode_columns(TopicRows("t", 1, CELLS_MAX + 1, ())),
        encode_columns(TopicRows("t", 1, CELLS_MAX // 2 + 1, (TopicColumn("a", DType.INT64), TopicColumn("b", DType.INT64)))),
        encode_columns(TopicRows("t", 1, 0, tuple(TopicColumn(str(each), DType.INT64) for each in range(COLUMNS_MAX + 1)))),
        encode_columns(TopicRows("t", 1, 100, (TopicColumn("x", DType.UTF8, texts=(bytes(1 << 20),)),))),
        text(1, "t") + delimited(4, text(2, "int128")),
        text(1, "t") + delimited(4, text(1, "x") + delimited(1, b"\xff") + text(2, "int64")),
        whole(1, 5),
        delimited(3, b"5"),
        delimited(1, b"\xff"),
        whole(4, 1),
    ],
)
def test_what_does_not_fit_is_refused(value: bytes) -> None:
    """With a sentence, before any memory is taken for it."""
    with pytest.raises(FormatError, match="value of a message"):
        decode_columns(value)


def test_columns_are_not_nested_for_ever() -> None:
    """A value of nothing but columns within columns is refused."""
    nested = text(2, "list<int64>")
    for _ in range(2000):
        nested = text(2, "list<int64>") + delimited(8, nested)
    with pytest.raises(FormatError, match="within a column"):
        decode_columns(delimited(4, nested))


def test_texts_of_nobody_may_be_missing() -> None:
    """A column of nulls has none."""
    found = columns_of("t", 1, ("x", "y"), (DType.UTF8, DType.BYTES), [(None, None)] * 3)
    assert rows_of(decode_columns(encode_columns(found))) == [(None, None)] * 3
