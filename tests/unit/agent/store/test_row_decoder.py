"""Rows of a batch are checked against the columns of their segment, for every reader alike."""

import pytest

from agent.model.errors import FormatError
from agent.model.message import encode
from agent.model.row_check import BadRow
from agent.store.record import TableForm
from agent.store.row_decoder import RowDecoder

FORM = TableForm(1, ("timestamp", "n"), ("int64", "int64"), "t-", (False, True))


def test_a_row_that_does_not_fit_is_given_apart() -> None:
    """The others come in their order, as they were stored."""
    rows, bad = RowDecoder(FORM).decode(encode([(1, 2), (2, 0.5), (3, None), (4,), (2**63, 1)]))
    assert list(rows) == [(1, 2), (3, None)]
    beyond = BadRow("timestamp", "before 1970 or beyond int64")
    assert bad == [BadRow("n", "float, not int64"), BadRow("", "1 values for the 2 columns"), beyond]


@pytest.mark.parametrize("nullable", [(), (True, True)], ids=["nothing is said", "it may be null"])
def test_a_row_without_a_time_does_not_fit_whatever_its_segment_declares(nullable: tuple[bool, ...]) -> None:
    """Every reader takes it for granted."""
    form = TableForm(1, ("timestamp", "n"), ("int64", "int64"), "t-", nullable)
    rows, bad = RowDecoder(form).decode(encode([(None, 1), (1, None)]))
    assert list(rows) == [(1, None)]
    assert [each.column for each in bad] == ["timestamp"]


@pytest.mark.parametrize("encoded", [b"", b"\xc1", encode([1])])
def test_bytes_that_are_no_rows_are_a_format_error(encoded: bytes) -> None:
    """Nothing is made of them."""
    with pytest.raises(FormatError):
        RowDecoder(FORM).decode(encoded)


@pytest.mark.parametrize("dtypes", [("int64", "decimal"), ("int64",), ("float64", "int64")])
def test_columns_that_this_version_does_not_know_are_a_format_error(dtypes: tuple[str, ...]) -> None:
    """Of a type of a later version, without a type, or with a time that is none."""
    with pytest.raises(FormatError):
        RowDecoder(TableForm(1, ("timestamp", "n"), dtypes, "t-"))
