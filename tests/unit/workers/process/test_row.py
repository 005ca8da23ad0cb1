"""One row of `process`: its values, its reasons, and what is kept of the last tick."""

from typing import Any

import pytest
from fakes.sleeping import sleeping

from agent.model.absence import Absence
from agent.model.row_check import check_of
from agent.model.table import Row
from workers.process.exits.deaths import TickTimes
from workers.process.row import ROWS_PER_BEAT, ProcessRows
from workers.process.schema import PROCESS
from workers.process.tracked_process import ProcessIdentity, ProcessIo, TrackedProcess
from workers.process.unit_command import UnitCommand

TIMES = TickTimes(10**18, 5 * 10**9, 6 * 10**9, 2 * 10**9)
LATER = TickTimes(10**18 + 7, 6 * 10**9, 7 * 10**9, 10**9)


def _made(process: TrackedProcess, chosen_for: str, times: TickTimes) -> Row:
    """The row that is made where nothing is known of the last tick."""
    (row,) = ProcessRows().make({process: chosen_for}, times, lambda: None)
    return row


def _record(process: TrackedProcess, times: TickTimes = TIMES) -> dict[str, Any]:
    row = _made(process, "cpu", times)
    assert check_of(PROCESS).problem(row) is None
    return dict(zip(PROCESS.column_names, row, strict=True))


def _whole(**fields: Any) -> TrackedProcess:
    """A process of which everything is known."""
    known: dict[str, Any] = {
        "interval_cpu_ns": 10**9, "interval_user_ns": 6 * 10**8, "interval_system_ns": 4 * 10**8, "rss_bytes": 4096,
        "pss_bytes": 2048, "why_no_pss": None, "io": ProcessIo(100, 200, 3, 4), "why_no_io": None,
        "interval_minor_faults": 5, "interval_major_faults": 6, "interval_switches": 7, "why_no_switches": None,
        "tcp_sent": 8, "tcp_received": 9, "why_no_tcp": None,
    }  # fmt: skip
    return sleeping(5, **known | fields)


def test_every_value_stands_in_its_column() -> None:
    """Nothing is absent, so there is no reason."""
    record = _record(_whole(key=UnitCommand("pod-1", "nginx"), container="c" * 8, unit_kind="pod"))
    expected = {
        "timestamp": 10**18, "pid": 5, "start_ticks": 77, "pod_uid": "pod-1", "unit_kind": "pod", "container": "c" * 8,
        "cpu_total_ns": 50, "cpu_ns": 10**9, "cpu_user_ns": 6 * 10**8, "cpu_system_ns": 4 * 10**8, "cpu_share": 0.5,
        "rss_bytes": 4096, "pss_bytes": 2048, "read_bytes": 3, "write_bytes": 4, "minor_faults": 5, "major_faults": 6,
        "context_switches": 7, "tcp_sent_bytes": 8, "tcp_received_bytes": 9, "chosen_for": "cpu", "absent": None,
    }  # fmt: skip
    assert {name: record[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("fields", "column", "reason"),
    [
        ({"interval_cpu_ns": None}, "cpu_ns", "cpu:first_tick"),
        ({"interval_cpu_ns": None, "why_no_cpu": "counter_reset"}, "cpu_share", "cpu:counter_reset"),
        ({"interval_cpu_ns": None, "cpu_ns": None}, "cpu_total_ns", "cpu:out_of_range"),
        ({"identity": ProcessIdentity(uid=0, why_no_command_line="vanished")}, "command_line", "command_line:vanished"),
        ({"identity": ProcessIdentity(command_line="a")}, "uid", "uid:unreadable"),
        ({"cgroup": None}, "cgroup", "cgroup:unreadable"),
        ({"why_no_rss": "unreadable"}, "rss_bytes", "rss:unreadable"),
        ({"pss_bytes": None, "why_no_pss": "no_permission"}, "pss_bytes", "pss:no_permission"),
        ({"io": None, "why_no_io": "no_permission"}, "read_bytes", "io:no_permission"),
        ({"io": ProcessIo(1, 2)}, "write_bytes", "io:first_tick"),
        ({"interval_minor_faults": None, "interval_major_faults": None}, "minor_faults", "faults:first_tick"),
        ({"interval_switches": None, "why_no_switches": "unsupported"}, "context_switches", "switches:unsupported"),
        ({"interval_switches": None}, "context_switches", "switches:first_tick"),
        ({"tcp_sent": None, "tcp_received": None, "why_no_tcp": "quiet_network"}, "tcp_sent_bytes", "tcp:quiet_network"),
    ],
)
def test_what_is_not_known_is_null_and_has_its_reason(fields: dict[str, Any], column: str, reason: str) -> None:
    """The word before the colon says which values."""
    record = _record(_whole(**fields))
    assert (record[column], record["absent"]) == (None, reason)


def test_a_number_with_a_reason_is_the_least_that_it_was() -> None:
    """Of some sockets nobody knows who holds them."""
    record = _record(_whole(why_no_tcp=Absence.INCOMPLETE.value))
    assert (record["tcp_sent_bytes"], record["absent"]) == (8, "tcp:incomplete")


CHANGES: list[dict[str, Any]] = [
    {"rss_bytes": 8192}, {"pss_bytes": 1}, {"cgroup": "/x"}, {"key": UnitCommand("p", "nginx")}, {"comm": "other"},
    {"io": ProcessIo(100, 200, 0, 4)}, {"io": None, "why_no_io": "unreadable"}, {"interval_minor_faults": 9},
    {"interval_switches": 0}, {"tcp_sent": 1}, {"identity": ProcessIdentity(uid=1, command_line="nginx")},
    {"interval_cpu_ns": 7}, {"interval_cpu_ns": None}, {"why_no_rss": "unreadable"},
]  # fmt: skip


@pytest.mark.parametrize("change", [{}, *CHANGES], ids=str)
def test_a_row_that_is_kept_is_the_row_that_would_be_made(change: dict[str, Any]) -> None:
    """Of a process that slept all but the timestamp is kept, until anything about it changes."""
    rows, process = ProcessRows(), _whole(interval_cpu_ns=0, interval_user_ns=0, interval_system_ns=0)
    rows.make({process: "rss"}, TIMES, lambda: None)
    for name, value in change.items():
        setattr(process, name, value)
    for times in (LATER, TIMES):
        assert rows.make({process: "rss"}, times, lambda: None) == [_made(process, "rss", times)]
    assert rows.make({process: "cpu"}, LATER, lambda: None) == [_made(process, "cpu", LATER)]


def test_many_rows_beat() -> None:
    """A few thousand rows take as long as a hang looks."""
    beats: list[None] = []
    processes = {sleeping(pid): "rss" for pid in range(3 * ROWS_PER_BEAT)}
    ProcessRows().make(processes, TIMES, lambda: beats.append(None))
    assert len(beats) == 3
