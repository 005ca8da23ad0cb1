"""Ledgers: what they know, and that nothing else is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.lake.ledger import MAGIC, DayLedger, decode_ledger
from agent.model.errors import FormatError


@given(st.sets(st.text(max_size=20), max_size=20), st.text(max_size=20))
def test_a_ledger_knows_the_paths_that_it_was_given(paths: set[str], other: str) -> None:
    """Also after it was written and read, whatever their order was."""
    ledger = decode_ledger(DayLedger().with_paths(paths).encoded(), "x")
    assert len(ledger) == len(paths)
    assert all(path in ledger for path in paths)
    assert (other in ledger) is (other in paths)
    assert DayLedger().with_paths(sorted(paths)).encoded() == ledger.encoded()


def test_a_ledger_grows() -> None:
    """The former stays as it was."""
    first = DayLedger().with_paths(["a"])
    second = first.with_paths(["b"])
    assert ("a" in second, "b" in second, "b" in first) == (True, True, False)


def test_bytes_that_are_cut_off_or_altered_are_no_ledger() -> None:
    """Each prefix, and each byte."""
    data = DayLedger().with_paths(["a", "b"]).encoded()
    for end in range(len(data)):
        with pytest.raises(FormatError, match="backup"):
            decode_ledger(data[:end], "x")
    for at in range(len(data)):
        altered = bytearray(data)
        altered[at] ^= 1
        with pytest.raises(FormatError):
            decode_ledger(bytes(altered), "x")
    assert data.startswith(MAGIC)
