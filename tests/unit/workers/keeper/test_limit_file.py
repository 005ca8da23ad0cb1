"""Limits become the kernel's words, and the kernel's words become numbers."""

import pytest

from workers.keeper.limit_file import (
    LimitWrite,
    check_below_parents,
    count_of,
    cpu_cores_of,
    flat_keyed,
    io_bytes,
    limit_files,
)
from workers.keeper.protocol import IoLimit, RefusalWord, WorkloadLimits
from workers.keeper.refusal import WorkloadRefused


def test_every_limit_has_its_file() -> None:
    """In the order in which they are written."""
    limits = WorkloadLimits(
        cpu_cores=1.5,
        cpu_weight=50,
        memory_bytes=1 << 30,
        memory_high_bytes=1 << 29,
        pids=10,
        io=(IoLimit("/dev/sda", read_bytes_per_second=1000, writes_per_second=5),),
    )
    assert limit_files(limits, {"/dev/sda": "8:0"}, is_killed_whole=True) == [
        LimitWrite("cpu", "cpu.max", "150000 100000"),
        LimitWrite("cpu", "cpu.weight", "50"),
        LimitWrite("memory", "memory.max", "1073741824"),
        LimitWrite("memory", "memory.high", "536870912"),
        LimitWrite("pids", "pids.max", "10"),
        LimitWrite("io", "io.max", "8:0 rbps=1000 wbps=max riops=max wiops=5"),
        LimitWrite("memory", "memory.oom.group", "1"),
    ]


def test_no_limit_is_no_write() -> None:
    """Nothing is written that nobody asked for."""
    assert limit_files(WorkloadLimits(), {}, is_killed_whole=False) == []


@pytest.mark.parametrize(
    ("limits", "files"),
    [
        (WorkloadLimits(cpu_cores=2.5), {"cpu.max": "200000 100000"}),
        (WorkloadLimits(memory_bytes=2 << 20), {"memory.max": "1048576"}),
        (WorkloadLimits(memory_high_bytes=2 << 20), {"memory.max": "1048576"}),
        (WorkloadLimits(pids=11), {"pids.max": "10"}),
    ],
)
def test_a_limit_above_a_parents_is_refused(limits: WorkloadLimits, files: dict[str, str]) -> None:
    """The sentence names the parent, its file and what it allows."""
    with pytest.raises(WorkloadRefused) as caught:
        check_below_parents("web", limits, [("/a/b", {}), ("/a", files)])
    assert caught.value.word is RefusalWord.ABOVE_PARENT
    assert "its parent /a allows" in caught.value.sentence
    assert next(iter(files)) in caught.value.sentence


def test_a_limit_that_a_parent_allows_is_taken() -> None:
    """Up to the same number; and where the parent has none."""
    files = {"cpu.max": "200000 100000", "memory.max": "1048576", "pids.max": "max"}
    check_below_parents("web", WorkloadLimits(cpu_cores=2.0, memory_bytes=1 << 20, pids=1000), [("/a", files)])


@pytest.mark.parametrize(
    ("text", "cores"), [("max 100000\n", None), ("50000 100000", 0.5), ("", None), ("1", None), ("1 0", None), ("-1 5", None)]
)
def test_cpu_max_is_read(text: str, cores: float | None) -> None:
    """As a number of CPUs."""
    assert cpu_cores_of(text) == cores


@pytest.mark.parametrize(("text", "count"), [("max\n", None), ("10\n", 10), ("", None), ("9" * 21, None), ("-1", None)])
def test_a_count_is_read(text: str, count: int | None) -> None:
    """`max` is none."""
    assert count_of(text) == count


def test_lines_of_another_form_are_left_out() -> None:
    """A file of the kernel that has more than this version knows."""
    assert flat_keyed("populated 1\nfrozen 0\n\nx\ny z\nbig 999999999999999999999\n") == {"populated": 1, "frozen": 0}


def test_bytes_of_all_devices_are_summed() -> None:
    """Operations and discards are not bytes read or written."""
    text = "8:0 rbytes=10 wbytes=5 rios=1 wios=1 dbytes=7 dios=0\n8:16 rbytes=1 wbytes=x\n"
    assert io_bytes(text) == (11, 5)
