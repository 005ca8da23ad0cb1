"""Rows become columns as they are, or are refused one by one."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.column_type import COLUMN_TYPES, DType
from agent.model.errors import FormatError
from agent.model.message import encode
from agent.model.row_check import BadRow
from agent.model.table import Row
from agent.store.arrow import Conversion, Portions, arrow_type
from agent.store.record import TableForm
from agent.store.spool_reader import Part, StoredPart

INT64 = st.integers(-(2**63), 2**63 - 1)
FLOAT64 = st.floats(allow_nan=False) | st.integers(-(2**53), 2**53)
VALUES: dict[DType, st.SearchStrategy[object]] = {
    DType.INT64: INT64,
    DType.FLOAT64: FLOAT64,
    DType.UTF8: st.text(max_size=8),
    DType.BOOL: st.booleans(),
    DType.BYTES: st.binary(max_size=8),
    DType.LIST_INT64: st.lists(INT64, max_size=3),
    DType.LIST_FLOAT64: st.lists(FLOAT64, max_size=3),
    DType.LIST_UTF8: st.lists(st.text(max_size=8), max_size=3),
}
FORM = TableForm(1, tuple(f"c{number}" for number in range(len(VALUES))), tuple(map(str, VALUES)), "t-")
ROWS = st.lists(st.tuples(*(st.none() | values for values in VALUES.values())), max_size=6)
TIMED = TableForm(1, ("timestamp", "n"), ("int64", "int64"), "t-", (False, True))


@given(ROWS)
def test_every_value_comes_back_as_it_was(rows: list[Row]) -> None:
    """All types, through the bytes of the spool, with the host behind them."""
    converted = Conversion(FORM, "node-1").convert(encode(list(rows)))
    assert (list(converted.bad), converted.first_wall_ns) == ([], None)
    found = [tuple(row.values()) for row in converted.batch.to_pylist()]
    assert found == [(*row, "node-1") for row in rows]


def test_a_bad_row_is_refused_alone() -> None:
    """1.5 is no integer, and is not made one; the rows around it are there."""
    converted = Conversion(TIMED, "h").convert(encode([(5, 1), (4, 1.5), (None, 2), (7, None)]))
    assert converted.batch.column("n").to_pylist() == [1, None]
    assert list(converted.bad) == [BadRow("n", "float, not int64"), BadRow("timestamp", "missing and may not be")]
    assert (converted.first_wall_ns, converted.last_wall_ns) == (5, 7)


@pytest.mark.parametrize("encoded", [b"", b"\xc1", b"\x80", b"\x91\x01", encode([1])])
def test_bytes_that_are_no_rows_are_a_format_error(encoded: bytes) -> None:
    """Nothing else is raised, and nothing is made of them."""
    with pytest.raises(FormatError):
        Conversion(TIMED, "h").convert(encoded)


def test_a_large_whole_number_stands_for_a_fraction() -> None:
    """Arrow refuses those that a float does not hold exactly; rounded they are as good as any."""
    form = TableForm(1, ("a", "b"), ("float64", "list<float64>"), "t-")
    (row,) = Conversion(form, "h").convert(encode([(2**60 + 1, [2**60 + 1])])).batch.to_pylist()
    assert (row["a"], row["b"]) == (float(2**60), [float(2**60)])


def test_a_float_that_is_no_number_is_kept() -> None:
    """It is a value of its type."""
    (row,) = Conversion(TableForm(1, ("a",), ("float64",), "t-"), "h").convert(encode([(math.nan,)])).batch.to_pylist()
    assert math.isnan(row["a"])


def test_types_of_a_later_version_are_a_format_error() -> None:
    """The sentence says what to do."""
    with pytest.raises(FormatError, match=r"does not know.*upgrade agentctl"):
        Conversion(TableForm(1, ("a",), ("decimal",), "t-"), "h")


def test_each_type_has_its_arrow_type() -> None:
    """As the map has it."""
    for dtype, known in COLUMN_TYPES.items():
        found = arrow_type(dtype)
        assert known.arrow == (str(found) if known.element is None else f"list<{found.value_type}>")


def test_portions_give_all_rows_with_the_host_of_each() -> None:
    """Two segments of two hosts; what cannot be read and what does not fit is counted, and the host stays the last column."""
    later = TableForm(2, ("timestamp", "n", "more"), ("int64", "int64", "utf8"), "t-")
    parts = [
        Part(TIMED, "one", [StoredPart(encode([(1, 1), (2, 0.5)])), StoredPart(b"\xc1"), StoredPart(encode([(3, 3)]))]),
        Part(later, "two", [StoredPart(encode([(4, 4, "x")]))]),
    ]
    portions = Portions(parts)
    assert portions.schema().names == ["timestamp", "n", "more", "host"]
    rows = [row for table in portions for row in table.to_pylist()]
    assert [(row["n"], row["host"]) for row in rows] == [(1, "one"), (3, "one"), (4, "two")]
    assert (portions.unreadable, portions.bad_rows) == (1, 1)


def test_lists_and_bytes_reach_a_query_as_json(tmp_path: Path) -> None:
    """From the spool and from Parquet alike; bytes are base64 there."""
    import io

    from fakes.stored_data import batch_of, head_of, write_parquet, write_segment

    from agent.cli.program import run

    form = TableForm(1, ("timestamp", "sketch", "counts"), ("int64", "binary", "list<int64>"), "sketch-")
    write_parquet(tmp_path, "sketch", "a", [(1, b"\x00\xff", [1, 2])], form=form)
    write_segment(tmp_path, "b", head_of("b", {"sketch": form}) + batch_of("sketch", [(2, b"x", []), (3, None, None)]))
    output = io.StringIO()
    statement = "SELECT sketch, counts, host FROM sketch ORDER BY timestamp"
    line = ["query", statement, "--json", "--state-dir", str(tmp_path), "--runtime-dir", str(tmp_path)]
    assert run(line, {}, output, io.StringIO()) == 0
    assert json.loads(output.getvalue()) == [
        {"sketch": "AP8=", "counts": [1, 2], "host": "node-1"},
        {"sketch": "eA==", "counts": [], "host": "node-1"},
        {"sketch": None, "counts": None, "host": "node-1"},
    ]
