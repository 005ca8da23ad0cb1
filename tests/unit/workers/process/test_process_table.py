"""Following processes: what has ended in part, what is out of range, what grows with the host."""

import errno
from itertools import pairwise

import pytest
from fakes.host import NS_PER_CLOCK_TICK, OTHER_POD, OTHER_POD_CGROUP, PAGE_BYTES, POD, POD_CGROUP, Host, why

from agent.model.timebase import S
from workers.process.files import FILES_PER_BEAT
from workers.process.process_table import CGROUP_PERIOD_TICKS, ROTATION_TICKS

pytestmark = pytest.mark.usefixtures("watched_and_polled")


def _end_first_thread(host: Host, pid: int, *, threads: int, rss_pages: int) -> None:
    """The leader has ended; its line has no memory, and one further thread goes on and has all of it."""
    host.change(pid, state="Z", threads=threads, rss_pages=0, command_line=b"")
    host.tree.put(f"{pid}/task/{pid}/stat", host.processes[pid].stat)
    put_thread(host, pid, pid + 1, rss_pages=rss_pages)
    host.tree.put(f"{pid}/task/{pid + 1}/cmdline", b"server\0--deep\0")


def put_thread(host: Host, pid: int, tid: int, *, rss_pages: int, state: bytes = b"S") -> None:
    line = b"%d (busy) %b 1 0 0 0 0 0 0 0 0 0 0 0 0 0 20 0 2 0 7 4096 %d" % (tid, state, rss_pages) + b" 0" * 25
    host.tree.put(f"{pid}/task/{tid}/stat", line)


def test_memory_is_that_of_the_threads_that_go_on() -> None:
    """The first thread has ended, 400 MiB live in another: row, sums and command line know them."""
    host = Host()
    host.born(5, cgroup=POD_CGROUP)
    host.tick()
    _end_first_thread(host, 5, threads=2, rss_pages=102_400)
    tick = host.tick()
    row = tick.row(5)
    assert (row["rss_bytes"], row["state"], row["threads"], why(row, "rss")) == (102_400 * PAGE_BYTES, "Z", 2, None)
    assert row["command_line"] == "server --deep"
    assert tick.sums()[POD] == (1, host.short_run_ns, 102_400 * PAGE_BYTES)


def test_memory_of_the_other_threads_is_followed_though_the_line_stands_still() -> None:
    """The line of a first thread that has ended no longer changes; the memory does."""
    host = Host()
    host.born(5)
    _end_first_thread(host, 5, threads=2, rss_pages=100)
    host.tick()
    put_thread(host, 5, 6, rss_pages=300)
    host.change(5)
    assert host.tick().row(5)["rss_bytes"] == 300 * PAGE_BYTES


def test_a_thread_that_ends_hands_over_to_the_next() -> None:
    """Whichever thread still has the memory tells."""
    host = Host()
    host.born(5)
    _end_first_thread(host, 5, threads=3, rss_pages=100)
    host.tick()
    put_thread(host, 5, 6, rss_pages=0, state=b"Z")
    put_thread(host, 5, 9, rss_pages=80)
    host.change(5)
    assert host.tick().row(5)["rss_bytes"] == 80 * PAGE_BYTES


def test_memory_that_no_thread_tells_is_null_and_the_sums_say_that_they_lack_it() -> None:
    """The process stays in the totals; nothing is a zero that is none."""
    host = Host(top_rows=1)
    host.born(5)
    host.born(6, rss_pages=1000)
    host.tick()
    host.change(5, state="Z", threads=2, rss_pages=0)
    host.work(6, 5)
    tick = host.tick()
    (tail,) = tick.tails
    assert (tail["processes"], tail["rss_bytes"], tail["absent"]) == (1, 0, "incomplete")
    host.work(5, 10)
    host.change(6, rss_pages=0)
    (row,) = (row for row in host.tick().rows if row["pid"] == 5)
    assert (row["rss_bytes"], why(row, "rss")) == (None, "unreadable")


def test_a_number_out_of_its_range_is_absent_and_the_process_stays() -> None:
    """One field that the kernel wrote wrongly costs that value, in that row."""
    host = Host()
    host.born(5, rss_pages=10)
    host.born(6)
    host.tick()
    host.change(5, rss_pages=1 << 63)
    tick = host.tick()
    assert (tick.row(5)["rss_bytes"], tick.row(5)["cpu_ns"], why(tick.row(5), "rss")) == (None, host.short_run_ns, "out_of_range")
    assert host.probe.stats()["unreadable"] == 0
    assert sum(processes for processes, _cpu, _rss in tick.sums().values()) == 2
    host.change(5, rss_pages=12)
    assert host.tick().row(5)["rss_bytes"] == 12 * PAGE_BYTES


def test_cpu_that_is_out_of_range_makes_no_difference_of_it() -> None:
    """Neither on its way out nor on its way back; the next difference is right. A CPU clock is not read from text."""
    host = Host(has_clocks=False)
    host.born(5, cpu_ticks=100)
    host.tick()
    host.change(5, cpu_ticks=1 << 62)
    row = host.tick().row(5)
    assert (row["cpu_total_ns"], row["cpu_ns"], why(row, "cpu")) == (None, None, "out_of_range")
    assert host.tick().row(5)["cpu_ns"] is None
    host.change(5, cpu_ticks=110)
    assert host.tick().row(5)["cpu_ns"] is None
    host.change(5, cpu_ticks=115)
    assert host.tick().row(5)["cpu_ns"] == 5 * NS_PER_CLOCK_TICK


def test_a_start_before_the_boot_of_a_time_namespace_is_a_process_like_others() -> None:
    """The kernel writes it as a number near the end of 64 bits."""
    host = Host()
    host.born(5, start_ticks=(1 << 64) - 500)
    assert host.tick().row(5)["start_ticks"] == -500


def test_a_host_of_18000_processes_beats_all_along() -> None:
    """No longer silence than a few hundred files, at the first tick, at later ones, when all die, and at the end."""
    host = Host()
    host.tree.listed = listed = [str(pid) for pid in range(2, 18_002)]
    for pid in range(2, 18_002):
        host.born(pid)
    beats: list[int] = []
    host.heartbeat.beat = lambda: beats.append(len(host.tree.calls))
    # The reader aside beats while its caller waits.
    host.reader.before_read = host.heartbeat

    def longest_silence() -> int:
        marks = [0, *beats, len(host.tree.calls)]
        beats.clear()
        host.tree.calls.clear()
        return max(later - earlier for earlier, later in pairwise(marks))

    host.tree.calls.clear()
    host.tick()
    # Of a process that is met `stat` and `cgroup` are opened and read.
    assert longest_silence() <= 7 * FILES_PER_BEAT + 200
    assert host.probe.stats()["processes"] == 18_000
    host.tick()
    assert longest_silence() <= 7 * FILES_PER_BEAT + 200
    assert len(beats) == 0
    listed[10:] = []
    host.heartbeat.beat = lambda: beats.append(0)
    host.tick()
    assert len(beats) >= 18_000 // FILES_PER_BEAT
    listed[:] = []
    host.tick()
    host.probe.close()


def test_the_descriptors_of_a_large_host_are_given_back_with_beats() -> None:
    """The end of the worker is no hang either. With clocks few are kept."""
    host = Host(has_clocks=False)
    for pid in range(2, 2 + 2 * FILES_PER_BEAT):
        host.born(pid)
    host.tick()
    beats: list[int] = []
    host.heartbeat.beat = lambda: beats.append(host.tree.open_descriptors)
    host.probe.close()
    assert beats == [FILES_PER_BEAT, 0]


def test_a_sleeping_process_that_is_moved_is_in_its_new_unit_within_the_period() -> None:
    """Whatever its number, and whether it sleeps or works in just those ticks in which it would be looked at while it sleeps."""
    host = Host(top_rows=1)
    sleepers, workers = range(100, 100 + CGROUP_PERIOD_TICKS), range(200, 200 + CGROUP_PERIOD_TICKS)
    for pid in (*sleepers, *workers):
        host.born(pid, cgroup=POD_CGROUP)
    host.tick()
    for pid in (*sleepers, *workers):
        host.move(pid, OTHER_POD_CGROUP)
    for number in range(1, 1 + CGROUP_PERIOD_TICKS):
        for pid in workers:
            if (number + pid) % ROTATION_TICKS == 0:
                host.work(pid, 1)
        moved = host.tick().sums()[OTHER_POD][0]
        assert moved == 2 * number
    assert POD not in host.tick().sums()


def test_a_process_is_young_by_the_clock_of_its_start() -> None:
    """Not by an uptime that a container's file system makes up; there is no such file to read at all."""
    host = Host()
    host.tick()
    host.born(5, cpu_ticks=30)
    host.born(6, cpu_ticks=9000, start_ticks=3)
    tick = host.tick(S)
    assert (tick.row(5)["cpu_ns"], tick.row(6)["cpu_ns"]) == (30 * NS_PER_CLOCK_TICK, None)
    assert not [path for _call, path in host.tree.calls if path == "uptime"]


def test_a_process_born_while_others_are_listed_loses_none_of_its_cpu() -> None:
    """It is not in that listing, and its start is later than the listing's beginning: the next tick has all of it."""
    host = Host()
    host.tick()

    def give_birth() -> None:
        host.tree.on_listed = lambda: None
        host.uptime_ticks += 2
        host.born(5, cpu_ticks=4)
        host.uptime_ticks += 2

    host.tree.on_listed = give_birth
    host.tick()
    assert host.tick().row(5)["cpu_ns"] == 4 * NS_PER_CLOCK_TICK


def test_processes_that_refuse_are_counted_apart_from_those_that_have_ended() -> None:
    """Only the former are a matter of permission."""
    host = Host()
    for pid, code in ((5, errno.EACCES), (6, errno.EPERM), (7, errno.ESRCH)):
        host.born(pid)
        host.tree.fail(f"{pid}/stat", code)
    host.tick()
    assert (host.probe.stats()["unreadable"], host.probe.stats()["refused"]) == (2, 2)


def test_new_processes_are_met_by_their_numbers_and_ended_ones_by_their_clocks() -> None:
    """The numbers come from `loadavg`; nothing is listed between the listings once in a while."""
    host = Host(has_clocks=True)
    host.born(1)

    def give(number: int) -> None:
        host.tree.put("loadavg", b"0.00 0.00 0.00 1/9 %d\n" % number)

    give(100)
    for _ in range(3):
        host.tick()
    listings = host.tree.calls.count(("list_names", ""))
    host.born(101)
    give(103)
    tick = host.tick()
    assert (tick.scan["started"], tick.row(101)["pid"]) == (1, 101)
    host.die(101)
    assert host.tick().scan["processes"] == 1
    assert host.tree.calls.count(("list_names", "")) == listings


def test_a_process_that_could_not_be_read_is_found_again_by_listing() -> None:
    """Its number is not given a second time."""
    host = Host()
    host.born(1)
    host.tree.put("loadavg", b"0.00 0.00 0.00 1/9 100\n")
    for _ in range(3):
        host.tick()
    host.born(101)
    host.tree.put("loadavg", b"0.00 0.00 0.00 1/9 101\n")
    host.tree.fail("101/stat", errno.EACCES)
    assert [host.tick().scan["processes"] for _ in range(4)] == [1] * 4
    host.tree.fail("101/stat", None)
    assert host.tick().scan["processes"] == 2


def test_memory_is_as_exact_as_the_kernel_counts_it() -> None:
    """`stat` lacks what each CPU has counted for itself, `statm` does not; between two comparisons the difference stays."""
    host = Host()
    host.born(5, cgroup=POD_CGROUP, rss_pages=300, more_pages=40)
    tick = host.tick()
    assert (tick.row(5)["rss_bytes"], tick.sums()[POD][2]) == (340 * PAGE_BYTES, 340 * PAGE_BYTES)
    host.change(5, rss_pages=500)
    assert host.tick().row(5)["rss_bytes"] == 540 * PAGE_BYTES
    host.change(5, more_pages=-20)
    rows = [host.tick().row(5)["rss_bytes"] for _ in range(ROTATION_TICKS)]
    assert rows[-1] == 480 * PAGE_BYTES


def test_a_process_that_has_just_begun_is_compared_soon() -> None:
    """It sleeps, and what the kernel counts of its memory quickly is another number than the exact one, from its second tick on."""
    host = Host()
    host.tick()
    host.born(5, cgroup=POD_CGROUP, rss_pages=300)
    host.tick()
    host.processes[5].more_pages = 40
    host.show(host.processes[5])
    assert host.tick().sums()[POD][2] == 340 * PAGE_BYTES
