"""What parsers of cgroup files must bear: any bytes at all."""

from agent.model.errors import KernelFormatError
from workers.host.number import NUMBER_MAX
from workers.unit.cgroup_file import CgroupFile
from workers.unit.value import VALUES_COUNT, Values


def assert_within_bounds(file: CgroupFile, text: bytes) -> None:
    """A parser raises its own error or fills its own places with what fits a column."""
    values: Values = [None] * VALUES_COUNT
    try:
        file.parse(text, values)
    except KernelFormatError:
        return
    for place, found in enumerate(values):
        assert found is None or (place in file.places and 0 <= found <= NUMBER_MAX)


def assert_damage_is_borne(file: CgroupFile, text: bytes) -> None:
    """A file cut anywhere, and one with any byte changed to four others."""
    for at in range(len(text)):
        assert_within_bounds(file, text[:at])
        for other in (0, 0x20, 0x39, 0xFF):
            assert_within_bounds(file, text[:at] + bytes([other]) + text[at + 1 :])
