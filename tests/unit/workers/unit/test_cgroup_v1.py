"""The files of cgroup version 1, as a kernel wrote them, and as none would."""

from pathlib import Path

import pytest
from fakes.damaged_cgroup_file import assert_damage_is_borne, assert_within_bounds
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import KernelFormatError
from agent.model.timebase import MS
from workers.unit import value
from workers.unit.cgroup_file import CgroupFile
from workers.unit.cgroup_v1 import files
from workers.unit.value import VALUES_COUNT, Values

FIXTURES = Path(__file__).parents[3] / "fixtures" / "unit" / "v1"
FILES = files(100)
CAPTURED = [(file, FIXTURES / file.name) for file in FILES if (FIXTURES / file.name).exists()]
IO = b"8:0 Read 4096\n8:0 Write 8192\n8:0 Sync 0\n8:0 Async 12288\n8:0 Total 12288\n"
IO += b"8:16 Read 4\n8:16 Write 0\n8:16 Total 4\nTotal 12292\n"


def parsed(name: str, text: bytes) -> Values:
    """What one file's parser makes of a text."""
    values: Values = [None] * VALUES_COUNT
    next(file for file in FILES if file.name == name).parse(text, values)
    return values


def captured(name: str) -> Values:
    """What it makes of the kernel's."""
    return parsed(name, (FIXTURES / name).read_bytes())


def test_memory_counts_what_is_below_too() -> None:
    """The lines that begin with `total_`, as version 2 counts."""
    text = (FIXTURES / "memory.stat").read_bytes()
    lines = dict(line.split() for line in text.splitlines())
    values = captured("memory.stat")
    for place, name in ((value.ANON, b"total_rss"), (value.FILE, b"total_cache"), (value.SHMEM, b"total_shmem")):
        assert values[place] == int(lines[name])
    assert values[value.INACTIVE_FILE] == int(lines[b"total_inactive_file"])
    assert (values[value.FAULTS], values[value.MAJOR_FAULTS]) == (int(lines[b"total_pgfault"]), int(lines[b"total_pgmajfault"]))
    assert values[value.SWAP] == 0


def test_without_swap_accounting_swap_is_not_known() -> None:
    """The line is missing then."""
    assert parsed("memory.stat", b"cache 1\ntotal_cache 1\ntotal_rss 2\n")[value.SWAP] is None


def test_cpu_time_is_in_ns_and_by_mode_in_clock_ticks() -> None:
    """User and system time are coarser."""
    assert parsed("cpuacct.usage", b"123456789\n")[value.CPU] == 123456789
    assert parsed("cpuacct.stat", b"user 5\nsystem 7\n")[value.CPU_USER : value.CPU_SYSTEM + 1] == [50 * MS, 70 * MS]
    assert captured("cpuacct.usage")[value.CPU] is not None


def test_throttling_is_told_in_ns() -> None:
    """Version 2 has us."""
    text = b"nr_periods 9\nnr_throttled 4\nthrottled_time 77\nnr_bursts 0\n"
    assert parsed("cpu.stat", text)[value.PERIODS : value.THROTTLED + 1] == [9, 4, 77]
    assert captured("cpu.stat")[value.PERIODS] == 0


def test_io_is_the_sum_of_all_devices() -> None:
    """By kind; a cgroup that never did I/O has the sum alone."""
    assert parsed("blkio.throttle.io_service_bytes_recursive", IO)[value.READ_BYTES : value.WRITE_BYTES + 1] == [4100, 8192]
    assert parsed("blkio.throttle.io_serviced_recursive", IO)[value.READS : value.WRITES + 1] == [4100, 8192]
    assert captured("blkio.throttle.io_serviced_recursive")[value.READS : value.WRITES + 1] == [0, 0]


def test_a_device_whose_number_cannot_be_read_makes_the_sum_unknown() -> None:
    """No zero stands for it."""
    values = parsed("blkio.throttle.io_serviced_recursive", b"8:0 Read x\n8:0 Write 5\nTotal 5\n")
    assert values[value.READS : value.WRITES + 1] == [None, 5]


@pytest.mark.parametrize(("shares", "weight"), [(b"1024", 100), (b"2", 1), (b"512", 50), (b"262144", 10_000), (b"0", 1)])
def test_shares_are_told_as_the_weight_of_version_2(shares: bytes, weight: int) -> None:
    """1,024 is the usual share there, 100 here."""
    assert parsed("cpu.shares", shares + b"\n")[value.WEIGHT] == weight


def test_kills_are_counted_since_linux_4_13() -> None:
    """Before, the line is missing."""
    assert captured("memory.oom_control")[value.OOM_KILL] == 0
    assert parsed("memory.oom_control", b"oom_kill_disable 0\nunder_oom 0\n")[value.OOM_KILL] is None


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
@pytest.mark.parametrize("text", [b"garbage\n", b"\x00" * 4096, b"user\n", b"Total \n total_cache"])
def test_garbage_is_refused(file: CgroupFile, text: bytes) -> None:
    """What is no file of this kind has no numbers in it."""
    values: Values = [None] * VALUES_COUNT
    try:
        file.parse(text, values)
    except KernelFormatError:
        assert values == [None] * VALUES_COUNT


@pytest.mark.parametrize(("file", "path"), CAPTURED, ids=lambda each: getattr(each, "name", None))
def test_every_prefix_and_every_altered_byte_is_borne(file: CgroupFile, path: Path) -> None:
    """A parser raises its own error or fills its own places with what fits a column."""
    assert_damage_is_borne(file, path.read_bytes())


@given(text=st.binary(max_size=300), file=st.sampled_from(FILES))
def test_any_bytes_are_borne(text: bytes, file: CgroupFile) -> None:
    """A parser is never surprised."""
    assert_within_bounds(file, text)
