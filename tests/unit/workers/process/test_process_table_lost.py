"""Following processes: those that become others, and those that cannot be read any more."""

import errno

import pytest
from fakes.host import NS_PER_CLOCK_TICK, PAGE_BYTES, POD, POD_CGROUP, Host, why

from workers.process.process_table import ROTATION_TICKS

pytestmark = pytest.mark.usefixtures("watched_and_polled")


def test_a_process_that_refuses_from_now_on_is_lost_and_found_again() -> None:
    """It leaves the sums, the refusal is counted, and it comes back when it can be read."""
    host = Host()
    host.born(5, cgroup=POD_CGROUP)
    host.born(6)
    host.tick()
    host.fail(5, errno.EACCES)
    tick = host.tick()
    assert (tick.pids, POD in tick.sums()) == ([6], False)
    assert (host.probe.stats()["unreadable"], host.probe.stats()["refused"]) == (1, 1)
    host.fail(5, None)
    assert sorted(host.tick().pids) == [5, 6]
    assert host.probe.stats()["refused"] == 0


def test_a_process_whose_line_is_none_is_lost_and_found_again() -> None:
    """A text that the kernel never writes costs this process alone, and is no refusal."""
    host = Host()
    host.born(5)
    host.born(6)
    host.tick()
    host.change(5)
    host.tree.put("5/stat", b"no line of a process")
    assert host.tick().pids == [6]
    assert (host.probe.stats()["unreadable"], host.probe.stats()["refused"]) == (1, 0)
    host.change(5)
    assert sorted(host.tick().pids) == [5, 6]


def test_a_number_that_is_given_out_again_within_a_tick_is_another_process() -> None:
    """Nothing of its holder before is taken for its own."""
    host = Host()
    host.born(5, name=b"old", cpu_ticks=900, cgroup=POD_CGROUP)
    host.tick()
    host.tick()
    host.born(5, name=b"new", cpu_ticks=30, start_ticks=host.uptime_ticks + 1)
    tick = host.tick()
    row = tick.row(5)
    assert (row["comm"], row["cpu_ns"], tick.scan["started"]) == ("new", 30 * NS_PER_CLOCK_TICK, 1)
    assert POD not in tick.sums()


def test_a_process_that_executes_another_program_has_its_name() -> None:
    """From the tick on in which it does, in its row and where it is summed."""
    host = Host(top_rows=1)
    host.born(5, name=b"sh")
    host.born(6, rss_pages=1_000)
    host.tick()
    host.tick()
    host.change(5, name=b"server")
    host.work(6, 9)
    tick = host.tick()
    (tail,) = tick.tails
    assert (tick.pids, tail["command"], tail["processes"]) == ([6], "server", 1)
    host.work(5, 20)
    (row,) = (row for row in host.tick().rows if row["pid"] == 5)
    assert row["comm"] == "server"


@pytest.mark.parametrize(("before", "after"), [(300, 100), (100, 300)])
def test_a_sleeper_whose_memory_changes_has_it_once_at_its_turn(before: int, after: int) -> None:
    """Reclaim takes from a process that does not run: its line and its exact count change together."""
    host = Host()
    process = host.born(5, cgroup=POD_CGROUP, rss_pages=before)
    host.tick()
    process.rss_pages = after
    host.show(process)
    ticks = [host.tick() for _ in range(ROTATION_TICKS)]
    assert {tick.row(5)["rss_bytes"] for tick in ticks} <= {before * PAGE_BYTES, after * PAGE_BYTES}
    assert ticks[-1].row(5)["rss_bytes"] == after * PAGE_BYTES


def test_a_sleeper_whose_parent_ended_has_the_next_one_at_its_turn() -> None:
    """It did not run for that, and no CPU is made of it."""
    host = Host()
    process = host.born(5, ppid=40, rss_pages=300)
    assert host.tick().row(5)["ppid"] == 40
    process.ppid = 1
    host.show(process)
    rows = [host.tick().row(5) for _ in range(ROTATION_TICKS)]
    assert (rows[-1]["ppid"], rows[-1]["rss_bytes"]) == (1, 300 * PAGE_BYTES)
    assert [row["cpu_ns"] for row in rows] == [0] * ROTATION_TICKS


@pytest.mark.parametrize("text", [None, b"4096\n", b"4096 many 0\n", b"4096 0 0\n", b""])
def test_without_an_exact_count_memory_is_that_of_the_line(text: bytes | None) -> None:
    """A `statm` that may not be read, or has no number, changes nothing; later it may have one."""
    host = Host()
    process = host.born(5, rss_pages=300, more_pages=40)
    if text is None:
        host.tree.fail("5/statm", errno.EACCES)
    else:
        host.tree.put("5/statm", text)
    row = host.tick().row(5)
    assert (row["rss_bytes"], why(row, "rss")) == (300 * PAGE_BYTES, None)
    host.tree.fail("5/statm", None)
    host.show(process)
    assert [host.tick().row(5)["rss_bytes"] for _ in range(ROTATION_TICKS)][-1] == 340 * PAGE_BYTES


def test_input_and_output_that_are_refused_are_absent_tick_after_tick() -> None:
    """They are no zeros, and the end of an interval does not make any of them."""
    host = Host()
    host.born(5, read_bytes=4_096)
    host.tree.fail("5/io", errno.EACCES)
    for _ in range(2):
        row = host.tick().row(5)
        assert (row["read_bytes"], row["write_bytes"]) == (None, None)
        assert why(row, "io") is not None
        host.change(5, read_bytes=8_192)
