"""Details of processes in the rows of a tick: I/O, proportional memory, context switches, and what stops their reading."""

import errno
import threading

import pytest
from fakes.host import PAGE_BYTES, Host, why
from harness.waiting import wait_until

from agent.config import Config
from agent.model.timebase import S
from agent.side_reader import SideReader
from workers.process.breaker import BAD_TICKS_MAX, REFUSED_READS_LEAST
from workers.process.files import side_read
from workers.process.pss import REFRESH_NS
from workers.samplers.process import ProcessProbe

pytestmark = pytest.mark.usefixtures("watched_and_polled")


def test_a_row_has_what_its_process_read_and_wrote_since_the_last_tick() -> None:
    """From the second tick on; a process that sleeps did nothing."""
    host = Host()
    host.born(5, read_bytes=100, write_bytes=1000)
    row = host.tick().row(5)
    assert (row["read_bytes"], row["write_bytes"], why(row, "io")) == (None, None, "first_tick")
    host.change(5, read_bytes=104, write_bytes=1005, cpu_ticks=1)
    tick = host.tick()
    row = tick.row(5)
    assert (row["read_bytes"], row["write_bytes"], why(row, "io")) == (4, 5, None)
    assert (tick.scan["read_bytes"], tick.scan["write_bytes"]) == (4, 5)
    row = host.tick().row(5)
    assert (row["read_bytes"], row["write_bytes"]) == (0, 0)


def test_a_process_that_may_not_be_read_has_no_io_and_is_counted() -> None:
    """In the account of the tick, and for `status`."""
    host = Host()
    host.born(5)
    host.tree.fail("5/io", errno.EACCES)
    tick = host.tick()
    assert why(tick.row(5), "io") == "no_permission"
    assert tick.scan["io_unreadable"] == host.probe.stats()["io_unreadable"] == 1


def test_a_row_has_proportional_memory() -> None:
    """Read at the first tick in which the process has a row."""
    host = Host()
    host.born(5, rss_pages=8)
    assert host.tick().row(5)["pss_bytes"] == 4 * PAGE_BYTES


def test_without_a_budget_it_has_none() -> None:
    """Zero switches it off."""
    host = Host(pss_budget=0)
    host.born(5)
    row = host.tick().row(5)
    assert (row["pss_bytes"], why(row, "pss")) == (None, "switched_off")
    assert ("open", "5/smaps_rollup") not in host.tree.calls


def test_context_switches_are_those_since_the_last_tick() -> None:
    """Of a process with one thread; they are counted from its second reading on."""
    host = Host(has_clocks=True)
    host.born(5)
    host.tick()
    host.work(5, 1)
    assert why(host.tick().row(5), "switches") == "first_tick"
    host.work(5, 1)
    host.work(5, 1)
    assert host.tick().row(5)["context_switches"] == 2
    assert host.tick().row(5)["context_switches"] == 0
    host.change(5, threads=2)
    row = host.tick().row(5)
    assert (row["context_switches"], why(row, "switches")) == (None, "several_threads")


def test_files_that_are_refused_throughout_are_not_read_for_a_while() -> None:
    """It is a condition, a number of `status`, and the reason in each row; everything else is measured."""
    host = Host()
    for pid in range(1, REFUSED_READS_LEAST + 1):
        host.born(pid)
        host.tree.fail(f"{pid}/cmdline", errno.EACCES)
    for _ in range(BAD_TICKS_MAX):
        host.tick()
    assert host.probe.stats()["breakers_open"] == {"io": 0, "cmdline": 1, "smaps_rollup": 0, "task": 0}
    assert [told.kind for told in host.bus.conditions if told.kind != "sampler_fallback:clocks"] == ["breaker_open:cmdline"]
    row = host.tick().row(5)
    assert (why(row, "command_line"), row["rss_bytes"]) == ("breaker_open", 10 * PAGE_BYTES)


def test_of_a_process_that_did_not_run_user_and_command_line_are_not_read_again() -> None:
    """Nobody else can change them. Without clocks it is not known who ran."""
    for has_clocks, reads in ((True, 1), (False, 4)):
        host = Host(has_clocks=has_clocks)
        host.born(5)
        for _ in range(4):
            host.tick()
        assert sum("5/cmdline" in paths for paths in host.reader.hand_overs) == reads
        host.change(5, command_line=b"other\0")
        assert host.tick().row(5)["command_line"] == "other"


def test_a_read_of_memory_that_takes_seconds_delays_no_tick() -> None:
    """As of 200 GB, by a thread beside the tick: the value is absent with its reason, all others are there; later it is known."""
    host = Host()
    host.born(5)
    host.born(6)
    begun, answer = threading.Event(), threading.Event()

    def read(word: str) -> bytes:
        if word == "5/smaps_rollup":
            begun.set()
            answer.wait()
        return side_read(host.tree, 4096)(word)

    config = Config({"sampler.process.pss_budget": 1_000_000_000})
    reader = SideReader(read, beat=host.heartbeat)
    host.probe = ProcessProbe(host.tree, config, host.bus, host.heartbeat, boot_ns=lambda: 0, reader=reader, cpu_ns=lambda: 0)
    try:
        first = host.tick()
        assert begun.is_set()
        assert (first.row(5)["pss_bytes"], why(first.row(5), "pss")) == (None, "not_answered")
        assert first.row(5)["rss_bytes"] == 10 * PAGE_BYTES
        assert host.probe.stats()["readers_stuck"] == 1
        assert host.tick().row(6)["pss_bytes"] == 10 * PAGE_BYTES // 2048 << 10
    finally:
        answer.set()
    wait_until(lambda: host.probe.stats()["readers_stuck"] == 0, "the thread has come back")
    for _ in range(REFRESH_NS // S):
        last = host.tick()
    assert last.row(5)["pss_bytes"] == 10 * PAGE_BYTES // 2048 << 10
    host.probe.close()
