"""The life of a collector as the sampler sees it: asked, given up, taken back, tried again."""

from hypothesis import given
from hypothesis import strategies as st

from agent.model.timebase import MINUTE, S
from workers.gpu.watch import FIRST_ANSWER_FACTOR, RETRY_LEAST_NS, CollectorPhase, CollectorWatch

WALL = 1_700_000_000 * S


def watch(phase: CollectorPhase = CollectorPhase.WAITING) -> CollectorWatch:
    """One with five seconds of patience, in that phase; it has answered once if it was started."""
    made = CollectorWatch(patience_ns=5 * S, retry_most_ns=MINUTE)
    if phase is not CollectorPhase.WAITING:
        made.on_started(0)
        made.on_asked(0, WALL)
        made.on_answer(1 * S)
    if phase in (CollectorPhase.ASKED, CollectorPhase.ABANDONED):
        made.on_asked(1 * S, WALL + S)
    if phase is CollectorPhase.ABANDONED:
        assert made.on_time(6 * S)
    assert made.phase is phase
    return made


def test_it_is_started_and_asked_at_once() -> None:
    """The first answer takes longest."""
    made = watch()
    assert (made.start_at_ns, made.ask_at_ns) == (0, None)
    made.on_started(3)
    assert (made.start_at_ns, made.ask_at_ns) == (None, 3)


def test_without_an_answer_it_is_given_up_once_and_since_the_question() -> None:
    """Not a moment before its patience is over."""
    made = watch(CollectorPhase.ASKED)
    assert not made.on_time(6 * S - 1)
    assert made.on_time(6 * S)
    assert not made.on_time(7 * S)
    assert (made.stuck_since_wall_ns, made.abandoned, made.start_at_ns, made.ask_at_ns) == (WALL + S, 1, None, None)


def test_the_first_answer_may_take_longer() -> None:
    """Driver and library are loaded by it."""
    made = watch()
    made.on_started(0)
    made.on_asked(0, WALL)
    assert not made.on_time(FIRST_ANSWER_FACTOR * 5 * S - 1)
    assert made.on_time(FIRST_ANSWER_FACTOR * 5 * S)


def test_one_that_was_given_up_is_taken_back_with_its_late_answer() -> None:
    """No other one is started beside it."""
    made = watch(CollectorPhase.ABANDONED)
    made.on_answer(70 * S)
    assert (made.phase, made.stuck_since_wall_ns, made.ask_at_ns) == (CollectorPhase.IDLE, None, 70 * S)


def test_each_end_without_an_answer_doubles_the_wait_up_to_the_most() -> None:
    """An answer ends the growth."""
    made = watch()
    waits = []
    for _ in range(9):
        made.on_started(0)
        made.on_ended(0)
        waits.append(made.start_at_ns)
    assert waits == [RETRY_LEAST_NS << number for number in range(6)] + [MINUTE] * 3
    made.on_started(0)
    made.on_asked(0, WALL)
    made.on_answer(0)
    made.on_ended(0)
    assert made.start_at_ns == RETRY_LEAST_NS


def test_a_refusal_is_no_answer() -> None:
    """It says why there is nothing and ends; the wait grows on."""
    made = watch()
    for number in range(3):
        made.on_started(0)
        made.on_asked(0, WALL)
        made.on_refused()
        assert made.ask_at_ns is None
        assert not made.on_time(MINUTE)
        made.on_ended(0)
        assert made.start_at_ns == RETRY_LEAST_NS << number


def test_while_another_one_is_in_the_way_it_is_only_looked_for() -> None:
    """It may be stuck since long, or just be ending."""
    made = watch()
    made.on_blocked(0, WALL + S, WALL)
    assert (made.phase, made.stuck_since_wall_ns, made.start_at_ns) == (CollectorPhase.WAITING, WALL, RETRY_LEAST_NS)
    made.on_blocked(0, WALL + S, None)
    assert (made.stuck_since_wall_ns, made.start_at_ns) == (None, 2 * RETRY_LEAST_NS)


def test_one_in_the_way_that_does_not_end_is_stuck_since_it_was_first_seen() -> None:
    """The worker that had started it ended before it could give it up."""
    made = watch()
    made.on_blocked(0, WALL, None)
    made.on_blocked(5 * S - 1, WALL + 5 * S - 1, None)
    early = made.stuck_since_wall_ns
    made.on_blocked(5 * S, WALL + 5 * S, None)
    late = made.stuck_since_wall_ns
    made.on_started(6 * S)
    assert (early, late, made.stuck_since_wall_ns) == (None, WALL, None)


@given(st.lists(st.integers(0, 5), max_size=60))
def test_there_is_never_a_second_one_beside_one_that_is_there(steps: list[int]) -> None:
    """Whatever happens in which order: a start is due only while there is none."""
    made, now_ns, is_there = CollectorWatch(patience_ns=S, retry_most_ns=MINUTE), 0, False
    for step in steps:
        now_ns += S
        if made.start_at_ns is not None and step == 0:
            assert not is_there
            made.on_started(now_ns)
            is_there = True
        elif made.ask_at_ns is not None and step == 1:
            made.on_asked(now_ns, now_ns)
        elif made.phase in (CollectorPhase.ASKED, CollectorPhase.ABANDONED) and step == 2:
            made.on_answer(now_ns)
        elif is_there and step == 3:
            made.on_ended(now_ns)
            is_there = False
        elif step == 4:
            made.on_time(now_ns)
        assert (made.start_at_ns is None) == is_there
