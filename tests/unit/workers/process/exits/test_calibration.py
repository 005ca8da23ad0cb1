"""The tail and the share are found from what parents' counters show, and nothing absurd is believed."""

import random

from agent.model.timebase import MS, S
from workers.process.exits.calibration import PARENTS_MAX, SHARE_START, TAIL_NS_MAX, TAIL_NS_START, ChildSums, ExitCalibration

STEP_NS = 10 * MS


def run(
    calibration: ExitCalibration, *, tail_ns: int, slack_ns: int = 0, share: float = 0.0, ticks: int = 60, each: int = 300
) -> None:
    """A parent whose children end evenly; its counters move in steps of 10 ms."""
    truth_ns = shown_ns = 0
    for _ in range(ticks):
        truth_ns += each * (200_000 + tail_ns + round(share * slack_ns))
        grown_ns = truth_ns // STEP_NS * STEP_NS - shown_ns
        shown_ns += grown_ns
        sums = ChildSums(each, each * 200_000, each * slack_ns)
        calibration.take({7: sums}, {7: grown_ns}, is_whole=True)


def test_the_tail_is_found_within_some_microseconds() -> None:
    """From children that never slept."""
    calibration = ExitCalibration()
    run(calibration, tail_ns=73_000)
    assert abs(calibration.tail_ns - 73_000) < 5_000
    assert calibration.estimates > 1


def test_the_share_is_found_for_children_that_slept() -> None:
    """With the tail known, the rest is the share of the possible."""
    calibration = ExitCalibration()
    run(calibration, tail_ns=TAIL_NS_START, slack_ns=900_000, share=0.3)
    assert abs(calibration.share - 0.3) < 0.03
    assert abs(calibration.share_of[7] - 0.3) < 0.06


def test_it_stays_within_its_bounds() -> None:
    """A tail longer than half a millisecond is not believed; one that is no tail at all is passed over."""
    calibration = ExitCalibration()
    run(calibration, tail_ns=TAIL_NS_MAX + 200_000)
    assert calibration.tail_ns == TAIL_NS_MAX
    calibration = ExitCalibration()
    run(calibration, tail_ns=-190_000)
    assert (calibration.tail_ns, calibration.estimates) == (TAIL_NS_START, 0)


def test_a_parent_that_waits_for_nobody_changes_nothing() -> None:
    """Its counters stand still, whatever its children used."""
    calibration = ExitCalibration()
    for _ in range(30):
        calibration.take({7: ChildSums(500, 500 * MS, 0)}, {7: 0}, is_whole=True)
        calibration.take({8: ChildSums(500, 500 * MS, S)}, {8: 0}, is_whole=True)
    assert (calibration.tail_ns, calibration.share) == (TAIL_NS_START, SHARE_START)


def test_lost_records_and_vanished_parents_begin_anew() -> None:
    """What is incomplete is not measured."""
    calibration = ExitCalibration()
    for turn in range(20):
        calibration.take({7: ChildSums(400, 400 * MS, 0)}, {7: 440 * MS}, is_whole=turn % 2 == 0)
    assert calibration.estimates == 0
    calibration.take({7: ChildSums(400, 400 * MS, 0)}, {7: 440 * MS}, is_whole=True)
    calibration.take({}, {}, is_whole=True)
    assert calibration.parents() == set()


def test_children_that_are_no_leaves_are_not_measured() -> None:
    """The parent's counters have more in them than the records say."""
    calibration = ExitCalibration()
    for _ in range(20):
        calibration.take({7: ChildSums(400, 400 * MS, 0, is_leaf=False)}, {7: 440 * MS}, is_whole=True)
    assert calibration.estimates == 0


def test_the_parents_that_are_measured_are_bounded() -> None:
    """Ten thousand parents at once are not remembered."""
    calibration = ExitCalibration()
    pids = range(10_000)
    calibration.take({pid: ChildSums(1, MS, 0) for pid in pids}, dict.fromkeys(pids, 0), is_whole=True)
    assert len(calibration.parents()) == PARENTS_MAX


def test_a_median_of_an_even_number_lies_between() -> None:
    """Two estimates count alike, and noise in one of many does not matter."""
    calibration = ExitCalibration()
    rng = random.Random(5)
    for _ in range(40):
        run(calibration, tail_ns=50_000 + rng.choice([0, 0, 0, 0, 200_000]), ticks=5, each=400)
    assert abs(calibration.tail_ns - 50_000) < 15_000


def test_children_of_a_child_are_folded() -> None:
    """A shell that has waited for its commands brings their time to its parent."""
    sums = ChildSums(1, MS, 0)
    sums.fold(ChildSums(2, 3 * MS, 5, is_leaf=False))
    assert (sums.children, sums.known_ns, sums.slack_ns, sums.is_leaf) == (3, 4 * MS, 5, False)
