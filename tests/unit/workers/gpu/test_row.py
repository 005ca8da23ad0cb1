"""Rows of devices and processes: what cannot be true is absent with a reason, and unknown is never zero."""

from typing import Any

import pytest
from fakes.row_problem import problem_of_row

from agent.model.table import Row, Table
from workers.gpu.reading import DeviceIdentity, DeviceReading, GpuAnswer, GpuProcessIdentity, Number
from workers.gpu.row import UnitPlace, device_row, process_rows, unanswered_row
from workers.gpu.schema import GPU, GPU_PROCESS

WALL = 1_700_000_000_000_000_000
ONE = DeviceIdentity("GPU-1", None, 0, "H", "0:1")


def named(table: Table, row: Row) -> dict[str, Any]:
    """A row by column; one that does not fit its table fails the test."""
    problem = problem_of_row(table, row)
    assert problem is None, problem
    return dict(zip(table.column_names, row, strict=True))


def device(**values: Number) -> dict[str, Any]:
    """The row of a device with these values."""
    return named(GPU, device_row(DeviceReading(ONE, values=values), "nvml", WALL))


def processes(reading: DeviceReading, *earlier: int, **known: GpuProcessIdentity) -> list[dict[str, Any]]:
    """The rows of processes of a device; `known` are p1, p2 and so on."""
    answer = GpuAnswer("nvml", [reading], {name[1:]: identity for name, identity in known.items()})
    rows = process_rows(reading, answer, frozenset(earlier), lambda cgroup: UnitPlace(f"unit of {cgroup}", None), WALL)
    return [named(GPU_PROCESS, row) for row in rows]


def test_a_device_has_its_values() -> None:
    """Whole numbers stay whole; what was not said is null."""
    row = device(busy_time=0.25, memory_total_bytes=100, memory_used_bytes=40, temperature_celsius=41, throttle_reasons="")
    assert (row["busy_time"], row["memory_used_bytes"], row["temperature_celsius"], row["throttle_reasons"]) == (0.25, 40, 41.0, "")
    assert (row["state"], row["power_milliwatts"], row["absent"]) == ("ok", None, None)


@pytest.mark.parametrize(
    ("column", "value"),
    [("busy_time", 1.01), ("power_milliwatts", 1 << 31), ("temperature_celsius", -1), ("ecc_corrected", 1 << 63), ("xid", "x")],
)
def test_garbage_is_absent_and_hides_nothing(column: str, value: Number) -> None:
    """Of a record that changed with the driver; the other values stand."""
    row = device(**{column: value, "memory_busy_time": 0.5})
    assert (row[column], row["absent"], row["memory_busy_time"]) == (None, f"{column}:contradicted", 0.5)


def test_memory_that_contradicts_itself_is_absent_as_a_whole() -> None:
    """More in use than there is: neither number can be believed."""
    row = device(memory_total_bytes=10, memory_used_bytes=11, memory_reserved_bytes=1)
    assert (row["memory_total_bytes"], row["memory_used_bytes"], row["memory_reserved_bytes"]) == (None, None, None)
    assert row["absent"] == "memory_total_bytes:contradicted,memory_used_bytes:contradicted,memory_reserved_bytes:contradicted"


def test_reasons_stand_beside_their_columns_or_for_all() -> None:
    """A lost device has one."""
    reading = DeviceReading(ONE, absent={"busy_time": "unsupported"}, processes_absent="contradicted")
    assert named(GPU, device_row(reading, "nvml", WALL))["absent"] == "busy_time:unsupported,processes:contradicted"
    lost = DeviceReading(ONE, is_lost=True, absent={"": "device_lost"}, processes_absent="device_lost")
    row = named(GPU, device_row(lost, "nvml", WALL))
    assert (row["state"], row["absent"], row["busy_time"]) == ("lost", "device_lost", None)


def test_a_device_that_does_not_answer_has_a_row_without_values() -> None:
    """Stuck since a moment, or lost."""
    row = named(GPU, unanswered_row(ONE, "nvml", WALL, stuck_since_wall_ns=5))
    assert (row["state"], row["stuck_since_timestamp"], row["absent"], row["busy_time"]) == ("stuck", 5, "not_answered", None)
    row = named(GPU, unanswered_row(ONE, "nvml", WALL, stuck_since_wall_ns=None))
    assert (row["state"], row["stuck_since_timestamp"], row["absent"]) == ("lost", None, "device_lost")


def test_names_of_a_driver_are_made_safe() -> None:
    """It may say any bytes."""
    row = named(GPU, device_row(DeviceReading(DeviceIdentity("G\x1b", name="\n" * 500)), "nvml", WALL))
    assert row["device"] == "G\\x1b"
    assert len(row["name"]) <= 128


def test_processes_have_unit_memory_and_share() -> None:
    """One that was not active has zero, which is known."""
    reading = DeviceReading(ONE, values={"busy_time": 0.5}, processes=[(1, 10), (2, 20)], samples=[(1, 30, 9)])
    first, second = processes(reading, p1=GpuProcessIdentity(1, "a", "0::/x"), p2=GpuProcessIdentity(2, "b"))
    assert (first["pid"], first["comm"], first["unit"], first["memory_bytes"], first["busy_share"]) == (
        1,
        "a",
        "unit of 0::/x",
        10,
        0.5,
    )
    assert (second["busy_share"], second["unit"], second["absent"]) == (0.0, None, None)


def test_unknown_is_never_zero() -> None:
    """No sample on a busy device, no samples at all, memory that no list knows."""
    busy = DeviceReading(ONE, values={"busy_time": 0.5}, processes=[(1, None)], samples=[])
    (row,) = processes(busy, p1=GpuProcessIdentity(1))
    assert (row["busy_share"], row["memory_bytes"]) == (None, None)
    assert row["absent"] == "memory_bytes:unavailable,busy_share:unavailable"
    sliced = DeviceReading(ONE, processes=[(1, 5)], samples_absent="unsupported")
    (row,) = processes(sliced, p1=GpuProcessIdentity(1))
    assert (row["busy_share"], row["absent"]) == (None, "busy_share:unsupported")


def test_one_that_cannot_be_attributed_keeps_the_drivers_number() -> None:
    """In another namespace of processes."""
    reading = DeviceReading(ONE, values={"busy_time": 0.0}, processes=[(70, 5)], samples=[])
    (row,) = processes(reading, p70=GpuProcessIdentity(absent="not_attributable"))
    assert (row["pid"], row["driver_pid"], row["absent"]) == (None, 70, "pid:not_attributable")


def test_one_that_ran_and_has_ended_belongs_to_the_sum() -> None:
    """Otherwise its time would be given to the others; one that was never there is refused."""
    reading = DeviceReading(ONE, values={"busy_time": 0.6}, processes=[(1, 10)], samples=[(1, 20, 9), (2, 40, 9), (666, 80, 9)])
    rows = processes(reading, 2, p1=GpuProcessIdentity(1, "a"), p2=GpuProcessIdentity(2, "b", None, "vanished"))
    assert [(row["driver_pid"], row["busy_share"]) for row in rows] == [(1, pytest.approx(0.2)), (2, pytest.approx(0.4))]
    assert rows[1]["absent"] == "pid:vanished,memory_bytes:vanished"


def test_a_device_whose_processes_are_not_known_has_no_rows_of_them() -> None:
    """Its own row says why."""
    assert processes(DeviceReading(ONE, processes_absent="contradicted")) == []
