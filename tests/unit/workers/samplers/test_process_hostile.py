"""Hosts that are large, or whose clocks and counters jump: values stay right, and the work grows no faster than the host."""

from typing import Any

import pytest
from fakes.host import HERTZ, NS_PER_CLOCK_TICK, Host

from agent.model.timebase import S
from workers.process.schema import PROCESS

pytestmark = pytest.mark.usefixtures("watched_and_polled")


def _rows(host: Host, now_ns: int, wall_ns: int) -> dict[object, dict[str, Any]]:
    sample = {table.name: rows for table, rows in host.probe.sample(now_ns, wall_ns)}
    records = [dict(zip(PROCESS.column_names, row, strict=True)) for row in sample["process"]]
    return {record["pid"]: record for record in records}


@pytest.mark.parametrize("step_ns", [-3600 * S, 3600 * S])
def test_a_step_of_the_wall_clock_moves_the_stamp_and_no_value(step_ns: int) -> None:
    """Shares are taken over the monotonic clock, whatever somebody makes of the date."""
    host = Host()
    host.born(7, cpu_ticks=0)
    now_ns, wall_ns = 10 * S, 10**18
    _rows(host, now_ns, wall_ns)
    host.work(7, HERTZ // 2)
    row = _rows(host, now_ns + S, wall_ns + S + step_ns)[7]
    assert row["timestamp"] == wall_ns + S + step_ns
    assert (row["cpu_ns"], row["cpu_share"]) == (HERTZ // 2 * NS_PER_CLOCK_TICK, 0.5)


def test_a_process_of_100000_threads_costs_as_many_calls_as_one_of_two() -> None:
    """The number is in its line; nobody lists them."""
    calls = []
    for threads in (2, 100_000):
        host = Host()
        host.born(7, threads=threads)
        host.tick()
        host.work(7, 3)
        before = len(host.tree.calls)
        assert host.tick().row(7)["threads"] == threads
        calls.append(len(host.tree.calls) - before)
        assert not [path for _call, path in host.tree.calls if "/task" in path]
    assert calls[0] == calls[1]


@pytest.mark.parametrize("are_busy", [False, True])
def test_twice_the_processes_cost_twice_the_calls(are_busy: bool) -> None:
    """Over the same ticks; a few calls belong to the tick itself."""
    calls = []
    for count in (200, 400):
        host = Host(top_rows=20)
        for pid in range(1, count + 1):
            host.born(pid, start_ticks=pid)
        host.tree.listed = [str(pid) for pid in range(1, count + 1)]
        host.tick()
        before = len(host.tree.calls)
        for _ in range(16):
            for pid in range(1, count + 1) if are_busy else ():
                host.work(pid, 1)
            host.tick()
        calls.append(len(host.tree.calls) - before)
    assert calls[1] <= 2.1 * calls[0]


def test_a_counter_of_cpu_that_falls_is_no_time_and_what_follows_counts_from_there() -> None:
    """It is never negative."""
    host = Host()
    host.born(7, cpu_ticks=1000)
    host.tick()
    host.change(7, cpu_ticks=400)
    fallen = host.tick()
    host.work(7, 5)
    after = host.tick()
    assert all(row["cpu_ns"] is None or row["cpu_ns"] >= 0 for tick in (fallen, after) for row in tick.rows)
    assert sum(row["cpu_ns"] or 0 for row in after.rows) <= 5 * NS_PER_CLOCK_TICK


def test_a_command_line_that_takes_seconds_leaves_every_other_value() -> None:
    """What does not answer in time is null with its reason."""
    host = Host()
    host.born(7)
    host.tick()
    host.reader.stuck_paths.add("7/cmdline")
    host.work(7, 3)
    row = host.tick().row(7)
    assert row["cpu_ns"] == 3 * NS_PER_CLOCK_TICK
    assert row["rss_bytes"] > 0
    assert (row["command_line"], "not_answered" in row["absent"]) == (None, True)
