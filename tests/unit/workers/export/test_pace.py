"""A backlog takes its share of a core, however long it is, and never waits for ever."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.timebase import MS, S
from workers.export.pace import (
    CHUNK_LEAST_BYTES,
    CHUNK_MOST_BYTES,
    ENCODING_LEAST_NS,
    ENCODING_MOST_NS,
    REST_MOST_NS,
    Pace,
    next_chunk_bytes,
)


def test_the_first_piece_waits_for_nothing() -> None:
    """There was none before."""
    assert Pace(25).not_before_ns() == 0


def test_a_piece_is_followed_by_a_rest() -> None:
    """So that both together have the share: 100 ms of 25 % are over after 400 ms from its begin."""
    pace = Pace(25)
    pace.on_spent(100 * MS, 10 * S + 100 * MS)
    assert pace.not_before_ns() == 10 * S + 400 * MS


def test_the_parts_of_a_piece_add_up() -> None:
    """Encoding costs the loop, compressing and sending the thread."""
    pace = Pace(50)
    pace.on_spent(100 * MS, 10 * S)
    pace.on_spent(50 * MS, 10 * S + 60 * MS)
    assert pace.not_before_ns() == 10 * S + 200 * MS


def test_a_whole_core_needs_no_rest() -> None:
    """The next piece may begin when this one has ended."""
    pace = Pace(100)
    pace.on_spent(100 * MS, 10 * S)
    assert pace.not_before_ns() == 10 * S


def test_one_piece_is_not_paid_back_for_ever() -> None:
    """A minute of CPU time at one percent is followed by 10 s, not by 99 minutes."""
    pace = Pace(1)
    pace.on_spent(60 * S, 100 * S)
    assert pace.not_before_ns() == 100 * S + REST_MOST_NS


def test_rest_is_not_saved_up() -> None:
    """After an hour without a backlog the next piece is paid for as the first one."""
    pace = Pace(25)
    pace.on_spent(100 * MS, 10 * S)
    pace.on_spent(100 * MS, 3600 * S)
    assert pace.not_before_ns() == 3600 * S - 100 * MS + 400 * MS


@given(
    percent=st.integers(1, 100),
    costs_ms=st.lists(st.integers(1, 200), min_size=1, max_size=200),
    late_ms=st.lists(st.integers(0, 100), min_size=200, max_size=200),
)
def test_a_long_backlog_takes_its_share_and_no_more(percent: int, costs_ms: list[int], late_ms: list[int]) -> None:
    """Over any number of pieces, each begun as soon as it may be or later."""
    pace = Pace(percent)
    begin_ns = now_ns = 1 * S
    spent_ns = owed_ns = 0
    for cost_ms, late in zip(costs_ms, late_ms, strict=False):
        now_ns = max(now_ns, pace.not_before_ns()) + late * MS
        now_ns += cost_ms * MS
        spent_ns += cost_ms * MS
        owed_ns += min(cost_ms * MS * 100 // percent, cost_ms * MS + REST_MOST_NS)
        pace.on_spent(cost_ms * MS, now_ns)
        assert now_ns <= pace.not_before_ns() <= now_ns + REST_MOST_NS
    assert pace.not_before_ns() - begin_ns >= owed_ns


def test_another_share_holds_from_the_next_piece_on() -> None:
    """What is owed already stays."""
    pace = Pace(50)
    pace.on_spent(100 * MS, 10 * S)
    pace.set_percent(10)
    assert pace.not_before_ns() == 10 * S + 100 * MS
    pace.on_spent(100 * MS, 20 * S)
    assert pace.not_before_ns() == 20 * S + 900 * MS


@pytest.mark.parametrize(
    ("now_bytes", "took_ns", "then_bytes"),
    [
        (64 << 10, ENCODING_MOST_NS + 1, 32 << 10),
        (CHUNK_LEAST_BYTES, ENCODING_MOST_NS + 1, CHUNK_LEAST_BYTES),
        (64 << 10, ENCODING_MOST_NS, 64 << 10),
        (64 << 10, ENCODING_LEAST_NS, 64 << 10),
        (64 << 10, ENCODING_LEAST_NS - 1, 128 << 10),
        (CHUNK_MOST_BYTES, 0, CHUNK_MOST_BYTES),
    ],
)
def test_a_delivery_is_as_large_as_it_can_be_encoded_in_time(now_bytes: int, took_ns: int, then_bytes: int) -> None:
    """Half of it after one that took too long, twice as much after a quick one, within the bounds."""
    assert next_chunk_bytes(now_bytes, took_ns) == then_bytes
