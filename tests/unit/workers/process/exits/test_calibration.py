"""Estimates follow what parents' counters show, from the first tick on, and nothing absurd is believed."""

import random
from collections.abc import Callable

import pytest

from agent.model.timebase import MS
from workers.process.exits.calibration import (
    NOISE_NS,
    PARENTS_MAX,
    SHARE_START,
    STALE_SLEPT_NS_MAX,
    TAIL_NS,
    TAIL_NS_MAX,
    ChildSums,
    ExitCalibration,
    tail_ns_of,
)

STEP_NS = 10 * MS
EACH_NS = 200_000


def children(calibration: ExitCalibration, parent: int, count: int, *, tail_ns: int = TAIL_NS, slack_ns: int = 0) -> ChildSums:
    """Some that ended, estimated as the ledger does it."""
    limit_ns = STALE_SLEPT_NS_MAX if slack_ns else 0
    estimated_ns = count * calibration.estimate_ns(parent, tail_ns, slack_ns)
    return ChildSums(count * EACH_NS, count * tail_ns, count * slack_ns, count * limit_ns, estimated_ns)


def run(
    calibration: ExitCalibration, missing_ns: Callable[[int], float], *, ticks: int = 30, each: int = 1000, slack_ns: int = 0
) -> list[float]:
    """A parent whose children miss so much each, by tick; how far the sum of all ticks until then is off, in ns."""
    truth_ns, shown_ns, given_ns = 0.0, 0, 0.0
    off: list[float] = []
    for tick in range(ticks):
        truth_ns += each * (EACH_NS + missing_ns(tick))
        grown_ns = int(truth_ns) // STEP_NS * STEP_NS - shown_ns
        shown_ns += grown_ns
        sums = children(calibration, 7, each, slack_ns=slack_ns)
        scale = calibration.take({7: sums}, {7: grown_ns}, is_whole=True).get(7, 1.0)
        given_ns += sums.known_ns + sums.estimated_ns * scale
        off.append(given_ns - truth_ns)
    return off


@pytest.mark.parametrize("missing_us", [0, 10, 40, 90])
def test_the_sum_follows_the_counters_from_the_first_tick_on(missing_us: int) -> None:
    """Within two steps of a counter at every tick, whatever an exit takes on this host."""
    off = run(ExitCalibration(), lambda _: missing_us * 1_000)
    assert max(abs(each) for each in off) < 2 * STEP_NS


@pytest.mark.parametrize("missing_us", [20, 100, 1_500])
def test_the_last_run_of_children_that_slept_is_found_too(missing_us: int) -> None:
    """Nothing of it is in their records; the sum is off by some hundredths of a second at most, and does not drift."""
    off = run(ExitCalibration(), lambda _: missing_us * 1_000, slack_ns=30_000)
    assert max(abs(each) for each in off) < 4 * STEP_NS
    assert abs(off[-1]) < 2 * STEP_NS


def test_what_changes_from_tick_to_tick_is_followed() -> None:
    """A load that beats with the clock tick misses nothing in one second and everything in the next."""
    off = run(ExitCalibration(), lambda tick: 1_900_000 if tick % 7 == 3 else 0, slack_ns=200_000)
    assert max(abs(each) for each in off) < 4 * STEP_NS


@pytest.mark.parametrize("seed", range(10))
def test_few_children_are_corrected_slowly_and_without_drift(seed: int) -> None:
    """Three a second: one step of a counter is a hundred times what is estimated, and still the sum is right in the end."""
    print("seed", seed)
    rng = random.Random(seed)
    off = run(ExitCalibration(), lambda _: rng.uniform(40_000, 80_000), ticks=3_000, each=3)
    assert abs(off[-1]) < 3 * NOISE_NS


def test_what_is_learnt_of_one_parent_counts_for_others() -> None:
    """Tails for tails, and slack for slack."""
    calibration = ExitCalibration()
    run(calibration, lambda _: 3 * TAIL_NS)
    assert abs(calibration.estimate_ns(99, TAIL_NS, 0) - 3 * TAIL_NS) < TAIL_NS // 2
    calibration = ExitCalibration()
    run(calibration, lambda _: TAIL_NS + 200_000, slack_ns=1_000_000)
    assert abs(calibration.estimate_ns(99, 0, 1_000_000) - 200_000) < 40_000


def test_it_stays_within_its_bounds() -> None:
    """A parent whose counters have seconds more or less than its children can have used is not believed."""
    calibration = ExitCalibration()
    run(calibration, lambda _: 1_000_000)
    run(calibration, lambda _: -100_000)
    assert (calibration.tail_factor, calibration.share, calibration.factor_of) == (1.0, SHARE_START, {})


def test_a_parent_that_waits_for_nobody_changes_nothing() -> None:
    """Its counters stand still, whatever its children used."""
    calibration = ExitCalibration()
    for _ in range(30):
        assert calibration.take({7: children(calibration, 7, 500)}, {7: 0}, is_whole=True) == {}
    assert (calibration.tail_factor, calibration.share) == (1.0, SHARE_START)


def test_a_parent_that_waits_for_all_at_the_end_changes_nothing() -> None:
    """A thousand children end over ten ticks, and are waited for in the eleventh."""
    calibration = ExitCalibration()
    for tick in range(11):
        sums = children(calibration, 7, 1_000 if tick < 10 else 1)
        calibration.take({7: sums}, {7: 0 if tick < 10 else 10_000 * (EACH_NS + TAIL_NS)}, is_whole=True)
    assert (calibration.tail_factor, calibration.factor_of) == (1.0, {})


def test_lost_records_and_vanished_parents_begin_again() -> None:
    """What is incomplete is not measured."""
    calibration = ExitCalibration()
    run(calibration, lambda _: 3 * TAIL_NS, ticks=3)
    assert calibration.parents() == {7}
    assert calibration.take({7: children(calibration, 7, 500)}, {7: 0}, is_whole=False) == {}
    assert (calibration.parents(), calibration.factor_of) == (set(), {})
    run(calibration, lambda _: 3 * TAIL_NS, ticks=3)
    calibration.take({7: children(calibration, 7, 1)}, {}, is_whole=True)
    assert (calibration.parents(), calibration.factor_of) == (set(), {})


def test_the_parents_that_are_measured_are_bounded() -> None:
    """Ten thousand parents at once are not remembered."""
    calibration = ExitCalibration()
    pids = range(10_000)
    calibration.take({pid: ChildSums(MS, TAIL_NS) for pid in pids}, dict.fromkeys(pids, 0), is_whole=True)
    assert len(calibration.parents()) == PARENTS_MAX


def test_children_whose_time_is_known_to_the_end_teach_nothing() -> None:
    """A tick may have none but such, after ticks with many others."""
    calibration = ExitCalibration()
    run(calibration, lambda _: 40_000)
    before = (calibration.tail_factor, calibration.share)
    known = ChildSums(known_ns=50 * MS)
    assert calibration.take({7: known}, {7: 50 * MS}, is_whole=True) == {}
    assert (calibration.tail_factor, calibration.share) == before


def test_children_of_a_child_are_folded() -> None:
    """A shell that has waited for its commands brings their time to its parent."""
    sums = ChildSums(MS, 1, 2, 3, 4)
    sums.fold(ChildSums(3 * MS, 10, 20, 30, 40))
    assert sums == ChildSums(4 * MS, 11, 22, 33, 44)


def test_the_tail_grows_with_the_memory_that_is_given_back() -> None:
    """Ten megabytes take longer than one, less so what is shared with a parent, and no record brings seconds."""
    assert tail_ns_of(0) == TAIL_NS
    assert tail_ns_of(10_000) == TAIL_NS + 800_000
    assert TAIL_NS < tail_ns_of(40_000, is_forked=True) < 200_000
    assert tail_ns_of(1 << 40) == tail_ns_of(1 << 40, is_forked=True) == TAIL_NS_MAX
