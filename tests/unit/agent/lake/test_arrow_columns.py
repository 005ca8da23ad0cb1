"""Messages as Arrow: the same rows as their slow reader gives, and nothing but a refusal for what is damaged."""

from random import Random
from zlib import crc32

import pyarrow as pa
import pytest
from fakes.topic_rows import message_of, numbered_rows
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.lake.arrow_columns import ArrowRows, to_arrow
from agent.lake.known_columns import KnownColumns
from agent.model.column_type import DType
from agent.model.errors import FormatError
from agent.model.row_check import INT64_MAX, INT64_MIN
from agent.model.table import Column, Row, Table, Value
from agent.topic.column_reading import decode_columns, rows_of
from agent.topic.columns import CELLS_MAX, TopicColumn, TopicRows, columns_of, encode_columns
from agent.topic.head import MessageHead, parse_headers
from agent.topic.message import VALUE_BYTES_MAX
from workers.process.schema import PROCESS_TAIL

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
COLUMNS = (
    Column("timestamp", DType.INT64, "ns", "", ""),
    *(Column(f"c{place}", dtype, "1", "", "", nullable=True) for place, dtype in enumerate(DType)),
)
EVERY = Table("every", 1, "", ("timestamp",), COLUMNS)
ROWS = st.lists(st.tuples(st.integers(0, INT64_MAX), *[st.none() | VALUES[dtype] for dtype in DType]), max_size=20)
TIME = TopicColumn("timestamp", DType.INT64)


def head_of(found: TopicRows, value: bytes) -> MessageHead:
    """A head that fits."""
    return MessageHead(found.table, found.version, "h", "i", "r", "w", 1, 1, 1, found.rows, crc32(value), 0, 0, is_complete=True)


def read(found: TopicRows, *, known: KnownColumns | None = None) -> ArrowRows:
    """These columns as a message, as Arrow."""
    value = encode_columns(found)
    return to_arrow(head_of(found, value), value, known or KnownColumns([EVERY]))


def rows_in(batch: pa.RecordBatch) -> list[tuple[object, ...]]:
    """Without host and installation."""
    return list(zip(*(column.to_pylist() for column in batch.columns[:-2]), strict=True))


@given(ROWS)
def test_rows_of_every_type_are_the_same(rows: list[Row]) -> None:
    """With nulls wherever they are, and for no rows at all."""
    found = columns_of("every", 1, EVERY.column_names, [column.dtype for column in COLUMNS], rows)
    arrow = read(found)
    arrow.batch.validate(full=True)
    assert rows_in(arrow.batch) == [tuple(row) for row in rows_of(decode_columns(encode_columns(found)))]
    times = [row[0] for row in rows]
    assert (arrow.first_ns, arrow.last_ns) == ((min(times), max(times)) if times else (None, None))  # type: ignore[type-var]  # whole numbers


def test_host_and_installation_stand_behind_the_columns() -> None:
    """In each row."""
    headers, value = message_of("node-ä", 3, numbered_rows(3))
    arrow = to_arrow(parse_headers(headers), value, KnownColumns([PROCESS_TAIL]))
    assert arrow.batch.schema.names == [*PROCESS_TAIL.column_names, "host", "install"]
    assert arrow.batch.column("host").to_pylist() == ["node-ä"] * 3
    assert arrow.batch.column("install").to_pylist() == ["install-node-ä"] * 3


def test_quotients_are_the_same_numbers() -> None:
    """Bit for bit."""
    rng = Random(1)
    rows: list[Row] = [(seq, rng.randrange(10**12), None) for seq in range(200)]
    rows = [(at, number, None if at % 7 == 0 else number / (10**9 + at // 50)) for at, number, _ in rows]  # type: ignore[operator]  # whole numbers
    table = Table("q", 1, "", (), (COLUMNS[0], Column("n", DType.INT64, "", "", ""), Column("q", DType.FLOAT64, "", "", "", True)))
    found = columns_of("q", 1, table.column_names, [column.dtype for column in table.columns], rows)
    assert found.columns[2].dividend == "n"
    assert rows_in(read(found, known=KnownColumns([table])).batch) == rows


def test_a_message_that_was_cut_or_changed_is_refused() -> None:
    """Every prefix, and every byte altered: its checksum does not fit."""
    headers, value = message_of("h", 1, numbered_rows(1))
    head, known = parse_headers(headers), KnownColumns([PROCESS_TAIL])
    for end in range(len(value)):
        with pytest.raises(FormatError):
            to_arrow(head, value[:end], known)
    for place in range(len(value)):
        with pytest.raises(FormatError):
            to_arrow(head, value[:place] + bytes([value[place] ^ 0x55]) + value[place + 1 :], known)


def test_what_lies_with_a_right_checksum_is_refused_or_read_as_the_slow_reader_reads_it() -> None:
    """Every byte altered, in two ways: nothing is read beyond a buffer, and both readers see the same rows."""
    rows: list[Row] = [(at, at * 4096, at / 3, f"t{at % 3}", at % 2 == 0, b"x", [at, 1], [0.5], ["a", f"b{at}"]) for at in range(5)]
    value = encode_columns(columns_of("every", 1, EVERY.column_names, [column.dtype for column in COLUMNS], rows))
    agreed = 0
    for place in range(len(value)):
        for change in (0x01, 0x80):
            other = value[:place] + bytes([value[place] ^ change]) + value[place + 1 :]
            try:
                slow = decode_columns(other)
            except FormatError:
                slow = None
            try:
                arrow = to_arrow(head_of(slow or TopicRows("every", 1, 5, ()), other), other, KnownColumns([EVERY]))
            except FormatError:
                continue
            arrow.batch.validate(full=True)
            assert slow is not None, (place, change)
            by_name = dict(zip([column.name for column in slow.columns], zip(*rows_of(slow), strict=True), strict=True))
            assert {name: tuple(arrow.batch.column(name).to_pylist()) for name in by_name} == by_name
            agreed += 1
    assert agreed > len(value) // 4


@pytest.mark.parametrize(
    ("column", "problem"),
    [
        (TopicColumn("c0", DType.INT64, width=3, values=b"abcdef"), "another number of bytes"),
        (TopicColumn("c0", DType.INT64, width=8, values=bytes(8)), "another number of bytes"),
        (TopicColumn("c0", DType.INT64, factor=1 << 63), "multiples of nothing"),
        (TopicColumn("c0", DType.INT64, base=INT64_MAX, width=1, values=b"\1\1"), "does not fit its type"),
        (TopicColumn("c0", DType.INT64, factor=INT64_MAX, width=1, values=b"\2\2"), "does not fit its type"),
        (TopicColumn("c0", DType.INT64, valid=b"\1\1"), "another number of bits"),
        (TopicColumn("c1", DType.FLOAT64, width=4, values=bytes(8)), "another width"),
        (TopicColumn("c1", DType.FLOAT64, width=8, values=bytes(8)), "another number of bytes"),
        (TopicColumn("c1", DType.FLOAT64, width=8, dividend="timestamp"), "something else too"),
        (TopicColumn("c1", DType.FLOAT64, dividend="nothing"), "of what is not there"),
        (TopicColumn("c1", DType.FLOAT64, dividend="timestamp"), "by what is not there"),
        (TopicColumn("c1", DType.FLOAT64, dividend="timestamp", divisor=TopicColumn("", DType.INT64)), "divided by nothing"),
        (TopicColumn("c2", DType.UTF8, base=1, texts=(b"a",)), "names a text"),
        (TopicColumn("c2", DType.UTF8, base=-1, texts=(b"a",)), "names a text"),
        (TopicColumn("c2", DType.UTF8, texts=(b"\xff",)), "does not fit its type"),
        (TopicColumn("c3", DType.BOOL, base=2), "truth value"),
        (TopicColumn("c5", DType.LIST_INT64), "no items"),
        (TopicColumn("c5", DType.LIST_INT64, element=TopicColumn("", DType.UTF8)), "no items"),
        (TopicColumn("c5", DType.LIST_INT64, base=-1, element=TopicColumn("", DType.INT64)), "no possible length"),
        (TopicColumn("c5", DType.LIST_INT64, base=CELLS_MAX, element=TopicColumn("", DType.INT64)), "more than"),
        (
            TopicColumn("c5", DType.LIST_INT64, base=2, element=TopicColumn("", DType.INT64, width=1, values=b"a")),
            "number of bytes",
        ),
    ],
)
def test_a_column_that_lies_is_refused(column: TopicColumn, problem: str) -> None:
    """Nothing is believed of sizes, indexes, lengths and bounds."""
    with pytest.raises(FormatError, match=problem):
        read(TopicRows("every", 1, 2, (TIME, column)))


def test_small_messages_cannot_become_large_rows() -> None:
    """Many rows of few bytes, and long texts that many rows name."""
    with pytest.raises(FormatError, match=f"more than {CELLS_MAX} values"):
        read(TopicRows("every", 1, CELLS_MAX + 1, (TIME,)))
    long = TopicColumn("c2", DType.UTF8, texts=(b"x" * (1 << 20),))
    with pytest.raises(FormatError, match="its texts would need"):
        read(TopicRows("every", 1, 1_000, (TIME, long)))
    value = bytes(VALUE_BYTES_MAX + 1)
    with pytest.raises(FormatError, match="longer than"):
        to_arrow(head_of(TopicRows("every", 1, 0, ()), value), value, KnownColumns([EVERY]))


def test_nulls_and_times_are_as_the_table_says() -> None:
    """A column that may not be null has none, and no time is before 1970."""
    strict = Table("every", 1, "", (), (COLUMNS[0], Column("c0", DType.INT64, "", "", "")))
    for column, problem in (
        (TopicColumn("c0", DType.INT64, valid=b"\1"), "column c0 has nulls"),
        (replace(TIME, valid=b"\0"), "column timestamp has nulls"),
        (replace(TIME, base=-1), "before 1970"),
    ):
        columns = {"timestamp": TIME, "c0": TopicColumn("c0", DType.INT64), column.name: column}
        with pytest.raises(FormatError, match=problem):
            read(TopicRows("every", 1, 2, tuple(columns.values())), known=KnownColumns([strict]))


@pytest.mark.parametrize(
    "change", [{"table": "other"}, {"version": 2}, {"rows": 4}, {"host": ""}, {"install": "x" * 256}, {"worker": "w" * 300}]
)
def test_headers_that_do_not_fit_are_refused(change: dict[str, object]) -> None:
    """Another table, version or number, and names that no store takes."""
    value = encode_columns(TopicRows("every", 1, 2, (TIME,)))
    head = head_of(TopicRows("every", 1, 2, ()), value)
    with pytest.raises(FormatError):
        to_arrow(replace(head, **change), value, KnownColumns([EVERY]))
