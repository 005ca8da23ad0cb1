"""Each death is counted once, with the CPU since its last sample, whatever happens around it."""

import random

import pytest
from fakes.dying_world import CLOCK_TICK_NS, POD, TICK_NS, DyingWorld, record, records, tracked

from agent.model.timebase import MS, S
from workers.process.exits.calibration import ExitCalibration, tail_ns_of
from workers.process.exits.ledger import NAMES_MAX, PROCESSES_WITH_THREADS_MAX, Ledger, Moment
from workers.process.exits.taskstats_record import FORKED, ExitRecord, GroupTotal
from workers.process.process_table import Scan
from workers.process.tracked_process import ProcessIo
from workers.process.unit_command import UnitCommand

NOW = Moment(boot_ns=100 * S, last_boot_ns=99 * S, suspended_ns=0, ns_per_tick=CLOCK_TICK_NS)
# Of a process as `record` makes it, and of a thread that ends before its process does.
TAIL_NS, THREAD_TAIL_NS = tail_ns_of(100), tail_ns_of(0)
ALL = 90_000_000


@pytest.mark.parametrize("seed", range(25))
def test_living_and_dead_are_all_the_cpu_that_was_ever_used(seed: int) -> None:
    """In random worlds of forks, threads, zombies, moments and reaping, after every tick, to the nanosecond."""
    print("seed", seed)
    world = DyingWorld(random.Random(seed), tail_ns=THREAD_TAIL_NS)
    ledger = Ledger(ExitCalibration())
    living_ns = dead_ns = deaths = 0
    for _ in range(30):
        scan, drained, moment = world.tick()
        dead = ledger.settle(scan, world.processes, drained, moment)
        assert all(each.absent in (None, "several_threads", "first_tick") for each in dead), dead
        living_ns += sum(each.interval_cpu_ns or 0 for each in scan.touched)
        dead_ns += sum(each.cpu_ns or 0 for each in dead)
        deaths += len(dead)
        assert living_ns + dead_ns + world.unread_ns() == world.truth_ns
        assert deaths == world.deaths


def test_the_first_record_of_a_followed_process_is_its_own_and_later_ones_were_never_seen() -> None:
    """Its number was given out again, twice, within the tick."""
    process = tracked(7, cpu_ns=40 * MS)
    found = Ledger(ExitCalibration()).settle(
        Scan(gone=[process]),
        {},
        records(
            record(7, run_ns=50 * MS, elapsed_us=ALL + 9_999_000, run_delay_ns=ALL * 1_000 + 9_949 * MS),
            record(7, run_ns=2 * MS, elapsed_us=2_000),
            record(7, run_ns=3 * MS, elapsed_us=3_000),
        ),
        NOW,
    )
    assert [each.cpu_ns for each in found] == [10 * MS + TAIL_NS, 2 * MS + TAIL_NS, 3 * MS + TAIL_NS]
    assert [each.process for each in found] == [process, None, None]


def test_a_record_that_is_too_young_is_none_of_a_followed_process() -> None:
    """Its own was lost; the number's next holder lived for two milliseconds."""
    process = tracked(7, cpu_ns=40 * MS)
    found = Ledger(ExitCalibration()).settle(
        Scan(gone=[process]), {}, records(record(7, run_ns=2 * MS, elapsed_us=2_000), lost=1), NOW
    )
    assert [(each.process, each.cpu_ns, each.absent) for each in found] == [
        (None, 2 * MS + TAIL_NS, None),
        (process, None, "record_lost"),
    ]


def test_a_suspended_host_makes_no_record_too_young() -> None:
    """A process's age counts the time of a suspension, its record does not."""
    process = tracked(7, cpu_ns=0)
    slept = Moment(boot_ns=100 * S, last_boot_ns=99 * S, suspended_ns=98 * S, ns_per_tick=CLOCK_TICK_NS)
    (dead,) = Ledger(ExitCalibration()).settle(Scan(gone=[process]), {}, records(record(7, elapsed_us=1_500_000)), slept)
    assert dead.process is process


def test_a_zombie_that_stays_is_counted_once_and_its_last_reading_not_again() -> None:
    """It ended after the scan; what the next scan reads of it has been counted."""
    process = tracked(7, cpu_ns=40 * MS, start_ns=50 * S)
    ledger = Ledger(ExitCalibration())
    (dead,) = ledger.settle(
        Scan(), {"7": process}, records(record(7, run_ns=45 * MS, elapsed_us=50 * 1_000_000, run_delay_ns=50 * S - 45 * MS)), NOW
    )
    assert (dead.cpu_ns, process.cpu_ns, process.has_died) == (5 * MS + TAIL_NS, 45 * MS + TAIL_NS, True)
    process.stat = process.stat._replace(state="Z")
    process.read_at = 1
    assert ledger.settle(Scan(), {"7": process}, records(), NOW) == []
    assert ledger.settle(Scan(gone=[process]), {}, records(), NOW) == []


def test_a_process_that_was_taken_for_dead_and_runs_is_believed() -> None:
    """The record was of an earlier holder of its number; its own record is counted when it comes."""
    process = tracked(7, cpu_ns=0, start_ns=99 * S + S // 2)
    ledger = Ledger(ExitCalibration())
    ledger.settle(Scan(started=[process]), {"7": process}, records(record(7)), NOW)
    assert process.has_died
    process.read_at = 1
    ledger.settle(Scan(touched=[process]), {"7": process}, records(), NOW)
    assert not process.has_died


def test_a_zombie_without_a_record_was_counted_whole_by_the_look() -> None:
    """It ended before exit records were received."""
    (dead,) = Ledger(ExitCalibration()).settle(Scan(gone=[tracked(7, state="Z")]), {}, records(), NOW)
    assert (dead.cpu_ns, dead.absent) == (0, "record_lost")


def test_threads_of_living_processes_are_no_deaths() -> None:
    """Nor is the first thread of a process that goes on with others."""
    process = tracked(7, threads=3)
    ended = (record(8, tgid=7, flags=0, run_ns=9 * MS), record(7, tgid=7, flags=0, run_ns=MS))
    assert Ledger(ExitCalibration()).settle(Scan(), {"7": process}, records(*ended), NOW) == []


def test_a_process_has_the_name_of_its_first_thread_whichever_ends_last() -> None:
    """A library's thread named itself and was the last to end; the next holder of the number has its own name again."""
    ledger = Ledger(ExitCalibration())
    first = record(7, tgid=7, flags=0, comm=b"server".ljust(32, b"\0"))
    last = record(9, tgid=7, comm=b"allocator_bg".ljust(32, b"\0"))
    (dead,) = ledger.settle(Scan(), {}, records(first, last, groups={1: GroupTotal(7, 24 * MS, 0, 0)}), NOW)
    assert dead.key.command == "server"
    (dead,) = ledger.settle(Scan(), {}, records(record(7, comm=b"job".ljust(32, b"\0"))), NOW)
    assert dead.key.command == "job"


def test_names_of_first_threads_are_bounded() -> None:
    """Records of last threads that are lost leave no more behind than that."""
    ledger = Ledger(ExitCalibration())
    pids = range(10, 12 + PROCESSES_WITH_THREADS_MAX)
    ledger.settle(Scan(), {}, records(*(record(pid, tgid=pid, flags=0, comm=b"first") for pid in pids)), NOW)
    ends = (record(pid + 1_000_000, tgid=pid, comm=b"last") for pid in (10, 11, 12))
    totals = {index: GroupTotal(pid, MS, 0, 0) for index, pid in enumerate((10, 11, 12))}
    found = ledger.settle(Scan(), {}, records(*ends, groups=totals), NOW)
    assert [dead.key.command for dead in found] == ["last", "last", "first"]


def test_a_process_with_threads_ends_with_the_sum_of_all() -> None:
    """The sum lacks what each thread's own record lacks: the stale part and the tail."""
    process = tracked(7, threads=2, cpu_ns=10 * MS)
    ledger = Ledger(ExitCalibration())
    ledger.settle(Scan(), {"7": process}, records(record(8, tgid=7, flags=0, run_ns=4 * MS, elapsed_us=5_000)), NOW)
    last = record(7, run_ns=20 * MS, elapsed_us=100_000_000, run_delay_ns=100 * S - 22 * MS)
    (dead,) = ledger.settle(Scan(gone=[process]), {}, records(last, groups={0: GroupTotal(7, 24 * MS, 0, 0)}), NOW)
    # 24 ms as told, 1 ms and 2 ms stale, two tails, less the 10 ms that were counted.
    assert dead.cpu_ns == 17 * MS + TAIL_NS + THREAD_TAIL_NS
    assert (dead.read_bytes, dead.absent) == (None, "several_threads")


def test_an_unseen_process_has_the_name_of_its_first_thread() -> None:
    """Also where another one, which has a name of its own, ended last."""
    first, last = record(7, flags=0, run_ns=MS), record(9, tgid=7, comm=b"pool-1".ljust(32, b"\0"))
    (dead,) = Ledger(ExitCalibration()).settle(Scan(), {}, records(first, last, groups={1: GroupTotal(7, MS, 0, 0)}), NOW)
    assert (dead.key.command, dead.process) == ("job", None)


def test_estimates_follow_the_counters_of_the_parent_also_through_a_child_that_waited() -> None:
    """A thousand children of a shell that ends too, and a thousand of its parent: 60 us more each than is known."""
    parent = tracked(5)
    parent.interval_reaped_ns = 2_000 * 1_060_000 + MS
    shell = record(6, ppid=5, run_ns=MS, rss_max_kib=0)
    ended = [record(1_000 + number, ppid=6 if number < 1_000 else 5, run_ns=MS, rss_max_kib=0) for number in range(2_000)]
    dead = Ledger(ExitCalibration()).settle(Scan(), {"5": parent}, records(*ended[:1_000], shell, *ended[1_000:]), NOW)
    assert sum(each.cpu_ns or 0 for each in dead) == pytest.approx(parent.interval_reaped_ns, rel=0.01)
    assert max(each.tail_ns for each in dead) - min(each.tail_ns for each in dead) < 1_000
    assert all(each.cpu_ns == MS + each.tail_ns for each in dead)


def test_a_process_whose_first_thread_did_not_end_last_is_the_followed_one() -> None:
    """Its last thread is younger than the process: what was counted of it in an hour is not counted again as one never seen."""
    process = tracked(7, threads=2, cpu_ns=3600 * S)
    last = record(9, tgid=7, run_ns=MS, elapsed_us=1_000, run_delay_ns=0)
    groups = {1: GroupTotal(7, 3600 * S + MS, 0, 0)}
    first = record(7, flags=0, run_ns=3600 * S, elapsed_us=ALL, run_delay_ns=ALL * 1_000 - 3600 * S)
    (dead,) = Ledger(ExitCalibration()).settle(Scan(gone=[process]), {}, records(first, last, groups=groups), NOW)
    assert (dead.process, dead.cpu_ns) == (process, MS + TAIL_NS + THREAD_TAIL_NS)


def test_the_stale_part_is_exact_of_a_process_that_never_slept_and_a_share_of_one_that_did() -> None:
    """A record says 1 ms of run time after 3 ms of life without a wait."""
    never, slept = record(7, run_ns=MS, elapsed_us=3_000), record(8, run_ns=MS, elapsed_us=3_000, sleeps=1)
    found = Ledger(ExitCalibration()).settle(Scan(), {}, records(never, slept), NOW)
    assert [(each.cpu_ns, each.tail_ns) for each in found] == [
        (3 * MS + TAIL_NS, TAIL_NS),
        (3 * MS // 2 + TAIL_NS, MS // 2 + TAIL_NS),
    ]


def test_a_numbers_worth_of_sleep_is_not_taken_for_run_time() -> None:
    """The last run of one that slept is expected to be no longer than those before."""
    (dead,) = Ledger(ExitCalibration()).settle(Scan(), {}, records(record(7, run_ns=MS, elapsed_us=9_000_000, sleeps=9)), NOW)
    assert dead.cpu_ns == MS + MS // 9 // 2 + TAIL_NS


def test_what_was_never_seen_is_in_the_unit_of_its_parent() -> None:
    """Of a parent that lives, of one that has vanished, and of one that was never seen itself but had such a parent."""
    living, vanished = tracked(5), tracked(6)
    ended = (
        record(20, ppid=5), record(21, ppid=6), record(31, ppid=30), record(30, ppid=5), record(40, ppid=99),
        record(6, elapsed_us=ALL + 10_000_000),
    )  # fmt: skip
    found = Ledger(ExitCalibration()).settle(Scan(gone=[vanished]), {"5": living}, records(*ended), NOW)
    units = {tuple(each.record)[6]: (each.key, each.unit_from) for each in found if each.record is not None}
    of_pod = (UnitCommand(POD, "job"), "parent")
    assert units == {
        20: of_pod, 21: of_pod, 31: of_pod, 30: of_pod, 40: (UnitCommand(None, "job"), None), 6: (UnitCommand(POD, "job"), "seen"),
    }  # fmt: skip


def test_names_are_foreign_and_kernel_threads_are_summed_by_family() -> None:
    """Escape sequences and bytes that are no text are written out."""
    found = Ledger(ExitCalibration()).settle(
        Scan(),
        {},
        records(record(7, comm=b"a\x1b[2J\xff".ljust(32, b"\0")), record(8, ppid=2, comm=b"kworker/3:1-ev".ljust(32, b"\0"))),
        NOW,
    )
    assert [each.key.command for each in found] == [r"a\x1b[2J\xff", "kworker"]


def test_input_and_output_are_those_since_the_last_sample() -> None:
    """Whole where the process began since the last scan; unknown where it was never read."""
    known, young, old = tracked(5), tracked(6, start_ns=99 * S), tracked(7)
    known.io = ProcessIo(1_000, 5_000)
    long_us = ALL + 10_000_000
    ended = [record(pid, read_bytes=4_000, write_bytes=4_000, elapsed_us=long_us) for pid in (5, 6, 7)]
    found = Ledger(ExitCalibration()).settle(Scan(gone=[known, young, old]), {}, records(*ended), NOW)
    assert [(each.read_bytes, each.write_bytes) for each in found] == [(3_000, 0), (4_000, 4_000), (None, None)]
    assert found[2].absent == "first_tick"


def test_cpu_that_was_never_known_stays_unknown() -> None:
    """The kernel wrote a number out of range for it."""
    (dead,) = Ledger(ExitCalibration()).settle(
        Scan(gone=[tracked(7, cpu_ns=None)]), {}, records(record(7, elapsed_us=ALL + 10_000_000)), NOW
    )
    assert dead.cpu_ns is None
    assert "out_of_range" in (dead.absent or "")


def test_old_kernels_do_not_say_which_thread_was_the_last() -> None:
    """What vanished, a zombie and an unknown number are deaths; a first thread of several and a likely thread are not."""
    vanished, zombie, threaded = tracked(5), tracked(6, state="Z"), tracked(7, threads=4, ppid=3)
    ended = [record(pid, version=10, tgid=0, flags=0, elapsed_us=ALL + 10_000_000) for pid in (5, 6, 7, 8)]
    ended.append(record(9, version=10, tgid=0, flags=0, ppid=3))
    found = Ledger(ExitCalibration()).settle(Scan(gone=[vanished]), {"6": zombie, "7": threaded}, records(*ended), NOW)
    assert [each.record.pid for each in found if each.record is not None] == [5, 6, 8]
    last = record(12, version=10, tgid=0, flags=0, elapsed_us=ALL + 10_000_000)
    (dead,) = Ledger(ExitCalibration()).settle(
        Scan(gone=[threaded]), {}, records(last, groups={0: GroupTotal(7, 5 * MS, 0, 0)}), NOW
    )
    assert dead.process is threaded


def test_children_calibrate_through_their_parents() -> None:
    """A shell that nobody saw is folded into its own parent; what a parent's records say is told."""
    calibration = ExitCalibration()
    ledger = Ledger(calibration)
    parent = tracked(5)
    parent.interval_reaped_ns = 30 * MS
    ledger.settle(Scan(), {"5": parent}, records(record(31, ppid=30, run_ns=MS), record(30, ppid=5, run_ns=MS)), NOW)
    assert calibration.parents() == {5}
    assert ledger.counted_of_children() == {5: 2 * MS + 2 * TAIL_NS}


def test_names_and_threads_that_are_remembered_are_bounded() -> None:
    """Ten thousand names, and threads of as many processes, do not grow the memory for ever."""
    beats: list[int] = []
    ledger = Ledger(ExitCalibration(), lambda: beats.append(1))
    names = [record(pid, comm=b"%032d" % pid) for pid in range(NAMES_MAX + 10)]
    assert len(ledger.settle(Scan(), {}, records(*names), NOW)) == NAMES_MAX + 10
    threads = [record(pid, tgid=pid + 1, flags=0) for pid in range(0, 40_000, 2)]
    assert ledger.settle(Scan(), {}, records(*threads), NOW) == []
    assert len(beats) > 10
    assert TICK_NS == S


def test_before_version_12_what_failed_or_was_forked_is_a_process_beside_threads() -> None:
    """The kernel gives an exit code and the mark of a fork to first threads alone; without either it may be a thread."""
    sibling = tracked(3, threads=2, ppid=1)
    ended = [
        record(7, version=10, tgid=0, flags=0, exit_code=1 << 8),
        record(8, version=10, tgid=0, flags=FORKED),
        record(9, version=10, tgid=0, flags=0),
    ]
    dead = Ledger(ExitCalibration()).settle(Scan(), {"3": sibling}, records(*ended), NOW)
    assert [each.record.pid for each in dead if isinstance(each.record, ExitRecord)] == [7, 8]


def test_a_number_that_is_given_out_again_while_its_zombie_is_listed_has_two_deaths() -> None:
    """The first record is that of the process which was followed; the second is of one that was never seen."""
    process = tracked(7, cpu_ns=4 * MS, start_ns=99 * S)
    ended = (record(7, run_ns=5 * MS, elapsed_us=5_000), record(7, run_ns=2 * MS, elapsed_us=2_000))
    found = Ledger(ExitCalibration()).settle(Scan(), {"7": process}, records(*ended), NOW)
    assert [(each.process, each.cpu_ns) for each in found] == [(process, MS + TAIL_NS), (None, 2 * MS + TAIL_NS)]


def test_a_zombie_has_its_part_of_what_the_parents_counters_show() -> None:
    """It is in the zombie's own sum, so that its next reading is not counted again; children of others have no part."""
    parent, zombie = tracked(5), tracked(7, ppid=5, start_ns=99 * S)
    parent.interval_reaped_ns = 2_000 * 1_060_000
    children = [record(1_000 + number, ppid=5, run_ns=MS, rss_max_kib=0) for number in range(2_000)]
    ended = (record(9_000, ppid=99, run_ns=MS, rss_max_kib=0), record(7, ppid=5, run_ns=MS, rss_max_kib=0), *children)
    other, own, *rest = Ledger(ExitCalibration()).settle(Scan(), {"5": parent, "7": zombie}, records(*ended), NOW)
    assert other.tail_ns == THREAD_TAIL_NS
    assert own.process is zombie
    assert own.tail_ns == pytest.approx(60_000, rel=0.02)
    assert {each.tail_ns for each in rest} == {own.tail_ns}
    assert zombie.cpu_ns == own.cpu_ns == MS + own.tail_ns
