"""Rows of table `unit`, one by one or from the columns of a made-up node."""

from collections.abc import Mapping
from pathlib import Path

from fakes.row_problem import problem_of_row
from fakes.stored_data import batch_of, head_of, row_of, write_parquet, write_segment

from agent.cli.neighbour_unit import (
    CPU,
    IO_BYTES,
    IO_OPERATIONS,
    MEMORY,
    PRESSURE_CPU,
    PRESSURE_IO,
    PRESSURE_MEMORY,
    THROTTLED,
    NodeWindow,
)
from agent.model.table import Row, Value
from agent.store.record import form_of
from workers.host.schema import HOST, HOST_DISK
from workers.unit.schema import UNIT, UNIT_EVENT, UNIT_MODEL

UNIT_FORM, UNIT_MODEL_FORM, UNIT_EVENT_FORM = form_of(UNIT), form_of(UNIT_MODEL), form_of(UNIT_EVENT)
HOST_FORM, DISK_FORM = form_of(HOST), form_of(HOST_DISK)
S = 10**9


def unit_row(at: int, uid: str, **values: Value) -> Row:
    """A row of a whole unit in a usual second, with these values by column."""
    usual: dict[str, Value] = {
        "timestamp": at, "unit": uid, "kind": "service", "cgroup": uid, "elapsed_ns": S, "is_final": False, "started_timestamp": 1,
    }  # fmt: skip
    row = row_of(UNIT, {**usual, **values})
    assert problem_of_row(UNIT, row) is None
    return row


def rows_of_window(window: NodeWindow) -> list[Row]:
    """The rows that a sampler would have stored of a window: none where a value is missing."""
    rows = []
    for second in range(window.seconds):
        at = (window.begin_s + second) * S + S // 2
        for unit in window.units:
            numbers = {name: series[second] for name, series in unit.columns.items()}
            if numbers[CPU] == numbers[CPU]:
                rows.append(unit_row(at, unit.unit.uid, kind=unit.unit.kind, cgroup=unit.unit.cgroup, **_values(numbers)))
    return rows


def _values(numbers: Mapping[str, float]) -> dict[str, Value]:
    return {
        "cpu_cores": numbers[CPU],
        "cpu_ns": int(numbers[CPU] * S),
        "cpu_throttled_ns": int(numbers[THROTTLED] * S),
        "pressure_cpu_some_ns": int(numbers[PRESSURE_CPU] * S),
        "pressure_memory_some_ns": int(numbers[PRESSURE_MEMORY] * S),
        "pressure_io_some_ns": int(numbers[PRESSURE_IO] * S),
        "memory_current_bytes": int(numbers[MEMORY]),
        "io_read_bytes_per_second": 0.0,
        "io_write_bytes_per_second": numbers[IO_BYTES],
        "io_reads_per_second": 0.0,
        "io_writes_per_second": numbers[IO_OPERATIONS],
    }


def host_rows_of_window(window: NodeWindow) -> tuple[list[Row], list[Row]]:
    """The rows of `host` and of `host_disk` in the same seconds."""
    hosts, disks = [], []
    host = window.host
    assert host.cpu_cores is not None
    assert host.memory_available_bytes is not None
    assert host.disk_busy is not None
    for second in range(window.seconds):
        at = (window.begin_s + second) * S + S // 3
        busy, free, disk = host.cpu_cores[second], host.memory_available_bytes[second], host.disk_busy[second]
        if busy == busy:
            values: dict[str, Value] = {
                "timestamp": at, "elapsed_ns": S, "cores": int(host.cores or 0), "cpu_ns": int(busy * S),
                "memory_total_bytes": int(host.memory_total_bytes or 0), "memory_available_bytes": int(free),
            }  # fmt: skip
            hosts.append(row_of(HOST, values))
            disks.append(row_of(HOST_DISK, {"timestamp": at, "device": "vda", "devices": 1, "utilisation": disk}))
    return hosts, disks


def store_window(state: Path, window: NodeWindow, *, spooled_from: int | None = None) -> None:
    """Store a window: sealed, and from one second on in the open spool."""
    cut = (window.begin_s + (window.seconds if spooled_from is None else spooled_from)) * S
    hosts, disks = host_rows_of_window(window)
    tables = {"unit": (rows_of_window(window), UNIT_FORM), "host": (hosts, HOST_FORM), "host_disk": (disks, DISK_FORM)}
    data = head_of("b", {name: form for name, (_, form) in tables.items()})
    for name, (rows, form) in tables.items():
        sealed = [row for row in rows if _time(row) < cut]
        spooled = [row for row in rows if _time(row) >= cut]
        write_parquet(state, name, "a", sealed, form=form)
        if spooled:
            data += batch_of(name, spooled, stamp_wall_ns=_time(spooled[0]))
    write_segment(state, "b", data)


def _time(row: Row) -> int:
    assert isinstance(row[0], int)
    return row[0]
