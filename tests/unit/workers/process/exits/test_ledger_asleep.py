"""A process that a signal ends in its sleep has run for its end alone: nothing is added for a clock tick that it does not miss."""

import pytest

from agent.model.proc_stat import Stat
from agent.model.timebase import MS, S
from workers.process.exits.calibration import STALE_SLEPT_NS_MAX, TAIL_NS, ExitCalibration, tail_ns_of
from workers.process.exits.ledger import Ledger, Moment
from workers.process.exits.taskstats_record import LAST_OF_GROUP, ExitRecord, ExitRecords, GroupTotal
from workers.process.process_table import Scan
from workers.process.tracked_process import Totals, TrackedProcess
from workers.process.unit_command import UnitCommand

BOOT_NS = 1000 * S


def _dies(*, counted_ns: int, run_ns: int, exit_code: int) -> int:
    """CPU that is counted for the death of a process of an hour that sleeps."""
    process = TrackedProcess("7", 7, Stat("S", 1, 0, 1, 0, 10), b"", "job", UnitCommand(None, "job"), Totals())
    process.cpu_ns = counted_ns
    record = ExitRecord(16, exit_code, LAST_OF_GROUP, 0, run_ns, b"job".ljust(32, b"\0"), 7, 1, 3600 * 10**6, 10, 0, 0, 5, 0, 7)
    records = ExitRecords()
    # As the quick way through many datagrams makes them.
    records.threads.append(tuple(record))  # type: ignore[arg-type]  # a plain tuple in the record's order
    scan = Scan()
    scan.gone.append(process)
    (dead,) = Ledger(ExitCalibration()).settle(scan, {}, records, Moment(BOOT_NS, BOOT_NS - S, 0, 10 * MS))
    assert dead.cpu_ns is not None
    return dead.cpu_ns


def test_a_sleeper_that_is_killed_used_no_more_than_the_tail_of_its_exit() -> None:
    """Of five hundred that are killed at once this would be a second of CPU that nobody used."""
    assert _dies(counted_ns=30 * MS, run_ns=30 * MS, exit_code=9) == tail_ns_of(10)


@pytest.mark.parametrize(("run_ns", "exit_code"), [(130 * MS, 9), (30 * MS, 0)])
def test_one_that_ran_or_ended_by_itself_may_miss_part_of_a_clock_tick(run_ns: int, exit_code: int) -> None:
    """It ran when it ended, and the kernel had not brought its run time up to date."""
    assert _dies(counted_ns=30 * MS, run_ns=run_ns, exit_code=exit_code) > run_ns - 30 * MS + tail_ns_of(10)


def test_hundreds_of_threads_that_slept_until_the_end_miss_a_tail_each_and_no_clock_tick() -> None:
    """Five hundred times 2 ms would be a second of CPU that nobody used."""
    process = TrackedProcess("7", 7, Stat("S", 1, 0, 500, 0, 10), b"", "job", UnitCommand(None, "job"), Totals())
    process.cpu_ns = 30 * MS
    records = ExitRecords()
    for number in range(500):
        flags = LAST_OF_GROUP if number == 499 else 0
        records.threads.append(
            ExitRecord(16, 9, flags, 0, 60_000, b"job".ljust(32, b"\0"), 7 + number, 1, 3600 * 10**6, 10, 0, 0, 5, 0, 7)
        )
    records.groups[499] = GroupTotal(7, 30 * MS, 2500, 0)
    scan = Scan()
    scan.gone.append(process)
    (dead,) = Ledger(ExitCalibration()).settle(scan, {}, records, Moment(BOOT_NS, BOOT_NS - S, 0, 10 * MS))
    assert dead.cpu_ns is not None
    assert dead.cpu_ns <= 500 * TAIL_NS + tail_ns_of(10) + STALE_SLEPT_NS_MAX
