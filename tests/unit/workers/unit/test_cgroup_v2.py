"""The files of cgroup version 2, as three kernels wrote them, and as none would."""

from pathlib import Path

import pytest
from fakes.damaged_cgroup_file import assert_damage_is_borne, assert_within_bounds
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import KernelFormatError
from agent.model.timebase import US
from workers.unit import value
from workers.unit.cgroup_file import CgroupFile
from workers.unit.cgroup_v2 import FILES, parse_cpu_stat, parse_io_stat, parse_memory_events, parse_memory_stat
from workers.unit.value import VALUES_COUNT, Values

FIXTURES = Path(__file__).parents[3] / "fixtures" / "unit"
INT64_MAX = (1 << 63) - 1
CAPTURED = [(file, path) for file in FILES for path in sorted(FIXTURES.glob(f"linux-*/{file.name}"))]
IO = (
    b"8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n"
    b"253:1 rbytes=1000 wbytes=0 rios=3 wios=0 dbytes=5 dios=1 cost.usage=77\n7:0 \n"
)


def parsed(name: str, text: bytes) -> Values:
    """What one file's parser makes of a text."""
    values: Values = [None] * VALUES_COUNT
    next(file for file in FILES if file.name == name).parse(text, values)
    return values


def test_a_new_kernel_tells_everything() -> None:
    """Linux 7.2, each number by its name."""
    folder = FIXTURES / "linux-7.2"
    cpu = parsed("cpu.stat", (folder / "cpu.stat").read_bytes())
    assert cpu[value.CPU : value.THROTTLED + 1] == [4956714 * US, 2534175 * US, 2422538 * US, 286, 281, 19229522 * US]
    memory = parsed("memory.stat", (folder / "memory.stat").read_bytes())
    wanted = {value.ANON: 282624, value.FILE: 21188608, value.KERNEL: 294912, value.SHMEM: 0, value.INACTIVE_FILE: 21188608}
    assert {place: memory[place] for place in wanted} == wanted
    assert (memory[value.FAULTS], memory[value.MAJOR_FAULTS]) == (562, 3)
    pressure = parsed("cpu.pressure", (folder / "cpu.pressure").read_bytes())
    assert pressure[value.CPU_SOME : value.CPU_FULL + 1] == [22350216 * US, 22341351 * US]
    assert parsed("memory.events", (folder / "memory.events").read_bytes())[value.OOM : value.OOM_HIGH + 1] == [0, 0, 0, 0]


def test_an_old_kernel_lacks_lines() -> None:
    """Linux 5.10 has no memory of the kernel as a whole, and no `full` for the CPU."""
    folder = FIXTURES / "linux-5.10"
    memory = parsed("memory.stat", (folder / "memory.stat").read_bytes())
    assert memory[value.KERNEL] is None
    assert None not in [memory[place] for place in (value.ANON, value.FILE, value.SHMEM, value.INACTIVE_FILE, value.FAULTS)]
    pressure = parsed("cpu.pressure", (folder / "cpu.pressure").read_bytes())
    assert pressure[value.CPU_SOME : value.CPU_FULL + 1] == [44451573 * US, None]


def test_without_the_controller_nothing_is_known_of_a_limit() -> None:
    """The CPU time is always there."""
    values = parsed("cpu.stat", b"usage_usec 9\nuser_usec 4\nsystem_usec 5")
    assert values[value.CPU : value.THROTTLED + 1] == [9 * US, 4 * US, 5 * US, None, None, None]


def test_io_is_the_sum_of_all_devices() -> None:
    """A device without numbers counts nothing, and a cgroup that never did I/O has no line."""
    assert parsed("io.stat", IO)[value.READ_BYTES : value.WRITES + 1] == [5096, 8192, 4, 2]
    assert parsed("io.stat", b"")[value.READ_BYTES : value.WRITES + 1] == [0, 0, 0, 0]


def test_the_order_of_lines_may_be_another() -> None:
    """Kernels differ in it."""
    values = parsed("memory.stat", b"anon 1\npgmajfault 7\npgfault 6\ninactive_file 5\nshmem 4\nkernel 3\nfile 2\n")
    places = (value.ANON, value.FILE, value.KERNEL, value.SHMEM, value.INACTIVE_FILE, value.FAULTS, value.MAJOR_FAULTS)
    assert [values[place] for place in places] == [1, 2, 3, 4, 5, 6, 7]


def test_no_limit_and_no_number_are_two_things() -> None:
    """`max` is the kernel's word; anything else that is no number is refused."""
    assert parsed("memory.peak", b"max\n")[value.PEAK] is None
    with pytest.raises(KernelFormatError, match=r"memory\.peak"):
        parsed("memory.peak", b"-1\n")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
@pytest.mark.parametrize("text", [b"garbage\n", b"\x00" * 4096, b"total= rbytes=\n", b"some \n"])
def test_garbage_is_refused_or_gives_no_number(file: CgroupFile, text: bytes) -> None:
    """What is no file of this kind has no numbers in it."""
    values: Values = [None] * VALUES_COUNT
    try:
        file.parse(text, values)
    except KernelFormatError:
        assert values == [None] * VALUES_COUNT
    else:
        assert file.name == "io.stat"


@pytest.mark.parametrize(("file", "path"), CAPTURED, ids=lambda each: getattr(each, "name", None))
def test_every_prefix_and_every_altered_byte_is_borne(file: CgroupFile, path: Path) -> None:
    """A parser raises its own error or fills its own places with what fits a column."""
    assert_damage_is_borne(file, path.read_bytes())


@given(text=st.binary(max_size=300), file=st.sampled_from(FILES))
def test_any_bytes_are_borne(text: bytes, file: CgroupFile) -> None:
    """A parser is never surprised."""
    assert_within_bounds(file, text)


@given(numbers=st.lists(st.integers(0, INT64_MAX // 1000), min_size=6, max_size=6))
def test_every_number_that_fits_is_found(numbers: list[int]) -> None:
    """Written as the kernel does, read as written."""
    names = ("usage_usec", "user_usec", "system_usec", "nr_periods", "nr_throttled", "throttled_usec")
    text = "".join(f"{name} {number}\n" for name, number in zip(names, numbers, strict=True)).encode()
    values: Values = [None] * VALUES_COUNT
    parse_cpu_stat(text, values)
    scales = (US, US, US, 1, 1, US)
    assert values[: value.THROTTLED + 1] == [number * scale for number, scale in zip(numbers, scales, strict=True)]


def test_a_number_beyond_64_bits_is_not_known() -> None:
    """No row is refused for it."""
    values: Values = [None] * VALUES_COUNT
    parse_memory_events(b"low 0\nhigh 99999999999999999999999\nmax 18446744073709551615\noom 1\noom_kill x\n", values)
    assert (values[value.OOM_HIGH], values[value.OOM_MAX], values[value.OOM], values[value.OOM_KILL]) == (None, None, 1, None)
    parse_io_stat(b"8:0 rbytes=9223372036854775807 wbytes=0 rios=1 wios=x\n8:1 rbytes=1 wbytes=0 rios=1 wios=1\n", values)
    assert values[value.READ_BYTES : value.WRITES + 1] == [None, 0, 2, None]


def test_what_only_looks_like_such_a_file_is_refused() -> None:
    """The first word decides."""
    for parse, text in ((parse_cpu_stat, b"user_usec 1\n"), (parse_cpu_stat, b"usage_usec x\nuser_usec 1\nsystem_usec 1\n")):
        with pytest.raises(KernelFormatError, match=r"cpu\.stat"):
            parse(text, [None] * VALUES_COUNT)
    with pytest.raises(KernelFormatError, match=r"memory\.stat"):
        parse_memory_stat(b"file 1\n", [None] * VALUES_COUNT)


def test_an_io_file_without_any_number_that_can_be_read_is_refused() -> None:
    """A cgroup that never did I/O has no line at all."""
    values: Values = [None] * VALUES_COUNT
    with pytest.raises(KernelFormatError, match=r"io\.stat"):
        parse_io_stat(b"8:0 rbytes=x wbytes=1 rios=x wios=1\n", values)
    parse_io_stat(b"", values)
    assert values[value.READS] == 0
