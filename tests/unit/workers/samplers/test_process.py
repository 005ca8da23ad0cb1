"""The process sampler over a host in memory: who gets a row, what stands in it, and that nothing is counted wrongly."""

import errno
from pathlib import Path

import pytest
from fakes.host import NS_PER_CLOCK_TICK, OTHER_POD, OTHER_POD_CGROUP, PAGE_BYTES, POD, POD_CGROUP, Host, why

from agent.model.timebase import MS, S
from workers.framework.descriptor_pool import SPARE_DESCRIPTORS
from workers.process.process_table import CGROUP_PERIOD_TICKS
from workers.samplers.process import SAMPLER

pytestmark = pytest.mark.usefixtures("watched_and_polled")

FIXTURES = Path(__file__).parents[3] / "fixtures" / "proc"
VALUES_OF_A_PROCESS = {
    "pid": 5, "ppid": 4, "comm": "nginx", "command_line": "nginx -g daemon off;", "uid": 33, "cgroup": POD_CGROUP, "pod_uid": POD,
    "state": "R", "threads": 3, "rss_bytes": 20 * PAGE_BYTES,
}  # fmt: skip


def _measured(host: Host, ticks: int = 1) -> None:
    for _ in range(ticks):
        host.tick()


def _counts(host: Host) -> tuple[int, int, int]:
    """Processes, readings that failed, and processes whose descriptor could not be kept."""
    stats = host.probe.stats()
    return stats["processes"], stats["unreadable"], stats["descriptors_not_kept"]


def test_the_first_tick_has_no_cpu_and_says_so() -> None:
    """A rate needs two readings; the totals are there."""
    host = Host(top_rows=1)
    for pid in (5, 6):
        host.born(pid, cpu_ticks=70)
    tick = host.tick()
    (row,), (tail,) = tick.rows, tick.tails
    assert (row["cpu_ns"], row["cpu_share"], why(row, "cpu")) == (None, None, "first_tick")
    assert row["cpu_total_ns"] == 70 * NS_PER_CLOCK_TICK
    assert (tail["cpu_ns"], tail["cpu_share"], tail["absent"]) == (None, None, "cpu:first_tick")
    assert tail["rss_bytes"] == 10 * PAGE_BYTES


def test_a_row_says_who_the_process_is_and_where_it_runs() -> None:
    """Every column from its file."""
    host = Host()
    host.tree.owners["5"] = 33
    host.born(
        5, name=b"nginx", ppid=4, state="R", threads=3, rss_pages=20, cgroup=POD_CGROUP, command_line=b"nginx\0-g\0daemon off;\0"
    )
    row = host.tick().row(5)
    assert {name: row[name] for name in VALUES_OF_A_PROCESS} == VALUES_OF_A_PROCESS
    assert row["start_ticks"] == host.processes[5].start_ticks


def test_cpu_is_what_was_used_since_the_last_tick() -> None:
    """As time, and as a share of the elapsed time: half a second in a quarter of one is two cores."""
    host = Host()
    host.born(5, cpu_ticks=1000)
    _measured(host)
    host.work(5, 50)
    row = host.tick(250 * MS).row(5)
    assert (row["cpu_ns"], row["cpu_share"], why(row, "cpu")) == (50 * NS_PER_CLOCK_TICK, 2.0, None)
    assert row["cpu_total_ns"] == 1050 * NS_PER_CLOCK_TICK


def test_a_process_that_does_nothing_used_zero_and_that_is_known() -> None:
    """Zero is a measurement here, not an absence."""
    host = Host()
    host.born(5)
    _measured(host)
    row = host.tick().row(5)
    assert (row["cpu_ns"], row["cpu_share"], why(row, "cpu")) == (0, 0.0, None)


def test_a_process_born_between_two_ticks_counts_whole() -> None:
    """All it ever used was used in this interval."""
    host = Host()
    _measured(host)
    host.born(5, cpu_ticks=30)
    row = host.tick().row(5)
    assert (row["cpu_ns"], why(row, "cpu")) == (30 * NS_PER_CLOCK_TICK, None)


def test_an_old_process_seen_for_the_first_time_has_no_cpu_of_this_interval() -> None:
    """It was hidden, or could not be read: what it used before is not known to be of now."""
    host = Host()
    _measured(host)
    host.born(5, start_ticks=3, cpu_ticks=9000)
    assert (host.tick().row(5)["cpu_ns"], host.tick().row(5)["cpu_ns"]) == (None, 0)


def test_most_cpu_comes_first_and_most_memory_is_there_too() -> None:
    """The union, each process once; idle ones are not there for their CPU."""
    host = Host(top_rows=2)
    for pid, rss_pages in ((1, 1), (2, 50), (3, 40), (4, 2), (5, 3)):
        host.born(pid, rss_pages=rss_pages)
    _measured(host)
    host.work(4, 10)
    host.work(3, 20)
    assert host.tick().pids == [3, 4, 2]
    assert host.tick().pids == [2, 3]


def test_the_tail_is_the_rest_of_each_pod() -> None:
    """Processes, CPU and memory of those that have no row; a pod whose every process has one has no tail."""
    host = Host(top_rows=1)
    for pid, cgroup in ((1, "/"), (2, POD_CGROUP), (3, POD_CGROUP), (4, OTHER_POD_CGROUP)):
        host.born(pid, cgroup=cgroup, rss_pages=pid)
    _measured(host)
    for pid in (2, 3, 4):
        host.work(pid, pid)
    tick = host.tick()
    assert tick.pids == [4]
    columns = ("pod_uid", "processes", "cpu_ns", "cpu_share", "rss_bytes", "absent")
    nobody, pod = [tuple(tail[name] for name in columns) for tail in sorted(tick.tails, key=lambda tail: tail["pod_uid"] or "")]
    assert nobody == (None, 1, 0, 0.0, PAGE_BYTES, None)
    assert pod == (POD, 2, 5 * NS_PER_CLOCK_TICK, 5 * NS_PER_CLOCK_TICK / S, 5 * PAGE_BYTES, None)


def test_a_number_used_again_is_another_process() -> None:
    """Same pid, same name, a new start: its CPU is its own, and the dead one's descriptor is given back."""
    host = Host()
    host.born(5, cpu_ticks=500)
    _measured(host)
    descriptors = host.tree.open_descriptors
    host.die(5)
    host.born(5, cpu_ticks=3, cgroup=POD_CGROUP)
    row = host.tick().row(5)
    assert (row["cpu_ns"], row["pod_uid"], row["start_ticks"]) == (3 * NS_PER_CLOCK_TICK, POD, host.processes[5].start_ticks)
    assert host.tree.open_descriptors == descriptors
    assert _counts(host) == (1, 0, 0)


def test_a_dead_process_leaves_nothing_behind() -> None:
    """No row, no part of a sum, no descriptor."""
    host = Host()
    host.born(5)
    host.born(6, cgroup=POD_CGROUP)
    _measured(host)
    host.die(6)
    tick = host.tick()
    assert tick.sums() == {None: (1, 0, 10 * PAGE_BYTES)}
    host.probe.close()
    assert host.tree.open_descriptors == 0


@pytest.mark.parametrize("code", [errno.ENOENT, errno.ESRCH])
@pytest.mark.parametrize("is_known", [True, False])
def test_vanishing_between_the_listing_and_the_reading_is_no_error(code: int, is_known: bool) -> None:
    """Neither of a process just born nor of one that was followed."""
    host = Host()
    _measured(host)
    host.born(5)
    if is_known:
        _measured(host)
    host.fail(5, code)
    assert host.tick().pids == []
    assert _counts(host) == (0, 0, 0)
    assert host.tree.open_descriptors == 0


@pytest.mark.parametrize("is_known", [True, False])
def test_a_process_that_may_not_be_read_is_counted_once_a_tick(is_known: bool) -> None:
    """It is tried again at every tick, and followed again when it works."""
    host = Host()
    host.born(5)
    if is_known:
        _measured(host)
    host.fail(5, errno.EACCES)
    for counted in (1, 2):
        assert host.tick().pids == []
        assert host.probe.stats()["unreadable"] == counted
    host.fail(5, None)
    assert host.tick().row(5)["cpu_ns"] is None


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("line", [b"", b"5 (busy", b"5 (busy) S 1 2\n", b"5 (busy) S one\n", b"\xff" * 50])
def test_a_line_that_cannot_be_parsed_is_counted_and_stops_nothing(line: bytes, is_known: bool) -> None:
    """The others are measured; this one is followed again when its line is one again."""
    host = Host()
    host.born(4)
    host.born(5)
    if is_known:
        _measured(host)
        host.change(5)
    host.tree.put("5/stat", line)
    assert host.tick().pids == [4]
    assert host.probe.stats()["unreadable"] == 1
    host.show(host.processes[5])
    assert sorted(host.tick().pids) == [4, 5]
    assert host.probe.stats()["unreadable"] == 1


@pytest.mark.parametrize("capture", sorted(path.name for path in FIXTURES.glob("stat-*.txt")))
def test_captured_lines_become_rows(capture: str) -> None:
    """Names with spaces, parentheses, line breaks and bytes that are no text, a zombie and a kernel thread."""
    host = Host()
    host.born(31236, command_line=b"")
    host.tree.put("31236/stat", (FIXTURES / capture).read_bytes())
    (row,) = host.tick().rows
    assert why(row, "cpu") == "first_tick"


def test_descriptors_run_out_and_everything_is_still_measured() -> None:
    """Some are given back, so that what must be opened each time still can be; who is not kept is said."""
    host = Host(has_clocks=False)
    host.tree.descriptors_max = 40
    for pid in range(1, 101):
        host.born(pid, cgroup=POD_CGROUP if pid % 2 else "/")
    _measured(host)
    for pid in host.processes:
        host.work(pid, pid)
    tick = host.tick()
    assert {row["pid"]: row["cpu_ns"] for row in tick.rows} == {pid: pid * NS_PER_CLOCK_TICK for pid in host.processes}
    assert {row["uid"] for row in tick.rows} == {0}
    assert {why(row, "command_line") for row in tick.rows} == {None}
    kept = 40 - SPARE_DESCRIPTORS
    assert _counts(host) == (100, 0, 100 - kept)
    assert host.tree.open_descriptors == kept


def test_a_process_without_a_kept_descriptor_is_told_from_its_successor() -> None:
    """The start in the line tells it, where no descriptor can."""
    host = Host(has_clocks=False)
    host.tree.descriptors_max = 2
    for pid in (5, 6, 7):
        host.born(pid, cpu_ticks=500)
    _measured(host)
    assert host.probe.stats()["descriptors_not_kept"] == 3
    for pid in (5, 6, 7):
        host.die(pid)
        host.born(pid, cpu_ticks=pid, start_ticks=host.uptime_ticks + 1)
    assert {row["pid"]: row["cpu_ns"] for row in host.tick().rows} == {pid: pid * NS_PER_CLOCK_TICK for pid in (5, 6, 7)}
    host.die(6)
    assert sorted(host.tick().pids) == [5, 7]


def test_with_no_descriptor_left_at_all_it_counts_and_goes_on() -> None:
    """Somebody else took the last one: nothing can be read, nothing is wrong afterwards."""
    host = Host()
    host.tree.descriptors_max = 0
    host.born(5)
    assert host.tick().pids == []
    assert _counts(host) == (0, 1, 0)
    host.tree.descriptors_max = 10
    assert host.tick().pids == [5]


def test_a_process_that_is_moved_takes_its_sums_along_in_time() -> None:
    """Within the period in which every process is looked at again, whether it works or sleeps."""
    host = Host(top_rows=1)
    host.born(1, rss_pages=99)
    for pid in (5, 6):
        host.born(pid, cgroup=POD_CGROUP)
    _measured(host)
    for pid in (5, 6):
        host.move(pid, OTHER_POD_CGROUP)
    for _ in range(CGROUP_PERIOD_TICKS):
        host.work(6, 1)
        tick = host.tick()
        assert sum(processes for processes, _cpu, _rss in tick.sums().values()) == 3
        assert sum(cpu_ns for _processes, cpu_ns, _rss in tick.sums().values()) == NS_PER_CLOCK_TICK
    assert tick.sums()[OTHER_POD] == (2, NS_PER_CLOCK_TICK, 20 * PAGE_BYTES)
    assert POD not in tick.sums()


def test_a_process_that_is_moved_and_then_runs_its_program_is_seen_at_once() -> None:
    """As container runtimes do it: the CPU of this very interval goes to the new pod."""
    host = Host()
    host.born(5, name=b"runc")
    _measured(host)
    host.change(5, cgroup=POD_CGROUP, name=b"nginx", cpu_ticks=4)
    assert host.tick().sums() == {POD: (1, 4 * NS_PER_CLOCK_TICK, 10 * PAGE_BYTES)}


def test_what_a_dying_process_did_stays_with_its_pod() -> None:
    """Its line could still be read and its cgroup could not."""
    host = Host()
    host.born(5, cgroup=POD_CGROUP, name=b"one")
    _measured(host)
    host.tree.fail("5/cgroup", errno.ESRCH)
    host.change(5, name=b"two", cpu_ticks=4)
    assert host.tick().sums() == {POD: (1, 4 * NS_PER_CLOCK_TICK, 10 * PAGE_BYTES)}


@pytest.mark.parametrize("content", [None, b"", b"nonsense\n"])
def test_an_unknown_cgroup_is_null_with_a_reason(content: bytes | None) -> None:
    """A process in no pod has a path, one whose path cannot be read has none."""
    host = Host()
    host.born(5)
    host.born(6)
    if content is None:
        host.tree.fail("5/cgroup", errno.EACCES)
    else:
        host.tree.put("5/cgroup", content)
    tick = host.tick()
    assert (tick.row(5)["cgroup"], tick.row(5)["pod_uid"], why(tick.row(5), "cgroup")) == (None, None, "unreadable")
    assert (tick.row(6)["cgroup"], tick.row(6)["pod_uid"], why(tick.row(6), "cgroup")) == ("/", None, None)


@pytest.mark.parametrize("has_clocks", [True, False])
def test_a_process_that_sleeps_costs_one_read_at_most(has_clocks: bool) -> None:
    """Its clock, or where there is none its `stat`; no other file, whatever the number of idle processes."""
    host = Host(top_rows=1, command_line="off", has_clocks=has_clocks)
    for pid in (65, 66, 67):
        host.born(pid)
    _measured(host, 2)
    host.tree.calls.clear()
    _measured(host)
    calls = [call for call in host.tree.calls if call[1] != "vmstat"]
    read = [] if has_clocks else [("read_open", f"{pid}/stat") for pid in (65, 66, 67)]
    assert sorted(calls) == [("list_names", ""), *read]


def test_only_numbers_are_processes() -> None:
    """`self`, `meminfo` and similar entries are no processes and are not opened."""
    host = Host()
    assert host.tick().rows == host.tick().tails == []
    assert [path for call, path in host.tree.calls if call == "open" and "/stat" in path and path != "self/status"] == []


def test_a_host_without_processes_is_measured_again_and_again() -> None:
    """The last process of a pod leaves no empty row behind."""
    host = Host(top_rows=1)
    host.born(5, cgroup=POD_CGROUP)
    host.born(6, cgroup=POD_CGROUP)
    _measured(host)
    host.die(5)
    host.die(6)
    assert host.tick().tails == []


def test_its_declaration_names_what_it_reads_and_fills() -> None:
    """The name of the worker, its tables and its settings."""
    assert SAMPLER.name == "process"
    names = ["process", "process_tail", "process_scan", "process_exit", "process_sketch", "process_raw"]
    assert [table.name for table in SAMPLER.tables] == names
    assert all(setting.key.startswith("sampler.process.") for setting in SAMPLER.settings)
