"""Windows of time: all rows in exactly one of them, in order, none larger than memory allows."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agent.model.timebase import DAY, HOUR, MINUTE, S
from workers.writer.compaction_window import BYTES_MAX, ROWS_MAX, ROWS_MIN, RowGroup, Window, halves, is_too_large, whole

MIDNIGHT_NS = 1_704_067_200 * S


def group(number: int, begin_ns: int, span_ns: int, rows: int, size_bytes: int = 0) -> RowGroup:
    """A row group of a source of its own."""
    return RowGroup(number, 0, begin_ns, begin_ns + span_ns - 1, rows, size_bytes)


def windows_of(groups: list[RowGroup]) -> list[Window]:
    """All windows, as a merge takes them."""
    pending, found = [whole(groups)], []
    while pending:
        window = pending.pop()
        if is_too_large(window):
            pending += halves(window)
        else:
            found.append(window)
    return found


def test_a_usual_day_has_a_window_for_each_hour() -> None:
    """96 files of a quarter of an hour, 8,333 rows an hour: each window holds the four of its hour in whole."""
    groups = [group(n, MIDNIGHT_NS + n * 15 * MINUTE, 15 * MINUTE, 2083) for n in range(96)]
    windows = windows_of(groups)
    assert [(window.begin_ns - MIDNIGHT_NS) // HOUR for window in windows] == list(range(24))
    assert all(len(window.groups) == 4 and all(map(window.holds_whole, window.groups)) for window in windows)


def test_a_day_of_few_rows_is_one_window() -> None:
    """A row group of some rows costs more than it saves."""
    groups = [group(n, MIDNIGHT_NS + n * HOUR, HOUR, ROWS_MIN // 24) for n in range(24)]
    assert len(windows_of(groups)) == 1


def test_many_rows_make_smaller_windows() -> None:
    """39 million rows a day: no window is expected to hold more than the limit, in rows or in bytes."""
    groups = [group(n, MIDNIGHT_NS + n * 45 * S, 45 * S, 20_000, 4_000_000) for n in range(1920)]
    windows = windows_of(groups)
    assert all(sum(g.rows for g in window.groups if window.holds_whole(g)) <= ROWS_MAX for window in windows)
    assert all(sum(g.bytes for g in window.groups if window.holds_whole(g)) <= BYTES_MAX for window in windows)
    assert len(windows) < 1920


def test_text_that_repeats_makes_smaller_windows() -> None:
    """It is larger in memory than its row group says."""
    window = whole([group(0, MIDNIGHT_NS, HOUR, 1000, BYTES_MAX // 2)])
    assert not is_too_large(window)
    assert is_too_large(window, 4.0)


def test_an_instant_can_not_be_halved() -> None:
    """However many rows it has."""
    window = whole([group(0, MIDNIGHT_NS, 1, 10 * ROWS_MAX)])
    assert not window.is_divisible
    assert not is_too_large(window)


def test_halves_without_rows_are_dropped() -> None:
    """Rows of 1970 and of today have no windows between them."""
    window = whole([group(0, 0, S, ROWS_MIN), group(1, MIDNIGHT_NS, S, ROWS_MIN)])
    assert len(windows_of([*window.groups])) == 2


@given(st.lists(st.tuples(st.integers(0, DAY), st.integers(1, 3 * HOUR), st.integers(1, 200_000)), min_size=1, max_size=40))
def test_every_instant_with_rows_is_in_exactly_one_window(spans: list[tuple[int, int, int]]) -> None:
    """Windows follow one another and do not overlap; each holds every row group that reaches into it."""
    groups = [group(n, MIDNIGHT_NS + begin, span, rows) for n, (begin, span, rows) in enumerate(spans)]
    windows = windows_of(groups)
    assert all(former.end_ns <= later.begin_ns for former, later in pairwise(windows))
    for each in groups:
        reached = [window for window in windows if window.begin_ns <= each.last_ns and each.first_ns < window.end_ns]
        assert all(each in window.groups for window in reached)
        covered = sum(min(w.end_ns, each.last_ns + 1) - max(w.begin_ns, each.first_ns) for w in reached)
        assert covered == each.last_ns + 1 - each.first_ns
