"""`/proc/meminfo`, `/proc/vmstat` and `/proc/pressure`, of several kernels."""

from pathlib import Path

import pytest

from agent.model.errors import KernelFormatError
from agent.model.timebase import US
from workers.host.memory import MEMORY_LINES, parse_meminfo, parse_pressure, parse_vmstat

FIXTURES = Path(__file__).parents[3] / "fixtures" / "host"


def test_memory_is_told_in_bytes() -> None:
    """Every column is in the file of the last kernel."""
    values = parse_meminfo((FIXTURES / "linux-6.18" / "meminfo").read_bytes())
    assert set(values) == set(MEMORY_LINES.values())
    assert values["memory_total_bytes"] == 24684084 << 10


def test_an_old_kernel_lacks_lines() -> None:
    """Linux 3.10 knows no available memory, and tells huge pages by number and size."""
    values = parse_meminfo((FIXTURES / "linux-3.10" / "meminfo").read_bytes())
    assert "memory_available_bytes" not in values
    assert values["memory_huge_pages_bytes"] == 128 * 2048 << 10
    assert values["swap_free_bytes"] == 4182268 << 10


def test_a_container_lacks_other_lines() -> None:
    """LXCFS leaves out what it does not know for one container."""
    values = parse_meminfo((FIXTURES / "lxcfs" / "meminfo").read_bytes())
    assert values["memory_total_bytes"] == 512 << 20
    assert {"memory_page_tables_bytes", "memory_huge_pages_bytes"}.isdisjoint(values)


def test_a_line_of_memory_that_cannot_be_read_is_not_known() -> None:
    """Every other line is."""
    text = b"MemTotal: 9 kB\nMemFree: -1 kB\nDirty:\nSlab 5 kB\nHugePages_Total: 9223372036854775807\nHugepagesize: 2048 kB\n"
    assert parse_meminfo(text) == {"memory_total_bytes": 9 << 10, "memory_free_bytes": None}


@pytest.mark.parametrize("text", [b"", b"garbage", b"Foo: 1 kB\n"])
def test_a_file_without_memory_is_refused(text: bytes) -> None:
    """It is not that file."""
    with pytest.raises(KernelFormatError):
        parse_meminfo(text)


def test_reclaim_is_the_sum_over_who_reclaims() -> None:
    """The last kernel counts each page again by kind, which is left out."""
    text = b"pgsteal_kswapd 5\npgsteal_direct 6\npgsteal_khugepaged 1\npgsteal_proactive 2\npgsteal_anon 4\npgsteal_file 10\n"
    text += b"pgscan_kswapd 7\npgscan_direct 8\npgscan_anon 15\npgscan_direct_throttle 9\noom_kill 3\npgpgin 2\npswpout 2\n"
    assert parse_vmstat(text, 4096) == {
        "reclaimed_bytes": 14 * 4096, "scanned_pages": 15, "oom_kills": 3, "read_in_bytes": 2048, "swapped_out_bytes": 8192,
    }  # fmt: skip


def test_an_old_kernel_counts_reclaim_by_zone() -> None:
    """Linux 3.10 has a line for each zone, and no OOM kills."""
    values = parse_vmstat((FIXTURES / "linux-3.10" / "vmstat").read_bytes(), 4096)
    assert values["reclaimed_bytes"] == 33_000_300 * 4096
    assert values["scanned_pages"] == 35_000_700
    assert "oom_kills" not in values


def test_the_last_kernel_has_every_counter() -> None:
    """All columns are there."""
    values = parse_vmstat((FIXTURES / "linux-6.18" / "vmstat").read_bytes(), 4096)
    assert len(values) == 9
    assert None not in values.values()


@pytest.mark.parametrize("text", [b"", b"garbage", b"nr_free_pages 5\n"])
def test_a_file_without_counters_is_refused(text: bytes) -> None:
    """It is not that file."""
    with pytest.raises(KernelFormatError):
        parse_vmstat(text, 4096)


def test_the_first_and_the_last_line_count_too() -> None:
    """Whatever ends the file."""
    assert parse_vmstat(b"pgfault 300\noom_kill 45", 4096) == {"page_faults": 300, "oom_kills": 45}
    assert parse_vmstat(b"pgsteal_direct 2", 1) == {"reclaimed_bytes": 2}


def test_sums_that_fit_no_column_are_not_told() -> None:
    """Each number fits, their sum in bytes does not."""
    assert parse_vmstat(b"pgfault 1\npgsteal_kswapd 9223372036854775807\npgscan_kswapd x\n", 4096) == {
        "page_faults": 1, "scanned_pages": 0,
    }  # fmt: skip


def test_pressure_is_the_time_stalled() -> None:
    """In nanoseconds, for some and for all."""
    text = b"some avg10=2.01 avg60=0.80 avg300=0.24 total=231\nfull avg10=1.61 avg60=0.63 avg300=0.20 total=73\n"
    assert parse_pressure(text, "io") == {"pressure_io_some_ns": 231 * US, "pressure_io_full_ns": 73 * US}
    assert parse_pressure(b"some avg10=2.01\n", "cpu") == {"pressure_cpu_some_ns": None}
    with pytest.raises(KernelFormatError):
        parse_pressure(b"none total=3\n", "cpu")
