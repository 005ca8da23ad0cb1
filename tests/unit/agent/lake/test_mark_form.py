"""Marks as text: the greater text is the newer mark."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.lake.mark_form import CachedMark, lake_id, mark_key, mark_value, parse_mark

MARKS = st.builds(CachedMark, st.integers(0, 10**18), st.integers(0, 2**62))


@given(MARKS, MARKS)
def test_texts_are_in_the_order_of_marks(one: CachedMark, other: CachedMark) -> None:
    """By commit, then by time to the microsecond."""
    first, second = (CachedMark(each.commit, each.low_ns // 1000 * 1000) for each in (one, other))
    assert (first < second) is (mark_value(first) < mark_value(second))


@given(MARKS)
def test_a_mark_is_read_back(mark: CachedMark) -> None:
    """In whole microseconds, rounded down: never more than there is."""
    found = parse_mark(mark_value(mark).encode())
    assert found is not None
    assert found.commit == mark.commit
    assert 0 <= mark.low_ns - found.low_ns < 1000


def test_a_time_before_1970_is_none() -> None:
    """Nothing is promised."""
    assert parse_mark(mark_value(CachedMark(3, -5)).encode()) == CachedMark(3, 0)


@pytest.mark.parametrize("value", [None, b"", b"x" * 41, b"0" * 41, "0" * 20 + "|" + "0" * 20, b"0" * 20 + b"|" + b"\xb2" * 20])
def test_what_nobody_of_ours_has_written_is_no_mark(value: object) -> None:
    """Whatever it is."""
    assert parse_mark(value) is None


def test_lakes_and_tables_have_keys_of_their_own() -> None:
    """A slash at the end of a URL does not matter."""
    lakes = [lake_id(url) for url in ("s3://a/b", "s3://a/c", "file:///a")]
    assert lake_id("s3://a/b/") == lakes[0]
    keys = sorted(mark_key(lake, table) for lake in lakes for table in ("process", "unit"))
    assert all(one != other for one, other in pairwise(keys))
    assert mark_key("l", "process") == "evergauge:marks:l:process"
