"""The account of a tick: what there is, and what the named processes hold of it."""

import pytest
from fakes.host import NS_PER_CLOCK_TICK, PAGE_BYTES, POD_CGROUP, Host

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
