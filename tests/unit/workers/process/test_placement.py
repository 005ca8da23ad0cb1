"""Where a process belongs, and that each text is parsed once."""

import pytest

from workers.process import placement
from workers.process.placement import TEXT_BYTES_MAX, TEXTS_MAX, Placement, Placements, placement_of

SERVICE = b"0::/system.slice/cron.service\n"


def test_a_service_is_the_unit_of_its_processes() -> None:
    """With its kind, in no container."""
    assert placement_of(SERVICE) == Placement("/system.slice/cron.service", "/system.slice/cron.service", None, "service")


@pytest.mark.parametrize(("text", "cgroup"), [(b"", None), (b"0::/\n", "/")])
def test_outside_of_units_there_is_none(text: bytes, cgroup: str | None) -> None:
    """The root is a cgroup, and no unit."""
    assert placement_of(text) == Placement(cgroup, None, None, None)


def test_a_text_is_remembered_up_to_a_number_and_a_length() -> None:
    """The same object comes back; a long text, or one among too many, is parsed again."""
    known = Placements()
    assert known.of(SERVICE) is known.of(SERVICE)
    long = SERVICE.ljust(TEXT_BYTES_MAX + 1, b"\n")
    assert known.of(long) == known.of(long)
    assert known.of(long) is not known.of(long)
    first = known.of(SERVICE)
    for number in range(placement.TEXTS_MAX):
        known.of(b"0::/system.slice/%d.service\n" % number)
    assert known.of(SERVICE) == first
    assert known.of(SERVICE) is not first
    assert len(known) <= TEXTS_MAX
