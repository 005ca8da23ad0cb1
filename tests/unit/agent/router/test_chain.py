"""Ticks that say how long ago the one before was show which are missing."""

from agent.model.timebase import S
from agent.router.chain import SLACK_NS, Segment, gaps_of, slack_of
from agent.router.fact import Stretch

BEHIND = 1 << 62


def holes(*segments: Segment, losses: tuple[Stretch, ...] = ()) -> list[Stretch]:
    """Without the two that are always there: before the first where it has one before it, and behind the last."""
    *found, last = gaps_of(segments, losses).holes
    assert last.until_ns == BEHIND
    return found


def test_behind_the_last_tick_everything_is_open() -> None:
    """And without any tick all of it."""
    assert gaps_of([Segment(10 * S, 20 * S, None)], []).holes == [Stretch(20 * S + 1, BEHIND)]
    assert gaps_of([], []).holes == [Stretch(-BEHIND, BEHIND)]


def test_what_came_before_the_first_is_known_by_its_word() -> None:
    """The first after a start has nothing before it; another has, as long ago as it says."""
    assert holes(Segment(10 * S, 20 * S, None)) == []
    (before,) = holes(Segment(10 * S, 20 * S, S))
    assert before == Stretch(-BEHIND + 1, 9 * S + slack_of(S))


def test_ticks_that_follow_each_other_leave_no_hole() -> None:
    """In whatever order their segments come; a slewed clock is no hole."""
    slewed = round(1.05 * S)
    assert holes(Segment(30 * S + slewed, 40 * S, S), Segment(10 * S, 30 * S, None)) == []


def test_a_missing_tick_is_a_hole_up_to_where_it_was() -> None:
    """It was as long before the next one as that says."""
    (found,) = holes(Segment(10 * S, 30 * S, None), Segment(33 * S, 40 * S, S))
    assert found == Stretch(30 * S + 1, 32 * S + slack_of(S))
    assert slack_of(S) == S // 10 + SLACK_NS


def test_a_stop_is_no_hole_unless_a_loss_is_recorded_in_it() -> None:
    """Then the loss is one, as far as it lies in the stop."""
    first, second = Segment(10 * S, 30 * S, None), Segment(90 * S, 95 * S, None)
    assert holes(first, second) == []
    losses = (Stretch(20 * S, 40 * S), Stretch(91 * S, 92 * S))
    assert holes(first, second, losses=losses) == [Stretch(30 * S + 1, 40 * S)]


def test_a_clock_that_was_set_back_proves_nothing() -> None:
    """Ticks of both passes lie between each other."""
    segments = Segment(10 * S, 30 * S, None), Segment(25 * S, 50 * S, S)
    found = [Stretch(24 * S - slack_of(S), 25 * S + 1)]
    assert holes(*segments) == gaps_of(segments, []).twice == found
    assert gaps_of([Segment(10 * S, 30 * S, None), Segment(33 * S, 40 * S, S)], []).twice == []
