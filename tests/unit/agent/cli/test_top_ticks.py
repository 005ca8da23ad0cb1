"""ProcessTicks are put together from the batches of a spool."""

import msgspec
import pytest
from fakes.stored_data import FORMS, PROCESS, process_row, tail_row

from agent.cli.top_ticks import TICKS_BEFORE, TICKS_KEPT, ProcessTicks
from agent.model.errors import FormatError
from agent.model.table import Row
from agent.store.record import TableForm

S = 10**9
HOST = TableForm(1, ("timestamp", "cores", "elapsed_ns"), ("int64",) * 3, "host-")
SCAN = TableForm(1, ("timestamp", "processes", "elapsed_ns"), ("int64",) * 3, "process_scan-")
FORM_OF = {**FORMS, "host": HOST, "process_scan": SCAN}


def put(ticks: ProcessTicks, table: str, stamp: int, *rows: Row) -> None:
    ticks.put(table, stamp, FORM_OF[table], msgspec.msgpack.encode(rows))


def stamp_of(ticks: ProcessTicks) -> int | None:
    sample = ticks.newest("h")
    return None if sample is None else sample.at_wall_ns


def test_a_tick_is_named_processes_and_tail_of_one_stamp() -> None:
    """Batches of one stamp belong together, also when a table comes in several."""
    ticks = ProcessTicks()
    put(ticks, "process", 5, process_row(5, 1))
    put(ticks, "process", 5, process_row(5, 2, cpu=None, pod="p"))
    put(ticks, "process_tail", 5, tail_row(5, 7))
    sample = ticks.newest("h")
    assert sample is not None
    assert [(process.pid, process.cpu_share, process.pod_uid) for process in sample.processes] == [(1, 0.1, None), (2, None, "p")]
    assert [tail.processes for tail in sample.tail] == [7]
    assert sample.processes[0].command == "task-1"


@pytest.mark.parametrize("late", ["process_tail", "process_scan"])
def test_a_tick_without_all_of_its_tables_waits_for_them(late: str) -> None:
    """The tick before is shown while a table of the newest is on its way."""
    ticks = ProcessTicks()
    for stamp in (5, 6):
        put(ticks, "process", stamp, process_row(stamp, 1))
        if stamp == 5:
            put(ticks, late, stamp, tail_row(stamp, 7) if late == "process_tail" else (stamp, 8, S))
    assert stamp_of(ticks) == 5
    put(ticks, late, 6, tail_row(6, 7) if late == "process_tail" else (6, 8, S))
    assert stamp_of(ticks) == 6


def test_where_every_process_is_named_there_is_no_tail_to_wait_for() -> None:
    """ProcessTicks that never have a tail are whole without."""
    ticks = ProcessTicks()
    for stamp in (5, 6, 7):
        put(ticks, "process", stamp, process_row(stamp, 1))
    assert stamp_of(ticks) == 7


def test_nothing_stored_is_no_sample() -> None:
    """A tail alone is no sample either."""
    ticks = ProcessTicks()
    put(ticks, "process_tail", 5, tail_row(5, 7))
    assert ticks.newest("h") is None


def test_a_sample_is_made_once() -> None:
    """A key that is pressed between two ticks decodes nothing."""
    ticks = ProcessTicks()
    put(ticks, "process", 5, process_row(5, 1))
    assert ticks.newest("h") is ticks.newest("h")


def test_rows_that_do_not_fit_are_told() -> None:
    """A row with a value too few is damaged."""
    ticks = ProcessTicks()
    ticks.put("process", 5, PROCESS, msgspec.msgpack.encode([[1, 2, 3]]))
    with pytest.raises(FormatError):
        ticks.newest("h")


def test_the_hosts_nearest_tick_is_in_the_sample() -> None:
    """Its sampler has a clock of its own: a little younger or older, never far away."""
    ticks = ProcessTicks()
    put(ticks, "process", 10 * S, process_row(10 * S, 1))
    for stamp in (2 * S, 8 * S, 9 * S + 1, 10 * S + 5, 11 * S):
        put(ticks, "host", stamp, (stamp, stamp, S))
    sample = ticks.newest("h")
    assert sample is not None
    assert sample.machine.host is not None
    assert sample.machine.host["cores"] == 10 * S + 5
    put(ticks, "process", 20 * S, process_row(20 * S, 1))
    sample = ticks.newest("h")
    assert sample is not None
    assert sample.machine.host is None


def test_a_damaged_batch_of_the_host_hides_no_process() -> None:
    """What it says is missing and counted."""
    ticks = ProcessTicks()
    put(ticks, "process", S, process_row(S, 1))
    ticks.put("host", S, HOST, b"\xc1")
    sample = ticks.newest("h")
    assert sample is not None
    assert (len(sample.processes), sample.machine.host, sample.bad_rows) == (1, None, 1)


def test_a_tick_of_the_host_that_comes_later_takes_the_place_of_an_older_one() -> None:
    """Starts become times with the first that has the boot; the processes are not decoded again for it."""
    form = TableForm(1, ("timestamp", "boot_timestamp", "ticks_per_second"), ("int64",) * 3, "host-")
    ticks = ProcessTicks()
    put(ticks, "process", 10 * S, process_row(10 * S, 1))
    first = ticks.newest("h")
    assert first is not None
    assert first.processes[0].started_wall_ns is None
    seen = []
    for stamp in (9 * S + 5, 10 * S + 1):
        ticks.put("host", stamp, form, msgspec.msgpack.encode([(stamp, S, 100)]))
        sample = ticks.newest("h")
        assert sample is not None
        assert sample.machine.host is not None
        seen.append((sample.machine.host["timestamp"], sample.processes[0]))
    assert [stamp for stamp, _ in seen] == [9 * S + 5, 10 * S + 1]
    assert seen[0][1].started_wall_ns == S + 7 * 10_000_000
    assert seen[0][1] is seen[1][1]


def test_the_oldest_tick_goes_and_the_processes_of_older_ones_before_it() -> None:
    """A minute of what happened is kept, and of the large tables only what is shown."""
    ticks = ProcessTicks()
    for stamp in range(1, TICKS_BEFORE + 4):
        put(ticks, "process", stamp, process_row(stamp, 1))
        put(ticks, "process_scan", stamp, (stamp, 8, S))
        put(ticks, "host", stamp, (stamp, 4, S))
        assert stamp_of(ticks) == stamp
    kept = list(ticks._by_stamp)
    assert kept == list(ticks._of_host) == list(range(4, TICKS_BEFORE + 4))
    assert [stamp for stamp in kept if "process" in ticks._by_stamp[stamp]] == kept[-TICKS_KEPT:]
