"""Which file gives which columns, the row that they make, and that no content of a file raises anything but one error."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.absence import Absence
from agent.model.errors import KernelFormatError
from agent.model.timebase import S
from workers.host.cpu import Values, parse_cpu_stat, parse_cpuacct_usage, parse_loadavg, parse_stat
from workers.host.disk import parse_diskstats
from workers.host.interval import HostInterval
from workers.host.memory import parse_meminfo, parse_pressure, parse_vmstat
from workers.host.network import parse_net_dev, parse_operstate, parse_speed, parse_total_bytes
from workers.host.number import NUMBER_MAX
from workers.host.schema import HOST
from workers.host.source import GIVEN, Given, HostCounters, sources
from workers.host.tcp import parse_snmp, parse_sockstat

FIXTURES = Path(__file__).parents[3] / "fixtures" / "host"
EVERY = sources(100, 4096)
PARSERS: dict[str, Callable[[bytes], object]] = {
    "stat": lambda text: parse_stat(text, 100),
    "loadavg": parse_loadavg,
    "meminfo": parse_meminfo,
    "vmstat": lambda text: parse_vmstat(text, 4096),
    "pressure-io": lambda text: parse_pressure(text, "io"),
    "diskstats": parse_diskstats,
    "net-dev": parse_net_dev,
    "net-snmp": parse_snmp,
    "net-sockstat": lambda text: parse_sockstat(text, b"TCP"),
    "total": parse_total_bytes,
    "speed": parse_speed,
    "operstate": parse_operstate,
    "cpuacct.usage": parse_cpuacct_usage,
    "cpu.stat": parse_cpu_stat,
}
CAPTURED = sorted(path for folder in ("linux-6.18", "linux-3.10", "lxcfs") for path in (FIXTURES / folder).iterdir())


def _parsed(name: str, text: bytes) -> object:
    """What a parser gives, or None where it refuses. Every number fits a column."""
    try:
        found = PARSERS[name](text)
    except KernelFormatError:
        return None
    if isinstance(found, dict):
        for value in found.values():
            for number in value if isinstance(value, tuple) else (value,):
                assert number is None or 0 <= number <= NUMBER_MAX
    return found


@pytest.mark.parametrize("path", CAPTURED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_prefix_and_every_changed_byte_is_read_or_refused(path: Path) -> None:
    """A file may be cut anywhere, and any byte of it may be another one."""
    text = path.read_bytes()
    assert _parsed(path.name, text) is not None
    step = max(1, len(text) // 400)
    for end in range(0, len(text), step):
        _parsed(path.name, text[:end])
        for byte in (b"\0", b"\n", b" ", b"9", b"-", b"\xff"):
            _parsed(path.name, text[:end] + byte + text[end + 1 :])


@pytest.mark.parametrize("name", sorted(PARSERS))
@given(text=st.one_of(st.binary(max_size=300), st.text("0123456789 -:|\nabcpTCPseuxt_=/", max_size=300).map(str.encode)))
def test_foreign_bytes_are_read_or_refused(name: str, text: bytes) -> None:
    """Whatever stands in the file."""
    _parsed(name, text)


def test_every_column_has_one_source() -> None:
    """None is forgotten, and none is told twice."""
    told = [*GIVEN, *(column for source in EVERY for column in (*source.gauges, *source.counters))]
    assert sorted(told) == sorted(HOST.column_names)


def _row(counters: HostCounters, readings: dict[str, Values | Absence], elapsed_ns: int | None = S, **given: Any) -> dict[str, Any]:
    every: dict[str, Values | Absence] = {source.path: Absence.UNREADABLE for source in EVERY}
    values = {"boot_at_wall_ns": 5, "cpu": Absence.ROOT_HIDDEN, "cpu_source": None, "sockets_tcp": Absence.NO_PERMISSION, **given}
    row = counters.row({**every, **readings}, Given(**values), HostInterval(9, elapsed_ns))
    return dict(zip(HOST.column_names, row, strict=True))


def test_a_row_of_nothing_says_every_reason() -> None:
    """Each once."""
    row = _row(HostCounters(100, EVERY), {}, None)
    assert row["absent"] == "first_tick,unreadable,root_hidden,no_permission"
    assert {name for name, value in row.items() if value is not None} == {
        "timestamp", "boot_timestamp", "ticks_per_second", "absent",
    }  # fmt: skip


def test_a_value_out_of_range_and_one_that_is_missing_differ() -> None:
    """The kernel has no such line, or wrote a number that fits no column."""
    row = _row(HostCounters(100, EVERY), {"meminfo": {"memory_total_bytes": None}})
    assert row["absent"].split(",")[1:3] == ["out_of_range", "not_in_kernel"]


def test_a_counter_begins_again_after_it_was_away() -> None:
    """An increase over two ticks would be shown as that of one."""
    counters = HostCounters(100, EVERY)
    full: dict[str, Values | Absence] = {"vmstat": {"page_faults": 5}}
    _row(counters, full)
    assert _row(counters, {"vmstat": {"page_faults": 9}})["page_faults"] == 4
    assert _row(counters, {"vmstat": Absence.UNREADABLE})["page_faults"] is None
    assert _row(counters, {"vmstat": {"page_faults": 11}})["page_faults"] is None
    assert _row(counters, {"vmstat": {"page_faults": 12}})["page_faults"] == 1


def test_the_cpu_time_is_that_of_the_root() -> None:
    """Since the last tick, with the file that it came from."""
    counters = HostCounters(100, EVERY)
    _row(counters, {}, cpu={"cpu_ns": 7}, cpu_source="/a/cpu.stat", sockets_tcp=3)
    row = _row(counters, {}, cpu={"cpu_ns": 9}, cpu_source="/a/cpu.stat", sockets_tcp=3)
    assert (row["cpu_ns"], row["cpu_source"], row["sockets_tcp"]) == (2, "/a/cpu.stat", 3)
    assert _row(counters, {}, cpu={"cpu_ns": 1})["absent"].endswith("counter_reset,no_permission")
