"""When the pods are listed."""

from hypothesis import given
from hypothesis import strategies as st

from agent.model.timebase import MS, S
from workers.control_plane.cri.schedule import EARLY_SHARE, EARLY_SPACING_NS, RETRY_MAX_NS, SETTLED_NS, ListSchedule, retry_delay_ns

INTERVAL = 10 * S


def listed(schedule: ListSchedule, cost_ns: int = 1 * MS) -> int:
    """A list at the moment when it is due; gives that moment."""
    began_ns = schedule.due_ns
    schedule.on_listed(began_ns, began_ns + cost_ns)
    return began_ns


def test_the_first_list_is_due_at_once_and_the_next_after_the_interval() -> None:
    """Without events there is nothing in between."""
    schedule = ListSchedule(INTERVAL, 5 * S)
    assert [listed(schedule), listed(schedule)] == [5 * S, 15 * S + 1 * MS]


def test_an_event_brings_an_early_list_and_a_settled_one() -> None:
    """The first soon, the second when a sandbox that the runtime still prepared at the event is listed; then the interval holds."""
    schedule = ListSchedule(INTERVAL, 0)
    listed(schedule)
    schedule.on_event(3 * S)
    first, second, third = listed(schedule), listed(schedule), listed(schedule)
    assert 3 * S < first <= 3 * S + 100 * MS
    assert second == 3 * S + SETTLED_NS
    assert third == second + 1 * MS + INTERVAL


def test_a_pod_is_known_within_a_second_of_its_event() -> None:
    """Also while a list of 5 ms was just made."""
    schedule = ListSchedule(INTERVAL, 0)
    listed(schedule, 5 * MS)
    schedule.on_event(6 * MS)
    while (began_ns := listed(schedule, 5 * MS)) < 6 * MS + SETTLED_NS:
        continue
    assert began_ns < 6 * MS + 1 * S


@given(st.integers(1 * MS, 300 * MS), st.integers(1 * MS, 40 * MS))
def test_a_storm_of_events_takes_a_bounded_part_of_the_time(spacing_ns: int, cost_ns: int) -> None:
    """However many events come, lists take at most one part in EARLY_SHARE of the time."""
    schedule, now_ns, spent_ns = ListSchedule(INTERVAL, 0), 0, 0
    for _ in range(400):
        now_ns += spacing_ns
        schedule.on_event(now_ns)
        if schedule.due_ns <= now_ns:
            schedule.on_listed(now_ns, now_ns + cost_ns)
            now_ns += cost_ns
            spent_ns += cost_ns
    assert spent_ns <= now_ns // EARLY_SHARE + 2 * cost_ns


def test_a_slow_runtime_is_not_listed_more_rarely_than_at_the_interval() -> None:
    """The pause after an early list is never longer than the interval."""
    schedule = ListSchedule(INTERVAL, 0)
    schedule.on_event(0)
    schedule.on_listed(0, 8 * S)
    schedule.on_event(9 * S)
    assert schedule.due_ns == 18 * S


def test_a_late_event_moves_no_list_back() -> None:
    """What is due sooner stays so."""
    schedule = ListSchedule(INTERVAL, 0)
    schedule.on_listed(0, 0)
    schedule.on_event(INTERVAL - 1 * MS)
    assert schedule.due_ns == INTERVAL


def test_early_lists_keep_their_distance() -> None:
    """A second event right after a list waits for it."""
    schedule = ListSchedule(INTERVAL, 0)
    schedule.on_listed(0, 1 * MS)
    schedule.on_event(2 * MS)
    assert schedule.due_ns == 1 * MS + EARLY_SPACING_NS


def test_connections_are_retried_ever_more_rarely_up_to_the_interval() -> None:
    """From a second on, doubled with each failure; a long interval does not make a runtime wait for it."""
    assert [retry_delay_ns(failures, INTERVAL) for failures in (1, 2, 4, 5, 1000)] == [1 * S, 2 * S, 8 * S, INTERVAL, INTERVAL]
    assert retry_delay_ns(1000, 3_600 * S) == RETRY_MAX_NS
