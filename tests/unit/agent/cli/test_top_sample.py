"""ProcessTicks are put together from the batches of a spool."""

import msgspec
import pytest
from fakes.stored_data import FORMS, PROCESS, PROCESS_TAIL, process_row, tail_row

from agent.cli.top_sample import ProcessTicks, command_of, sample_of
from agent.model.errors import FormatError
from agent.model.table import Row


def put(ticks: ProcessTicks, table: str, stamp: int, *rows: Row) -> None:
    ticks.put(table, stamp, FORMS[table], msgspec.msgpack.encode(rows))


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
    assert sample.processes[0].command == "[task-1]"


def test_a_tick_without_its_tail_waits_for_it() -> None:
    """The tick before is shown while the tail of the newest is on its way."""
    ticks = ProcessTicks()
    put(ticks, "process", 5, process_row(5, 1))
    put(ticks, "process_tail", 5, tail_row(5, 7))
    put(ticks, "process", 6, process_row(6, 1))
    assert getattr(ticks.newest("h"), "at_wall_ns", None) == 5
    put(ticks, "process_tail", 6, tail_row(6, 7))
    assert getattr(ticks.newest("h"), "at_wall_ns", None) == 6


def test_where_every_process_is_named_there_is_no_tail_to_wait_for() -> None:
    """ProcessTicks that never have a tail are whole without."""
    ticks = ProcessTicks()
    for stamp in (5, 6, 7):
        put(ticks, "process", stamp, process_row(stamp, 1))
    assert getattr(ticks.newest("h"), "at_wall_ns", None) == 7


def test_nothing_stored_is_no_sample() -> None:
    """A tail alone is no sample either."""
    ticks = ProcessTicks()
    put(ticks, "process_tail", 5, tail_row(5, 7))
    assert ticks.newest("h") is None


def test_rows_that_do_not_fit_are_told() -> None:
    """A row with a value too few is damaged."""
    ticks = ProcessTicks()
    ticks.put("process", 5, PROCESS, msgspec.msgpack.encode([[1, 2, 3]]))
    with pytest.raises(FormatError):
        ticks.newest("h")


@pytest.mark.parametrize(
    ("comm", "line", "told"),
    [
        ("eg:writer", ".venv/bin/python -c import", "eg:writer  .venv/bin/python -c import"),
        ("agentctl", "/usr/bin/python3 /usr/bin/agentctl top", "agentctl  /usr/bin/python3 /usr/bin/agentctl top"),
        ("postgres", "postgres: writer", "postgres: writer"),
        ("bash", "-bash", "-bash"),
        ("sshd", "/usr/sbin/sshd -D", "/usr/sbin/sshd -D"),
        ("a-name-of-15-by", "/opt/a-name-of-15-bytes-and-more x", "/opt/a-name-of-15-bytes-and-more x"),
        ("kswapd0", None, "[kswapd0]"),
        (None, "/bin/x", "/bin/x"),
        (None, None, "[?]"),
    ],
)
def test_a_name_that_says_more_than_the_command_line_comes_first(comm: str | None, line: str | None, told: str) -> None:
    """A worker that named itself and a script behind its interpreter are found by their names."""
    assert command_of(comm, line) == told


def test_columns_of_an_older_table_may_be_missing() -> None:
    """A column that is not there, or is of another type, is absent."""
    sample = sample_of(1, "h", [{"pid": 3, "comm": "x", "rss_bytes": "?"}], [dict.fromkeys(PROCESS_TAIL.names)])
    assert (sample.processes[0].rss_bytes, sample.processes[0].uid, sample.tail[0].processes) == (None, None, 0)
