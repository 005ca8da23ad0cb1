"""`/proc/diskstats` of several kernels, and the rows of disks."""

from pathlib import Path
from typing import Any

import pytest

from agent.model.errors import KernelFormatError
from agent.model.timebase import MS, S
from workers.host.disk import DISKS_MAX, ROWS_MAX, Disk, Disks, parse_diskstats, whole_disks
from workers.host.interval import HostInterval
from workers.host.schema import HOST_DISK

FIXTURES = Path(__file__).parents[3] / "fixtures" / "host"
TICK = HostInterval(wall_ns=7, elapsed_ns=S)


def _disk(number: int) -> Disk:
    return Disk(*[number] * 17)


def _rows(disks: Disks, devices: dict[str, Disk], interval: HostInterval = TICK) -> list[dict[str, Any]]:
    return [dict(zip(HOST_DISK.column_names, row, strict=True)) for row in disks.rows(devices, interval)]


def test_an_old_kernel_has_fewer_numbers() -> None:
    """Linux 3.10 knows neither discards nor flushes; devices that were never used are left out."""
    found = parse_diskstats((FIXTURES / "linux-3.10" / "diskstats").read_bytes())
    assert set(found) == {"sda", "sda1", "sda2", "dm-0", "fd0"}
    assert (found["sda"].reads, found["sda"].queue_ms, found["sda"].discards, found["sda"].flush_ms) == (
        1203443,
        129467552,
        None,
        None,
    )


def test_the_last_kernel_and_a_container_are_read() -> None:
    """17 numbers, and 11."""
    (disk,) = parse_diskstats((FIXTURES / "linux-6.18" / "diskstats").read_bytes()).values()
    assert None not in disk
    assert parse_diskstats((FIXTURES / "lxcfs" / "diskstats").read_bytes())["sda"].writes == 2034


def test_a_host_without_used_disks_has_none() -> None:
    """An empty file is no failure, and neither are loop devices alone."""
    assert parse_diskstats(b"") == {}
    assert parse_diskstats(b"   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0\n") == {}


def test_another_file_is_refused() -> None:
    """It has no line of a disk."""
    with pytest.raises(KernelFormatError):
        parse_diskstats(b"garbage\n")


def test_lines_that_are_too_many_or_too_short_are_left_out() -> None:
    """The kernel writes neither; a name of foreign bytes is made readable."""
    text = b"".join(b"8 0 x%d 1 1 1 1 1 1 1 1 1 1 1\n" % number for number in range(DISKS_MAX + 5))
    assert len(parse_diskstats(text)) == DISKS_MAX
    assert list(parse_diskstats(b"8 0 short 1 1\n8 0 \x1b\xff 1 1 1 1 1 1 1 1 1 1 1\n")) == ["\\x1b\\xff"]


@pytest.mark.parametrize(
    ("names", "disks"),
    [
        (["sda", "sda1", "sda12"], {"sda"}),
        (["nvme0n1", "nvme0n1p1", "nvme1n1", "nvme0n10"], {"nvme0n1", "nvme1n1", "nvme0n10"}),
        (["mmcblk0", "mmcblk0p1", "mmcblk0boot0"], {"mmcblk0", "mmcblk0boot0"}),
        (["md1", "md12", "dm-1", "dm-10", "md1p1"], {"md1", "md12", "dm-1", "dm-10"}),
        # A virtual disk without the disk that its name would be a partition of.
        (["xvda1", "xvda2"], {"xvda1", "xvda2"}),
        (["cciss/c0d0", "cciss/c0d0p1"], {"cciss/c0d0"}),
        (["7", "p7", "p"], {"7", "p"}),
    ],
)
def test_partitions_are_told_by_their_names(names: list[str], disks: set[str]) -> None:
    """As the kernel makes them of the disk's."""
    assert set(whole_disks(names)) == disks


def test_a_disk_that_did_nothing_has_no_latency() -> None:
    """A mean of nothing is no zero."""
    disks = Disks()
    _rows(disks, {"sda": _disk(5)})
    (row,) = _rows(disks, {"sda": _disk(5)})
    assert (row["reads"], row["read_latency_ns"], row["utilisation"], row["in_flight"], row["absent"]) == (0, None, 0.0, 5, None)


def test_the_first_tick_and_a_reset_are_told() -> None:
    """Requests in progress are known in any case."""
    disks = Disks()
    (first,) = _rows(disks, {"sda": _disk(5)}, HostInterval(7, None))
    (reset,) = _rows(disks, {"sda": _disk(4)})
    assert (first["reads"], first["in_flight"], first["absent"]) == (None, 5, "first_tick")
    assert (reset["reads"], reset["queue"], reset["absent"]) == (None, None, "counter_reset")


def test_utilisation_is_one_at_most() -> None:
    """The kernel's clock ticks do not end with the interval."""
    disks = Disks()
    _rows(disks, {"sda": _disk(0)})
    (row,) = _rows(disks, {"sda": _disk(1003)})
    assert (row["utilisation"], row["queue"], row["read_latency_ns"]) == (1.0, 1.003, 1 * MS)


def test_values_that_are_not_known_are_null_with_a_reason() -> None:
    """Fields of newer kernels, and numbers that fit no column."""
    disks = Disks()
    old = Disk(*[5] * 11, *[None] * 6)
    broken = _disk(5)._replace(read_sectors=None, busy_ms=None)
    for _ in range(2):
        old_row, broken_row = _rows(disks, {"a": old, "b": broken})
    assert (old_row["discards"], old_row["flushes"], old_row["absent"]) == (None, None, "not_in_kernel")
    assert (broken_row["read_bytes"], broken_row["utilisation"], broken_row["absent"]) == (None, None, "out_of_range")


def test_numbers_that_become_too_large_are_null() -> None:
    """Sectors as bytes and milliseconds as nanoseconds must fit a column."""
    disks = Disks()
    _rows(disks, {"a": _disk(0)})
    (row,) = _rows(disks, {"a": _disk((1 << 63) - 1)})
    assert (row["read_bytes"], row["read_latency_ns"]) == (None, None)


def test_very_many_disks_are_summed_but_the_busiest() -> None:
    """What is summed has no utilisation of its own; nothing is lost from the sums."""
    disks = Disks()
    names = [f"vd{'abcdefgh'[number % 8]}x{'ijklmnopqrstu'[number // 8]}" for number in range(100)]
    _rows(disks, dict.fromkeys(names, _disk(1)))
    rows = _rows(disks, {name: _disk(2 + number) for number, name in enumerate(names)})
    assert len(rows) == ROWS_MAX + 1
    assert (rows[-1]["device"], rows[-1]["devices"], rows[-1]["utilisation"], rows[-1]["absent"]) == (None, 36, None, "several")
    assert sum(row["reads"] for row in rows) == sum(range(1, 101))
    assert {row["device"] for row in rows[:-1]} == set(names[36:])
