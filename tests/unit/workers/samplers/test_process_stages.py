"""One tick of the process sampler: what one part cannot read costs its own values alone, and shares are of the right time."""

import errno
import os

import pytest
from fakes.host import NS_PER_CLOCK_TICK, PAGE_BYTES, Host

from agent.model.timebase import MS, S
from workers.process.capture import BEGIN_TICKS, END_TICKS
from workers.process.exits.deaths import Deaths
from workers.process.unit_command import UnitCommand

pytestmark = pytest.mark.usefixtures("watched_and_polled")


def _conditions(host: Host) -> list[tuple[str, bool]]:
    return [(each.kind, each.active) for each in host.bus.conditions if each.kind != "sampler_fallback:clocks"]


@pytest.mark.runbook("Exit records")
def test_exit_records_that_cannot_be_read_cost_the_dead_alone() -> None:
    """Everything that lives is measured; the condition ends with the failure."""
    host = Host()
    host.born(1)
    host.born(5)
    host.tick()
    host.exits.failure = OSError(errno.EPERM, os.strerror(errno.EPERM))
    host.work(5, 7)
    tick = host.tick()
    assert (tick.row(5)["cpu_ns"], tick.scan["cpu_ns"]) == (7 * NS_PER_CLOCK_TICK, 7 * NS_PER_CLOCK_TICK)
    assert (tick.scan["cpu_dead_ns"], tick.scan["deaths"], tick.scan["exit_source"]) == (None, None, None)
    assert tick.scan["absent"] == "exits:unreadable"
    host.exits.failure = None
    host.work(5, 3)
    assert host.tick().row(5)["cpu_ns"] == 3 * NS_PER_CLOCK_TICK
    assert _conditions(host) == [("exits_failed", True), ("exits_failed", False)]
    assert host.probe.stats()["stages_failed"] == 1


def test_a_listing_that_fails_is_covered_by_the_next_tick() -> None:
    """Nothing had begun: CPU and time of both intervals belong together."""
    host = Host()
    host.born(5)
    host.tick()
    host.work(5, 20)
    host.tree.fail("", errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        host.tick()
    host.tree.fail("", None)
    host.work(5, 20)
    tick = host.tick()
    assert (tick.row(5)["cpu_ns"], tick.scan["elapsed_ns"]) == (40 * NS_PER_CLOCK_TICK, 2 * S)
    assert tick.row(5)["cpu_share"] == 40 * NS_PER_CLOCK_TICK / (2 * S)


def test_the_dead_are_part_of_the_whole() -> None:
    """The account has them; the rows and the tail have the living."""
    host = Host(top_rows=100, top_rows_least=0)
    host.born(5)
    host.tick()
    host.work(5, 30)
    cpu_ns = 10 * NS_PER_CLOCK_TICK
    host.exits.next = Deaths("taskstats", count=3, cpu_ns=cpu_ns, by_key={UnitCommand(None, "sh"): cpu_ns}, lost=2)
    scan = host.tick().scan
    assert (scan["deaths"], scan["cpu_dead_ns"], scan["cpu_ns"]) == (3, cpu_ns, 40 * NS_PER_CLOCK_TICK)
    assert (scan["cpu_capture"], scan["exit_source"], scan["exit_records_lost"]) == (0.75, "taskstats", 2)


def test_what_ended_before_the_first_tick_is_of_no_interval() -> None:
    """Records that waited for the start of the sampler."""
    host = Host()
    host.exits.next = Deaths("taskstats", count=3, cpu_ns=S)
    scan = host.tick().scan
    assert (scan["deaths"], scan["cpu_ns"], scan["cpu_dead_ns"], scan["exit_source"]) == (None, None, None, "taskstats")


@pytest.mark.runbook("Top rows and the remainder")
def test_a_flat_load_begins_and_ends_the_condition_once() -> None:
    """The cap bites for a while; afterwards few processes hold everything."""
    host = Host(top_rows=2)
    for pid in range(1, 11):
        host.born(pid)
    for _ in range(BEGIN_TICKS + 5):
        tick = host.tick()
    assert (tick.scan["rss_rows"], tick.scan["rss_capture"]) == (2, 0.2)
    (begun,) = [told for told in host.bus.conditions if told.kind != "sampler_fallback:clocks"]
    assert (begun.kind, begun.blocks_ready) == ("capture_below_target", False)
    assert "20.0 % of memory" in begun.detail
    host.change(1, rss_pages=10_000)
    for _ in range(END_TICKS + 5):
        host.tick()
    assert _conditions(host) == [("capture_below_target", True), ("capture_below_target", False)]


def test_the_rows_follow_the_load() -> None:
    """One process that holds everything, then many."""
    host = Host(top_rows=50, top_rows_least=1)
    for pid in range(1, 101):
        host.born(pid, rss_pages=1)
    host.change(7, rss_pages=100_000)
    assert host.tick().scan["rss_rows"] == 1
    host.change(7, rss_pages=1)
    tick = host.tick()
    assert (tick.scan["rss_rows"], tick.scan["rss_capture"]) == (50, 0.5)
    assert host.probe.stats()["top_rows"]["rss"] == 50
    assert host.probe.stats()["capture"]["rss"] == 0.5


def test_the_process_with_the_most_threads_has_a_row() -> None:
    """Though it uses nothing and holds nothing."""
    host = Host(top_rows=1)
    host.born(1, rss_pages=1000)
    host.born(2, rss_pages=1, threads=500)
    row = host.tick().row(2)
    assert (row["threads"], row["chosen_for"], row["rss_bytes"]) == (500, "threads", PAGE_BYTES)


def test_a_share_is_of_the_time_that_passed_and_not_of_the_interval() -> None:
    """A tick that came late."""
    host = Host()
    host.born(5)
    host.tick()
    host.work(5, 100)
    row = host.tick(4 * S).row(5)
    assert row["cpu_share"] == 100 * NS_PER_CLOCK_TICK / (4 * S)
    host.work(5, 10)
    assert host.tick(100 * MS).row(5)["cpu_share"] == 10 * NS_PER_CLOCK_TICK / (100 * MS)
