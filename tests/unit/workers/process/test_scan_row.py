"""The account of a tick: what there is, and what the named processes hold of it."""

from typing import Any

import pytest
from fakes.host import NS_PER_CLOCK_TICK, PAGE_BYTES, POD_CGROUP, Host

from workers.process.choice import MetricChoice, ProcessChoice
from workers.process.exits.deaths import Deaths, TickTimes
from workers.process.scan_row import NO_SOURCE, TickAccount, scan_row
from workers.process.schema import PROCESS_SCAN
from workers.process.tracked_process import Totals

pytestmark = pytest.mark.usefixtures("watched_and_polled")


def test_the_account_sums_everything_and_names_the_share_of_the_rows() -> None:
    """CPU and memory of all processes, and which part the rows hold."""
    host = Host(top_rows=1)
    host.born(1, rss_pages=60)
    host.born(2, rss_pages=40, cgroup=POD_CGROUP)
    first = host.tick().scan
    assert (first["cpu_ns"], first["cpu_capture"], first["elapsed_ns"], first["absent"]) == (None, None, None, "cpu:first_tick")
    host.work(1, 30)
    host.work(2, 10)
    scan = host.tick().scan
    assert (scan["processes"], scan["cpu_ns"], scan["rss_bytes"]) == (2, 40 * NS_PER_CLOCK_TICK, 100 * PAGE_BYTES)
    assert (scan["cpu_capture"], scan["rss_capture"], scan["io_capture"]) == (0.75, 0.6, None)
    assert (scan["cpu_rows"], scan["rss_rows"]) == (1, 1)


def test_a_host_without_cpu_use_has_no_capture_of_it() -> None:
    """Nothing divided by nothing is no number."""
    host = Host()
    host.born(1)
    host.tick()
    assert (host.tick().scan["cpu_ns"], host.tick().scan["cpu_capture"]) == (0, None)


NOTHING = MetricChoice(0, 0, 0, is_short=False)


def account_of(living: Totals, deaths: Deaths, elapsed_ns: int | None = 10**9, *, lacks_cpu: bool = False) -> dict[str, Any]:
    account = TickAccount(living, deaths, ProcessChoice({}, NOTHING, NOTHING, NOTHING), 4, 0, 0, lacks_cpu)
    return dict(zip(PROCESS_SCAN.column_names, scan_row(account, TickTimes(1, 2, 3, elapsed_ns)), strict=True))


def test_deaths_that_could_not_be_read_are_absent_and_the_living_are_there() -> None:
    """Their number is not zero but unknown; a sum that lacks a value says so too."""
    row = account_of(Totals(3, 70, incomplete=1), Deaths(NO_SOURCE))
    assert (row["deaths"], row["cpu_dead_ns"], row["exit_source"]) == (None, None, None)
    assert (row["processes"], row["started"], row["cpu_ns"]) == (3, 4, 70)
    assert row["absent"] == "exits:unreadable,incomplete"


def test_the_dead_are_part_of_everything() -> None:
    """CPU, bytes and share; how many ended stands beside it."""
    row = account_of(Totals(3, 70, read_bytes=5), Deaths("taskstats", count=9, cpu_ns=30, read_bytes=1, lost=2))
    assert (row["cpu_ns"], row["cpu_dead_ns"], row["read_bytes"], row["deaths"]) == (100, 30, 6, 9)
    assert (row["cpu_share"], row["exit_source"], row["exit_records_lost"]) == (1e-7, "taskstats", 2)


def test_a_sum_without_the_cpu_of_a_living_process_is_incomplete() -> None:
    """At the first tick no CPU is known, which is another reason."""
    assert account_of(Totals(3, 70), Deaths(), lacks_cpu=True)["absent"] == "incomplete"
    assert account_of(Totals(3, 70), Deaths(), None, lacks_cpu=True)["absent"] == "cpu:first_tick"
