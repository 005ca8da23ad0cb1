"""The columns of units: which a width has room for, their figures, and the orders."""

import pytest

from agent.cli.unit_columns import COLUMNS, COLUMNS_OF_SORT, UNIT_SORTS, columns_for, order_of
from agent.cli.unit_sample import UnitCache, UnitGpu, UnitLine, UnitReading

S = 10**9
WHOLE = UnitLine(
    UnitReading(
        90_000 * S,
        "a",
        "pod",
        "/a",
        elapsed_ns=S,
        started_timestamp=0,
        cpu_cores=1.5,
        cpu_limit_cores=2.0,
        cpu_throttled_ns=S // 4,
        memory_working_set_bytes=3 << 20,
        memory_current_bytes=9 << 20,
        memory_limit_bytes=4 << 20,
        io_read_bytes_per_second=1024.0,
        io_write_bytes_per_second=2048.0,
        pressure_cpu_some_ns=S // 1000,
        pressure_memory_some_ns=S // 2,
        pressure_io_some_ns=0,
        net_received_bytes=1000,
        net_sent_bytes=24,
        pids=7,
    ),
    oom_kills=2,
    cache=UnitCache(1 << 20, 5e6),
    gpu=UnitGpu(0.5, 1 << 30),
)
BARE = UnitLine(UnitReading(S, "b", "service", "/b"))


def test_each_column_has_its_figure() -> None:
    """Shares in percent, cores with two digits, sizes in binary units."""
    told = {column.name: column.text(column.value(WHOLE)) for column in COLUMNS}
    assert " ".join(told) == (
        "cpu cpu_limit throttled memory memory_limit read write pressure_cpu pressure_memory pressure_io oom net llc bandwidth "
        "gpu gpu_memory pids age"
    )
    assert " ".join(told.values()) == "1.50 75 25 3.0M 75 1.0K 2.0K <1 50 0 2 1.0K 1.0M 4.8M 50 1.0G 7 25h"
    assert {column.text(column.value(BARE)) for column in COLUMNS} == {"-"}


@pytest.mark.parametrize(("cores", "text"), [(0.0, "0.00"), (9.996, "10.0"), (64.0, "64.0"), (128.2, "128")])
def test_cores_take_five_columns_at_most(cores: float, text: str) -> None:
    """Whatever the host has."""
    (cpu,) = [column for column in COLUMNS if column.name == "cpu"]
    assert cpu.text(cores) == text


def test_what_nobody_measured_has_no_column() -> None:
    """CPU and memory always have."""
    assert [column.name for column in columns_for([BARE], "cpu", None)] == ["cpu", "memory"]
    assert len(columns_for([BARE, WHOLE], "cpu", None)) == len(COLUMNS)


@pytest.mark.parametrize("sort", UNIT_SORTS)
def test_the_columns_of_the_order_come_first(sort: str) -> None:
    """On a screen with hardly any room too; never more than there is room for."""
    for room in range(120):
        shown = columns_for([WHOLE], sort, room)
        assert sum(column.least + 1 for column in shown) <= room
        if room >= 30:
            assert set(COLUMNS_OF_SORT[sort]) <= {column.name for column in shown}


def test_the_most_comes_first_and_the_unknown_last() -> None:
    """In every order; by name in that of the alphabet."""
    for sort in UNIT_SORTS:
        assert order_of(sort, WHOLE, "a") < order_of(sort, BARE, "b")
